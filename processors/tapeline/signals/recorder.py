"""Keeps an engine and its store in step: committed first, applied then, and so again after a crash.

Every step of the engine is a row of the store's log before it is taken. So what is applied is what
a restart applies again, and nothing that could be lost is ever shown.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tapeline.pipeline.processor import NotNowError
from tapeline.signals.codec import CodecError, decode_events, encode_events
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.engine_state import (
    SettingsChangedError,
    drop_archive,
    dump_archive,
    dump_engine,
    dump_held,
    restore_engine,
)
from tapeline.signals.events import Event
from tapeline.signals.plain import Plain, decode_state, encode_state
from tapeline.signals.store import Loaded, LogRow, Store, StoreError

__all__ = ["SETTINGS_CHANGED", "UNREADABLE", "Recorder", "restored_engine"]

logger = logging.getLogger(__name__)

CHECKPOINT_ROWS: Final = 20_000
CHECKPOINT_BYTES: Final = 32 * 1024 * 1024
"""What a restart reads again at most takes a few seconds."""
CHECKPOINT_PERIOD_NS: Final = 300 * 1_000_000_000

SETTINGS_CHANGED: Final = "settings_changed"
UNREADABLE: Final = "unreadable"
"""Reasons of failures beside those of stores."""

_BROKEN: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Recorder:
    """One worker's engine, with all that outlives the process."""

    def __init__(self, settings: EngineSettings, store: Store) -> None:
        """Open nothing yet: at a reload the predecessor still has the store."""
        self._settings = settings
        self._store = store
        self.engine = Engine(settings)
        self.start_time_ns = 0
        self.has_begun = False
        self.is_new = False
        """Whether there was no state to go on from."""
        self._sequence = 0
        self._unsaved_rows = 0
        self._unsaved_bytes = 0
        self._checkpoint_due_ns = 0
        self._archive: list[Plain] = []
        """What no checkpoint holds yet: more than one part after one that failed."""
        self._greatest_ns = 0
        """Of batches without an event, which no row says yet."""
        self.failures: Counter[str] = Counter()
        """What the store refused, by reason."""
        self.commits = 0
        self.checkpoints = 0
        self.damaged = 0
        """Pieces of the state that could not be read."""
        self._said: str | None = None
        self._refusal: str | None = None
        """Why the state that is there will never do for these settings and this build."""

    @property
    def is_durable(self) -> bool:
        """Whether the state outlives the process."""
        return self._store.is_durable

    @property
    def trouble(self) -> str | None:
        """What was said last of the state; None once something was committed after it."""
        return self._said

    def begin(self, now_ns: int) -> None:
        """Read the state, at the first call that succeeds; raises NotNowError."""
        if self.has_begun:
            return
        if self._refusal is not None:
            raise NotNowError(self._refusal)
        try:
            loaded = self._store.load()
            if loaded.start_time_ns is None:
                self._store.begin(now_ns)
        except StoreError as error:
            raise self._refused(error) from error
        self.start_time_ns = loaded.start_time_ns or now_ns
        self.is_new = loaded.start_time_ns is None
        if loaded.was_lost:
            self.damaged += 1
            self._say("what was there can't be used and is set aside: figures begin anew")
        if not self.is_new:
            self._restore(loaded)
        self._sequence = loaded.last_sequence
        self._checkpoint_due_ns = now_ns + CHECKPOINT_PERIOD_NS
        self.has_begun = True

    def take(self, events: Sequence[Event], greatest_time_ns: int) -> None:
        """Commit the events of a batch and apply them; raises NotNowError, and did neither then."""
        greatest_ns = max(greatest_time_ns, self._greatest_ns)
        if not events and self._store.is_durable:
            # A row for every batch of other telemetry would be a disk write for each of them.
            self._greatest_ns = greatest_ns
            return
        self._append(greatest_ns, 0, encode_events(events) if self._store.is_durable else b"")
        self.engine.apply(events, greatest_ns)
        if not self._store.is_durable:
            drop_archive(self.engine)  # Nobody would ever take it.

    def settle(self, watermark_ns: int = 0) -> None:
        """Commit and apply what is not said yet: the time of other telemetry, and the clock's.

        Before an emission: only what is committed may be shown. Raises NotNowError.
        """
        greatest_ns = max(self._greatest_ns, self.engine.greatest_time_ns)
        reached_ns = max(watermark_ns, greatest_ns - self._settings.max_lateness_ns)
        if reached_ns <= self.engine.watermark_ns and greatest_ns <= self.engine.greatest_time_ns:
            return
        self._append(greatest_ns, watermark_ns, b"")
        self.engine.apply((), greatest_ns)
        self.engine.advance(watermark_ns)

    def checkpoint_if_due(self, now_ns: int) -> None:
        """Write a checkpoint where the log has grown, or time has passed."""
        is_long = self._unsaved_rows >= CHECKPOINT_ROWS or self._unsaved_bytes >= CHECKPOINT_BYTES
        # After a failure the period counts alone: a checkpoint takes long to make.
        is_long = is_long and not self._archive
        if is_long or (self._unsaved_rows and now_ns >= self._checkpoint_due_ns):
            self._checkpoint_due_ns = now_ns + CHECKPOINT_PERIOD_NS
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write a checkpoint; a failure is counted, and the log goes on growing."""
        if not self._store.is_durable or not self._unsaved_rows:
            return
        self._archive.append(dump_archive(self.engine))
        archives = encode_state(self._archive)
        horizon_ns = self.engine.live.ledger.horizon_ns or 0
        newest_ns = max(self.engine.greatest_time_ns, self.engine.watermark_ns)
        body = encode_state(dump_engine(self.engine))
        try:
            self._store.checkpoint(self._sequence, body, archives, newest_ns, horizon_ns)
        except StoreError as error:
            self._note(error)
            return
        self._archive.clear()
        self._unsaved_rows = self._unsaved_bytes = 0
        self.checkpoints += 1

    def size_bytes(self) -> int:
        """Return how much room the state takes; 0 where that can't be told."""
        try:
            return self._store.size_bytes()
        except StoreError as error:
            self._note(error)
            return 0

    def close(self) -> None:
        """Write what is left, and let go of the store."""
        if self.has_begun:
            self.checkpoint()
        self._store.close()

    def inherit(self, predecessor: "Recorder") -> None:
        """Go on, at a reload, from what another one counted, and from a state that no store kept.

        A state that these settings can't go on with is left behind: figures begin anew.
        """
        self.failures.update(predecessor.failures)
        self.commits += predecessor.commits
        self.checkpoints += predecessor.checkpoints
        self.damaged += predecessor.damaged
        is_kept = predecessor.is_durable or self.is_durable
        if is_kept or not predecessor.has_begun:
            return
        archive = decode_state(encode_state(dump_held(predecessor.engine)))
        state = decode_state(encode_state(dump_engine(predecessor.engine)))
        try:
            restore_engine(self.engine, state, [archive])
        except SettingsChangedError as error:
            self.failures[SETTINGS_CHANGED] += 1
            self._say(f"{error}. It was in memory alone: figures begin anew")
            self.engine = Engine(self._settings)
            return
        self.start_time_ns, self.has_begun = predecessor.start_time_ns, True

    def _append(self, greatest_ns: int, watermark_ns: int, events: bytes) -> None:
        if self._store.is_durable:
            row = LogRow(self._sequence + 1, greatest_ns, watermark_ns, events)
            try:
                self._store.append(row)
            except StoreError as error:
                raise self._refused(error) from error
            self.commits += 1
            self._sequence = row.sequence
            self._unsaved_rows += 1
            self._unsaved_bytes += len(events)
            self._said = None
        self._greatest_ns = 0

    def _restore(self, loaded: Loaded) -> None:
        damaged = loaded.damaged_checkpoints + loaded.damaged_chunks + loaded.damaged_rows
        try:
            self.engine, unread = restored_engine(self._settings, loaded)
        except SettingsChangedError as error:
            raise self._never(SETTINGS_CHANGED, f"{error}, then reload") from error
        except _BROKEN as error:
            told = (
                f"the state can't be read ({type(error).__name__}): it is another build's, or there"
                " is a bug; move it away to begin anew, then reload"
            )
            raise self._never(UNREADABLE, told) from error
        damaged += unread
        self.damaged += damaged
        if damaged:
            self._say(f"{damaged} pieces of it are damaged; what only they held is in no figure")
        self._unsaved_rows = len(loaded.rows)
        self._unsaved_bytes = sum(len(row.events) for row in loaded.rows)

    def _never(self, reason: str, message: str) -> NotNowError:
        """Let the state go, which would be read again and again to the same end."""
        self.failures[reason] += 1
        self._say(message)
        self._refusal = message
        self._store.close()
        return NotNowError(message)

    def _refused(self, error: StoreError) -> NotNowError:
        self._note(error)
        return NotNowError(str(error))

    def _note(self, error: StoreError) -> None:
        self.failures[error.reason.value] += 1
        self._say(str(error))

    def _say(self, message: str) -> None:
        """Log a trouble once for as long as it is the same one."""
        if message != self._said:
            logger.error("the state of the signals: %s", message)
        self._said = message


def restored_engine(settings: EngineSettings, loaded: Loaded) -> tuple[Engine, int]:
    """Return an engine with a state that was loaded, and how many rows it could not take whole.

    Raises SettingsChangedError, or one of the errors of broken state.
    """
    engine = Engine(settings)
    if loaded.checkpoint is not None:
        archives = [archive for chunk in loaded.chunks for archive in decode_state(chunk)]
        restore_engine(engine, decode_state(loaded.checkpoint), archives)
    unread = 0
    for row in loaded.rows:
        # What an event made stumble when it came, it does now: all else is as it was then.
        try:
            engine.apply(decode_events(row.events) if row.events else [], row.greatest_time_ns)
        except (CodecError, *_BROKEN):
            unread += 1
            continue
        if row.watermark_ns:
            engine.advance(row.watermark_ns)
    return engine, unread
