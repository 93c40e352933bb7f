"""What of a stack has to outlive its machine: each store, where it is and how it is copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

__all__ = ["MANIFEST", "STORES", "BackupError", "Kind", "Store", "folders_of", "stores_named"]

MANIFEST: Final = "manifest.json"


class BackupError(Exception):
    """A backup or a restore can't be done, or can't be trusted; the message says what to do."""


class Kind(StrEnum):
    """How a store is copied while it is used."""

    FROZEN = "frozen"  # Its process stands still meanwhile
    SQLITE = "sqlite"  # By SQLite's own online backup
    PLAIN = "plain"  # As it is: whoever writes it replaces whole files


@dataclass(frozen=True, slots=True)
class Store:
    """One folder. `unit` is the server that writes it; `skipped` are names that it makes anew."""

    name: str
    folder: str
    unit: str
    kind: Kind
    skipped: frozenset[str] = frozenset()


STORES: Final = (
    Store(
        "prometheus",
        "data/prometheus",
        "prometheus",
        Kind.FROZEN,
        frozenset({"lock", "queries.active"}),
    ),
    Store("loki", "data/loki", "loki", Kind.FROZEN),
    Store("jaeger", "data/jaeger", "jaeger", Kind.FROZEN, frozenset({"LOCK"})),
    Store("alertmanager", "data/alertmanager", "alertmanager", Kind.FROZEN),
    Store("signals", "data/signals", "signals", Kind.SQLITE),
    # Not in a run directory: the key of the tokens, and what else the gate keeps there.
    Store("gate", "", "gate", Kind.PLAIN),
)


def stores_named(names: tuple[str, ...]) -> tuple[Store, ...]:
    """Return these stores, or all for none; raises BackupError for a name that is none."""
    known = {store.name: store for store in STORES}
    for name in names:
        if name not in known:
            raise BackupError(f"there is no store {name!r}; there are: {', '.join(known)}")
    return tuple(store for store in STORES if not names or store.name in names)


def folders_of(
    run_dir: Path, gate_state: Path | None, given: Mapping[str, Path]
) -> dict[str, Path]:
    """Return the folder of each store: as given, in the run directory, or the gate's own."""
    folders = {store.name: run_dir / store.folder for store in STORES if store.folder}
    if gate_state is not None:
        folders["gate"] = gate_state
    return {**folders, **given}
