"""Replays recordings into an endpoint: reads, waits, restamps, hands over, and keeps account."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.recorded.reader import Flaw, RecordedBatch
from tapeline.recorded.selection import Selection
from tapeline.recording.delivery import Delivery, Totals
from tapeline.recording.event_time import greatest_time_unix_nano
from tapeline.recording.pace import Pace
from tapeline.recording.restamp import Restamp, id_key
from tapeline.recording.source import Source

__all__ = ["Outcome", "Plan", "Position", "Progress", "Replay"]

_MAX_FLAWS: Final = 20
_LONG_WAIT_S: Final = 600.0
"""A wait of so long is told: a single wrong time asks for decades."""


@dataclass(frozen=True, slots=True)
class Position:
    """A message of a file: its number counts from 1."""

    file: Path
    number: int

    def __str__(self) -> str:
        """Return the spelling that --start-at takes."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed, and how.

    `speed` None: flat out. `id_seed` None: trace and span ids stay. `assumed` is the signal of
    messages that don't tell it.
    """

    files: tuple[Path, ...]
    speed: float | None = 1.0
    passes: int = 1
    to_now: bool = False
    id_seed: str | None = None
    start_at: Position | None = None
    selection: Selection = field(default_factory=Selection)
    assumed: Signal | None = None


@dataclass(slots=True)
class Progress:
    """How far a replay has come: `read_bytes` of `total_bytes`, over all passes."""

    total_bytes: int = 0
    read_bytes: int = 0
    late_s: float = 0.0
    """The longest that a batch was handed over after it was due."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A message, and in which pass (from 0) it is met."""

    position: Position
    pass_number: int


@dataclass(slots=True)
class Outcome:
    """How a replay ended. `resume_at` None: it came to its end.

    `passes_left` counts the one that was interrupted.
    """

    totals: Totals
    flaw_count: int = 0
    flaws: list[tuple[Path, Flaw]] = field(default_factory=list)
    """The first of them, and those that end a file."""
    complaints: list[tuple[Path, str]] = field(default_factory=list)
    """What did not fit its metadata; it was replayed all the same."""
    resume_at: Position | None = None
    passes_left: int = 0
    duration_s: float = 0.0


