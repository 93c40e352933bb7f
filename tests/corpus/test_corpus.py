"""The compatibility suite: an old recording gives the old golden until somebody decides otherwise.

What to do where a test here fails: README.md beside this file.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.hostile import FLOOD_LIMIT, hostile
from corpus.listing import CONFIGS, ENTRIES, FOLDER, REDACTING, Entry
from corpus.requests import joined, singles
from corpus.session import SEED
from tapeline.demo.credentials import planted_credentials
from tapeline.recorded.reader import Flaw
from tapeline.recording.command import process_command
from tapeline.recording.source import Source
from tapeline.testing.golden_text import write_text
from tapeline.testing.inputs import batches_of
from tapeline.testing.outcome import Outcome

AUDIT = ("tapeline_redaction_hits_total", "tapeline_cardinality_folded_*")
HOSTILE = {FOLDER / name for name in hostile()}
SHARED = "session"  # the golden of two recordings
RUNS = [
    pytest.param(entry, run, id=f"{entry.name}-{run}") for entry in ENTRIES for run in entry.runs
]
DECIDE = (
    "An old recording gives something else than it gave. That breaks somebody's goldens, dashboards"
    " or recordings, so it is a decision: make it where the change is made, write it down in a"
    " fragment of changelog.d/ (changed or fixed), run this test with --tapeline-update, and review"
    " the golden's difference. Otherwise it is a bug."
)
Replay = Callable[..., Outcome]


def asserting(check: Callable[[], None]) -> None:
    """Run a check of a golden; where it fails, say how one decides."""
    __tracebackhide__ = True
    try:
        check()
    except AssertionError as error:
        raise AssertionError(f"{error}\n\n{DECIDE}") from None


@pytest.mark.parametrize(("entry", "run"), RUNS)
def test_an_old_recording_gives_the_old_golden(
    tapeline_replay: Replay, entry: Entry, run: str
) -> None:
    """As it was recorded, in a batch a record, and in larger batches: the same, and no secret."""
    recorded = list(batches_of(entry.path, Path(), flawed=True))
    for batches in (recorded, singles(recorded), joined(recorded)):
        outcome = tapeline_replay(batches, CONFIGS[run], allow_refused=True)
        # What two recordings share can't have the redaction's counts: one was redacted before.
        audit = () if entry.golden == SHARED else AUDIT
        asserting(partial(outcome.assert_golden, f"{entry.golden}.{run}", audit=audit))
        if run in REDACTING:
            outcome.assert_no_secret(*entry.secrets)


@pytest.mark.parametrize(
    ("warmup", "in_batches", "in_one"), [("2m", 37_890, 0), ("0s", 44_940, 44_940)]
)
def test_the_warm_up_goes_by_batches(
    tapeline_replay: Replay, warmup: str, in_batches: int, in_one: int
) -> None:
    """Within one batch nothing is known for any time: docs/recordings.md has these figures."""
    (entry,) = (each for each in ENTRIES if "flood" in each.runs)
    recorded = list(batches_of(entry.path, Path()))
    whole = joined(recorded)
    limits = {"default_limit": FLOOD_LIMIT, "warmup": warmup}
    chain = {"logs": [], "traces": [], "metrics": ["cardinality"]}
    config = {"chain": chain, "cardinality": limits}
    overflow = {"attributes": {"otel.metric.overflow": True}}

    assert (len(recorded), len(whole)) == (300, 1)
    assert tapeline_replay(recorded, config).sums(overflow) == {"orders.sent": in_batches}
    assert tapeline_replay(whole, config).sums(overflow) == {"orders.sent": in_one}


def test_what_was_redacted_has_nothing_left_to_redact(tapeline_replay: Replay) -> None:
    """Of the session, each planted credential is found in the raw recording, none in the other."""
    raw, redacted = (
        tapeline_replay(entry.path, CONFIGS["gate"]) for entry in ENTRIES if entry.golden == SHARED
    )

    hits = "tapeline_redaction_hits_total"
    assert raw.audit.total(hits) >= len(planted_credentials(SEED))
    assert not redacted.audit.matching(hits)
    raw.assert_same_as(redacted)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_can_not_be_read_is_named_as_it_was(
    tapeline_session: Callable[..., Any],
    entry: Entry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Flaws with their offsets, what `process` says of them, and its exit code."""
    with entry.path.open("rb") as file:
        source = Source(file, entry.path)
        items = list(source.items())
    flaws = [
        {"message": item.number, "at_byte": item.offset_bytes, "reason": item.reason}
        | ({"fatal": True} if item.fatal else {})
        for item in items
        if isinstance(item, Flaw)
    ]
    monkeypatch.chdir(entry.path.parent)
    # What only shows that all is well needs no redaction.
    config = config_file(CONFIGS[entry.runs[0] if entry.path in HOSTILE else "nothing"], tmp_path)
    code = process_command(config, entry.name, str(tmp_path / "output"))
    said = capsys.readouterr().err.splitlines()

    assert not source.complaint
    shown: dict[str, Any] = {"messages": len(items), "flaws": flaws} if flaws else {}
    shown |= {"exit_code": code, "process_says": said}
    goldens = tapeline_session(CONFIGS["nothing"]).goldens
    asserting(lambda: goldens.check(f"{entry.name}.reading", write_text(shown)))


def config_file(config: Path | Mapping[str, Any], folder: Path) -> Path:
    """Return a configuration's file."""
    if isinstance(config, Path):
        return config
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    return path
