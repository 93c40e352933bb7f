"""The events of the tap as they are sent: server-sent events, from one process or from several.

Source: the HTML Standard, 9.2, Server-sent events.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final, Protocol

from tapeline.tap.filters import TapFilter
from tapeline.tap.tap import Counts, Tap

__all__ = ["Feed", "Kind", "LocalFeed", "TapEvent", "counts_event", "encoded", "sum_of"]

COUNTS_PERIOD_S: Final = 1.0


class Kind(StrEnum):
    """What an event tells."""

    RECORD = "record"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class TapEvent:
    """One event; `data` is JSON, in one line."""

    kind: Kind
    data: str


class Feed(Protocol):
    """What one reader gets to see."""

    async def next(self) -> Sequence[TapEvent]:
        """Wait for events, at most COUNTS_PERIOD_S, and return what came."""

    async def close(self) -> None:
        """Want no more."""


def encoded(events: Iterable[TapEvent]) -> bytes:
    """Return events as they go over the wire."""
    return "".join(f"event: {event.kind}\ndata: {event.data}\n\n" for event in events).encode()


def counts_event(counts: Counts, workers: int) -> TapEvent:
    """Return the event that tells counts, and of how many workers they are."""
    return TapEvent(Kind.COUNTS, json.dumps({**asdict(counts), "workers": workers}))


def sum_of(told: Iterable[Mapping[str, object]]) -> Counts:
    """Return the counts of several workers together; what is no number counts as none."""
    names = [field.name for field in fields(Counts)]
    sums = dict.fromkeys(names, 0)
    for one in told:
        for name in names:
            value = one.get(name)
            sums[name] += value if isinstance(value, int) else 0
    return Counts(**sums)


class LocalFeed:
    """What a reader gets to see of this process. Made and used in one event loop."""

    def __init__(self, tap: Tap, wanted: TapFilter) -> None:
        """Begin to look."""
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._has_events = asyncio.Event()
        self._counts_due_s = 0.0
        self._reader = tap.subscribe(wanted, self._notify)

    async def next(self) -> Sequence[TapEvent]:
        """Return what waits, after a wait for it, and the counts when they are due."""
        wait_s = self._counts_due_s - time.monotonic()
        if wait_s > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_events.wait(), wait_s)
        self._has_events.clear()
        events = [TapEvent(Kind.RECORD, text) for text in self._reader.take()]
        if time.monotonic() >= self._counts_due_s:
            self._counts_due_s = time.monotonic() + COUNTS_PERIOD_S
            events.append(counts_event(self._tap.counts_of(self._reader), 1))
        return events

    async def close(self) -> None:
        """Look no more."""
        self._tap.unsubscribe(self._reader)

    def _notify(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._has_events.set)
        except RuntimeError:
            return  # The loop has ended; nobody waits.
