"""One request through one function: called for each record, what it changed spliced back. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, TypeAlias

from tapeline.kit.derived import Derive, Note
from tapeline.kit.logs import LogRecord
from tapeline.kit.points import DataPoint
from tapeline.kit.record import Record, RequestContext
from tapeline.kit.spans import Span
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch

__all__ = [
    "VIEWS",
    "Failure",
    "OnFailure",
    "Outcome",
    "ProcessorFailedError",
    "Step",
    "failure_of",
    "run",
]

Step: TypeAlias = Callable[[Any], object]
"""What is called with each record: a LogRecord, Span or DataPoint."""

VIEWS: Final[dict[Signal, type[Record]]] = {
    Signal.LOGS: LogRecord,
    Signal.TRACES: Span,
    Signal.METRICS: DataPoint,
}


class OnFailure(StrEnum):
    """What becomes of a record on which a processor failed."""

    REFUSE = "refuse"
    """The whole request is refused; the sender sends it again."""
    DROP = "drop"
    """The record is left out."""
    PASS = "pass"  # noqa: S105 - no password
    """The record goes on as it came, without what was changed until then."""


class ProcessorFailedError(Exception):
    """A processor's function raised something. The message never quotes the data."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a function raised, by its type, and where. What it said may quote the data."""

    error: str
    place: str


@dataclass(slots=True)
class Outcome:
    """What became of a request. `batch` is the same object where nothing changed."""

    batch: Batch
    seen: int = 0
    changed: int = 0
    dropped: int = 0
    failed: int = 0
    failures: dict[Failure, int] = field(default_factory=dict)
    """At most one for each place in the function."""
    notes: list[Note] = field(default_factory=list)
    refused: bool = False


def run(
    batch: Batch,
    step: Step,
    now_unix_nano: int,
    *,
    on_failure: OnFailure,
    containing: Sequence[bytes] = (),
) -> Outcome:
    """Call a function for each record of a request, and return what came of it.

    `containing`: it is called only for records whose bytes hold one of these. What it raises does
    not get out: `refused` says that nothing of the request may pass. Raises MalformedRequestError
    where a record that the function asked for does not parse.
    """
    outcome = Outcome(batch)
    if containing and not any(needle in batch.payload for needle in containing):
        return outcome
    index, derive = batch.index, Derive()
    context = RequestContext(batch.payload, index, derive, now_unix_nano)
    view = VIEWS[batch.signal]
    contents: dict[int, bytes | None] = {}
    numbers = _numbers(batch.payload, index, containing) if containing else range(len(index))
    for number in numbers:
        record = view(context, number)
        noted = len(derive.notes)
        outcome.seen += 1
        try:
            _apply(step, record, number, contents)
        except MalformedRequestError:
            raise
        # Also what would end the thread: the sender would hear UNKNOWN, and drop its data.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            del derive.notes[noted:]
            _note_failure(outcome, error, step)
            if on_failure is OnFailure.REFUSE:
                outcome.refused = True
                return outcome
            if on_failure is OnFailure.DROP:
                contents[number] = None
    outcome.notes = derive.notes
    if contents:
        _splice(outcome, contents)
    return outcome


def _apply(step: Step, record: Record, number: int, contents: dict[int, bytes | None]) -> None:
    if step(record) is not None:
        raise TypeError("a processor returns nothing: it changes the record, or calls drop()")
    if record.is_dropped:
        contents[number] = None
    elif record.is_changed:
        contents[number] = record.encoded()


def _numbers(payload: bytes, index: RecordIndex, needles: Sequence[bytes]) -> Iterator[int]:
    """Yield the records that hold one of the needles, in their order."""
    found = set()
    for needle in needles:
        position = payload.find(needle)
        while position >= 0:
            record = index.record_at(position)
            if record is not None and position + len(needle) <= index.record_ends[record]:
                found.add(record)
                position = max(position, index.record_ends[record] - len(needle))
            position = payload.find(needle, position + 1)
    yield from sorted(found)


def _splice(outcome: Outcome, contents: dict[int, bytes | None]) -> None:
    batch = outcome.batch
    outcome.dropped = sum(content is None for content in contents.values())
    outcome.changed = len(contents) - outcome.dropped
    emptied = _emptied(batch, contents) if outcome.dropped else set()
    index = batch.index
    gone = {number for container in emptied for number in index.records_of(container)}
    kept = {number: content for number, content in contents.items() if number not in gone}
    payload = splice(batch.payload, index, records=kept, containers=emptied)
    if payload != batch.payload:
        outcome.batch = batch.with_payload(payload)


def _emptied(batch: Batch, contents: dict[int, bytes | None]) -> set[int]:
    """Return the resources, scopes and metrics that have lost the last of their records.

    A metric's data goes only with its metric: where it stands twice, parsers merge it, and the one
    without points may hold the temporality.
    """
    index = batch.index
    dropped: Counter[int] = Counter()
    for number, content in contents.items():
        if content is None:
            around = index.enclosing(number)
            dropped.update(around[:-1] if batch.signal is Signal.METRICS else around)
    return {
        container
        for container, count in dropped.items()
        if count == len(index.records_of(container))
    }


def _note_failure(outcome: Outcome, error: BaseException, step: Step) -> None:
    failure = failure_of(error, step)
    outcome.failed += 1
    outcome.failures[failure] = outcome.failures.get(failure, 0) + 1


def failure_of(error: BaseException, step: Callable[..., object]) -> Failure:
    """Return what was raised and the last line of the function's own file that led there."""
    # A function with its settings is a partial of it, a method is bound to its object.
    function = getattr(step, "func", getattr(step, "__func__", step))
    code = getattr(function, "__code__", None)
    if code is None:
        return Failure(type(error).__name__, "?")
    line = code.co_firstlineno
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return Failure(type(error).__name__, f"{code.co_filename}:{line}")
