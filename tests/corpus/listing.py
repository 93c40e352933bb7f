"""The recordings of the corpus: where each is, and which configurations it is run with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpus.hostile import FAKE_SECRETS as HOSTILE_SECRETS
from corpus.hostile import FLOOD_LIMIT
from corpus.session import SEED
from corpus.systems import FAKE_SECRETS as SYSTEMS_SECRETS
from corpus.systems import SHAPES, TESTDATA
from tapeline.demo.credentials import planted_credentials

__all__ = ["CONFIGS", "ENTRIES", "FOLDER", "REDACTING", "Entry"]

FOLDER: Final = Path(__file__).parent / "recordings"
_CONFIG: Final = Path(__file__).parents[2] / "config"
_MAPPINGS: Final = sorted((_CONFIG / "mappings").glob("*.yaml"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording.

    `runs` are names of configurations (see CONFIGS), `golden` begins the names of their goldens:
    two recordings that share one have to come to the same. `raw`: it holds what the redaction has
    not seen. `secrets` are those planted in it; a run called `nothing` leaves them.
    """

    path: Path
    runs: tuple[str, ...]
    golden: str
    raw: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.path.name


def _signals(mapping_files: list[Path], chain: list[str]) -> dict[str, Any]:
    return {
        "chain": {"logs": chain, "traces": chain, "metrics": chain[:-1]},
        "signals": {
            "state": "memory",
            "mapping_files": [str(path) for path in mapping_files],
            "horizons": ["1s"],
            # Figures are sent at the end only: which of them there were on the way depends on the
            # batches.
            "period": "1h",
        },
    }


CONFIGS: Final[Mapping[str, Path | Mapping[str, Any]]] = {
    # The gate's defaults: redaction and cardinality.
    "gate": _CONFIG / "gate.yaml",
    # What is read, as it is.
    "nothing": {"chain": {"logs": [], "traces": [], "metrics": []}},
    "flood": {
        "chain": {"logs": [], "traces": [], "metrics": ["cardinality"]},
        # Without a warm-up: when a metric was first seen depends on the batches.
        "cardinality": {"default_limit": FLOOD_LIMIT, "warmup": "0s"},
    },
    # Metrics derived of the trading convention's events, and of each system's by its mapping.
    "signals": _signals([], ["redaction", "signals"]),
    "all-mappings": _signals(_MAPPINGS, ["redaction", "signals"]),
    **{f"mapping-{path.stem}": _signals([path], ["signals"]) for path in _MAPPINGS},
}

REDACTING: Final = frozenset({"gate", "signals", "all-mappings"})
"""The configurations with the redaction in them."""

_HOSTILE: Final[Mapping[str, tuple[str, ...]]] = {
    "torn-line.otlp.jsonl": ("nothing",),
    "torn-message.otlp.pb": ("nothing",),
    "torn-length.otlp.pb": ("nothing",),
    "torn-stream.otlp.jsonl.zst": ("nothing",),
    "zeros-at-the-end.otlp.pb": ("nothing",),
    "broken-framing.otlp.pb": ("nothing",),
    "broken-message.otlp.pb": ("nothing",),
    "broken-frame.otlp.json.zst-messages": ("nothing",),
    "not-a-recording.otlp.pb": ("nothing",),
    "no-signal.otlp.pb": ("nothing",),
    "mixed-forms.otlp.jsonl": ("gate",),
    "invalid-utf-8.otlp.jsonl": ("nothing",),
    "invalid-utf-8.otlp.pb": ("gate",),
    "deep-nesting.otlp.jsonl": ("gate",),
    "deep-nesting.otlp.pb.zst-messages": ("gate",),
    "giant-numbers.otlp.jsonl": ("gate",),
    "not-a-number.otlp.json.zst-messages": ("gate",),
    "zero-width.otlp.jsonl": ("gate",),
    "future-fields.otlp.pb": ("gate",),
    "future-fields.otlp.jsonl": ("gate",),
    "flood.otlp.pb.zst": ("flood",),
}


def _hostile(name: str, runs: tuple[str, ...]) -> Entry:
    stem, _, ending = name.partition(".otlp.")
    twins = sum(each.startswith(f"{stem}.") for each in _HOSTILE)
    form = ending.partition(".")[0]
    golden = stem if twins == 1 else f"{stem}-{form}"
    return Entry(FOLDER / name, runs, golden, secrets=HOSTILE_SECRETS)


ENTRIES: Final = (
    Entry(
        FOLDER / "session.otlp.pb.zst", ("gate", "signals"), "session",
        secrets=planted_credentials(SEED),
    ),
    Entry(
        FOLDER / "session-redacted.otlp.jsonl", ("gate", "signals"), "session", raw=False,
        secrets=planted_credentials(SEED),
    ),
    *(Entry(TESTDATA / f"{name}.jsonl", ("gate", f"mapping-{name}"), name) for name in SHAPES),
    Entry(
        FOLDER / "systems-with-credentials.otlp.pb.zst-messages",
        ("gate", "all-mappings"),
        "systems-with-credentials",
        secrets=SYSTEMS_SECRETS,
    ),
    *(_hostile(name, runs) for name, runs in _HOSTILE.items()),
)  # fmt: skip