class Replay:
    """One replay; `run` it once. `progress` and the delivery's totals may be read meanwhile."""

    def __init__(
        self,
        plan: Plan,
        delivery: Delivery,
        now_unix_nano: Callable[[], int],
        told_wait: Callable[[float], None] = lambda _wait_s: None,
    ) -> None:
        """Take the clock of the day: it is asked once a pass, where times move to now.

        `told_wait` is called with the seconds before a wait of ten minutes or more.
        """
        self._plan = plan
        self._delivery = delivery
        self._now_unix_nano = now_unix_nano
        self._told_wait = told_wait
        self._pace = None if plan.speed is None else Pace(plan.speed)
        self._began_s = 0.0
        self._restamp: Restamp | None = None
        self._sequence = 0
        self._under_way: dict[int, _Place] = {}
        self._next: _Place | None = None
        self.progress = Progress(plan.passes * _sizes_bytes(plan.files))
        self.outcome = Outcome(delivery.totals)

    def run(self) -> Outcome:
        """Replay to the end, or until a batch was given up; raises OSError of the files.

        A KeyboardInterrupt ends it, too: `outcome` then says where to go on.
        """
        self._began_s = time.monotonic()
        try:
            self._run()
        except BaseException:
            self._delivery.stop()
            raise
        finally:
            self._delivery.finish()
            self._note_end()
        return self.outcome

    def _run(self) -> None:
        for number in range(self._plan.passes):
            self._restamp = None
            if self._pace is not None and number:
                self._pace.begin_pass()
            for file, item in self._items(first_pass=number == 0):
                self._next = _Place(Position(file, item.number), number)
                if isinstance(item, Flaw):
                    self._note_flaw(self._next, item)
                elif not self._hand_over(item, self._next):
                    return
                self._next = _Place(Position(file, item.number + 1), number)
        self._next = None

    def _items(self, *, first_pass: bool) -> Iterator[tuple[Path, RecordedBatch | Flaw]]:
        start = self._plan.start_at if first_pass else None
        for file in self._plan.files:
            if start is not None and start.file != file:
                continue
            with file.open("rb") as opened:
                source = Source(opened, file, self._plan.assumed)
                before_bytes = self.progress.read_bytes
                last_number = 0
                for item in source.items():
                    last_number = item.number
                    self.progress.read_bytes = before_bytes + item.offset_bytes
                    if start is None or item.number >= start.number:
                        yield file, item
                self.progress.read_bytes = before_bytes + file.stat().st_size
            if first_pass and source.complaint:
                self.outcome.complaints.append((file, source.complaint))
            # One beyond the last message is where a replay of all of it ended.
            if start is not None and start.number > last_number + 1:
                complaint = f"it has {last_number} messages: none is number {start.number}"
                self.outcome.complaints.append((file, complaint))
            start = None

    def _note_flaw(self, place: _Place, flaw: Flaw) -> None:
        if place.pass_number:
            return
        self.outcome.flaw_count += 1
        if len(self.outcome.flaws) < _MAX_FLAWS or flaw.fatal:
            self.outcome.flaws.append((place.position.file, flaw))

    def _hand_over(self, item: RecordedBatch, place: _Place) -> bool:
        """Wait until a batch is due and hand it over; False where the delivery has stopped."""
        try:
            batch = self._plan.selection.of(item.batch)
            if batch is None:
                return True
            time_unix_nano = self._time_of(batch)
            if self._pace is not None and not self._wait(self._pace.due_s(time_unix_nano)):
                return False
            batch = self._restamped(batch, time_unix_nano, place.pass_number)
        except MalformedRequestError as error:
            flaw = Flaw(item.number, item.offset_bytes, str(error), fatal=False)
            self._note_flaw(place, flaw)
            return True
        self._sequence += 1
        self._under_way[self._sequence] = place
        return self._delivery.submit(self._sequence, batch, self._under_way.pop)

    def _time_of(self, batch: Batch) -> int:
        needed = self._pace is not None or (self._plan.to_now and self._restamp is None)
        return greatest_time_unix_nano(batch) if needed else 0

    def _wait(self, due_s: float) -> bool:
        """Wait until so many seconds after the beginning; False where the delivery has stopped."""
        left_s = self._began_s + due_s - time.monotonic()
        if left_s <= 0:
            self.progress.late_s = max(self.progress.late_s, -left_s)
            return not self._delivery.stopped.is_set()
        if left_s >= _LONG_WAIT_S:
            self._told_wait(left_s)
        while left_s > 0:
            # In parts: the platform's longest wait is shorter than what record times can ask for.
            if self._delivery.stopped.wait(min(left_s, _LONG_WAIT_S)):
                return False
            left_s = self._began_s + due_s - time.monotonic()
        return True

    def _restamped(self, batch: Batch, time_unix_nano: int, number: int) -> Batch:
        plan = self._plan
        if not plan.to_now and plan.id_seed is None:
            return batch
        if self._restamp is None:
            # One constant for a pass, so that its first batch is of now.
            shift = self._now_unix_nano() - time_unix_nano if plan.to_now and time_unix_nano else 0
            key = b"" if plan.id_seed is None else id_key(plan.id_seed, number)
            restamp = Restamp(shift, key)
            if plan.to_now and not time_unix_nano:
                return restamp.apply(batch)
            self._restamp = restamp
        return self._restamp.apply(batch)

    def _note_end(self) -> None:
        self.outcome.duration_s = time.monotonic() - self._began_s
        unsettled = self._delivery.first_unsettled
        place = self._next if unsettled is None else self._under_way[unsettled]
        if place is not None:
            self.outcome.resume_at = place.position
            self.outcome.passes_left = self._plan.passes - place.pass_number


def _sizes_bytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)
