"""The state of every worker, read while they run, and what it is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.engine_state import SettingsChangedError
from tapeline.signals.opening import open_store, safe_url
from tapeline.signals.recorder import restored_engine
from tapeline.signals.store import Loaded, Store, StoreError, StoreFault
from tapeline.signals.verification import Difference, differences

__all__ = ["Kept", "StateReadError", "Verdict", "read_states", "verified_states"]

_TRIES: Final = 5
"""A sidecar that runs may write a checkpoint between two looks; it does so every few minutes."""
_THERE: Final = frozenset(
    {StoreFault.DAMAGED, StoreFault.IN_USE, StoreFault.LOCKED, StoreFault.OTHER_VERSION}
)
"""What can only be wrong with a state that is there."""
_BROKEN: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)


class StateReadError(Exception):
    """A state can't be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One worker's state. `engine` is None where there is none yet, `problem` where it reads."""

    worker: int
    engine: Engine | None = None
    start_time_ns: int = 0
    last_sequence: int = 0
    damaged_count: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one worker's state."""

    worker: int
    told: str
    is_good: bool
    found: tuple[Difference, ...] = ()


def read_states(url: str, workers: int, settings: EngineSettings) -> Iterator[Kept]:
    """Yield each worker's state, and that of one more where there was one before."""
    for worker in range(workers + 1):
        store = _opened(url, worker)
        try:
            yield _kept(worker, settings, _begun(store, url))
        except StateReadError as error:
            yield Kept(worker, problem=str(error))
        except StoreError as error:
            if error.reason in _THERE or (
                worker < workers and error.reason is not StoreFault.ABSENT
            ):
                yield Kept(worker, problem=str(error))
            elif worker < workers:
                yield Kept(worker)
        finally:
            store.close()


def verified_states(url: str, workers: int, settings: EngineSettings) -> Iterator[Verdict]:
    """Yield what came of comparing each worker's newest checkpoint with what its events make."""
    for worker in range(workers):
        store = _opened(url, worker)
        try:
            newest, older = _two_looks(store, url)
            yield _verdict(worker, settings, newest, older)
        except StateReadError as error:
            yield Verdict(worker, str(error), is_good=False)
        except StoreError as error:
            is_absent = error.reason is StoreFault.ABSENT
            told = f"there is no state yet ({error})" if is_absent and worker else str(error)
            yield Verdict(worker, told, is_good=is_absent and worker > 0)
        finally:
            store.close()


def _opened(url: str, worker: int) -> Store:
    return open_store(url, worker, is_read_only=True)


def _begun(store: Store, url: str) -> Loaded:
    loaded = store.load()
    if loaded.start_time_ns is None:
        raise StoreError(StoreFault.ABSENT, f"{safe_url(url)} holds no state yet")
    return loaded


def _kept(worker: int, settings: EngineSettings, loaded: Loaded) -> Kept:
    engine, unread = _engine(settings, loaded)
    damaged = loaded.damaged_checkpoints + loaded.damaged_chunks + loaded.damaged_rows + unread
    return Kept(worker, engine, loaded.start_time_ns or 0, loaded.last_sequence, damaged)


def _engine(settings: EngineSettings, loaded: Loaded) -> tuple[Engine, int]:
    try:
        return restored_engine(settings, loaded)
    except SettingsChangedError as error:
        raise StateReadError(str(error)) from error
    except _BROKEN as error:
        raise StateReadError(
            f"the state can't be read ({type(error).__name__}): it is another build's, or there is"
            " a bug; use the build that wrote it"
        ) from error


def _two_looks(store: Store, url: str) -> tuple[Loaded, Loaded | None]:
    """Return the state, and what came before its newest checkpoint; None: that is gone."""
    newest = _begun(store, url)
    for _ in range(_TRIES):
        older = _before(store, newest.checkpoint_sequence)
        again = store.load()
        if again.checkpoint_sequence == newest.checkpoint_sequence:
            return newest, older
        newest = again
    raise StateReadError("checkpoints follow each other faster than they can be read; try again")


def _before(store: Store, sequence: int) -> Loaded | None:
    try:
        return store.load(sequence)
    except StoreError as error:
        if error.reason is not StoreFault.DAMAGED:
            raise
        return None


def _verdict(
    worker: int, settings: EngineSettings, newest: Loaded, older: Loaded | None
) -> Verdict:
    last = newest.checkpoint_sequence
    if newest.damaged_checkpoints or newest.damaged_chunks or newest.damaged_rows:
        told = "pieces of it are damaged: the last good checkpoint is what a restart begins with"
        return Verdict(worker, told, is_good=False)
    if newest.checkpoint is None:
        told = f"there is no checkpoint yet to compare with, and {len(newest.rows)} rows"
        return Verdict(worker, told, is_good=True)
    if older is None:
        told = f"there is one checkpoint, {last}, and not all rows before it: nothing to compare"
        return Verdict(worker, told, is_good=False)
    return _compared(worker, settings, newest, older)


def _compared(worker: int, settings: EngineSettings, newest: Loaded, older: Loaded) -> Verdict:
    first, last = older.checkpoint_sequence, newest.checkpoint_sequence
    rows = tuple(row for row in older.rows if row.sequence <= last)
    if len(rows) != last - first or older.damaged_chunks:
        told = f"rows between {first} and {last} are missing or damaged: they can't be replayed"
        return Verdict(worker, told, is_good=False)
    kept, _ = _engine(settings, newest._replace(rows=()))
    replayed, unread = _engine(settings, older._replace(rows=rows))
    if unread:
        told = f"{unread} rows between {first} and {last} are of another build: use that one"
        return Verdict(worker, told, is_good=False)
    found = tuple(differences(kept, replayed))
    start = "the start (there is no other checkpoint)"
    if older.checkpoint is not None:
        start = f"checkpoint {first}"
    made = f"{start} and the {len(rows)} rows after it make"
    if found:
        return Verdict(worker, f"checkpoint {last} is not what {made}", is_good=False, found=found)
    positions = len(list(kept.live.ledger.positions.items()))
    told = (
        f"checkpoint {last} is what {made}, to the last digit: positions {positions},"
        f" series {len(kept.series)}, accounts {len(list(kept.sampled.accounts.items()))}"
    )
    return Verdict(worker, told, is_good=True)
