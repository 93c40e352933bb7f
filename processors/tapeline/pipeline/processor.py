"""What a processor is: bytes and a time in, bytes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from tapeline.pipeline.batch import Batch

__all__ = ["Heir", "NotNowError", "Processor", "Report", "Reporting", "Result"]

Report: TypeAlias = dict[str, Any]
"""Plain data that is JSON as it is."""


class NotNowError(Exception):
    """A processor can take no batch at the moment, whatever is in it: its disk is full, say.

    The sender is told to retry for as long as that lasts; no attempt of the batch is counted.
    """


@dataclass(frozen=True, slots=True)
class Result:
    """What a processor made of a batch.

    `batch` is the same object when nothing changed, another one when something did, and None when
    the processor consumed it. `derived` are batches that it made from it, of any signal.
    """

    batch: Batch | None
    derived: tuple[Batch, ...] = ()


class Processor(Protocol):
    """One step of a chain.

    The chain calls a processor from one thread at a time. It reads no clock: time arrives as
    nanoseconds since the Unix epoch, which is what makes replay equal to live.
    """

    @property
    def name(self) -> str:
        """The processor's name in the `chain` section of the configuration."""

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Judge one batch. What raises is refused: nothing unprocessed is ever forwarded."""

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit what is due by now. Offline, event time drives it."""

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit what is left, at shutdown or at the end of the input."""


@runtime_checkable
class Heir(Protocol):
    """What a processor with state offers besides: to go on where its predecessor stopped.

    At a reload the new processor is built while the old one still works. So it may not read what
    the old one keeps (a file, a database) before its first batch, its first tick or this call.
    """

    def take_over(self, predecessor: Processor) -> None:
        """Go on from a processor of the same name, which was closed just now.

        It may be of another type or configuration: what does not fit is left behind.
        """


@runtime_checkable
class Reporting(Protocol):
    """What a processor offers besides: to tell of its state. Its factory's `page` shows it."""

    def report(self) -> Callable[[], Report]:
        """Look at the state, and return what makes the report of it.

        It is called between two batches, so it must be quick. What it returns is called in another
        thread, while the next batches run: there is time for texts.
        """
