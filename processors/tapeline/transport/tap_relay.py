"""The tap of several workers as one: the parent reads each worker's events, and joins them.

Each worker filters, masks and limits by itself, so that nothing but what may be seen crosses the
socket. Who reads slowly here makes each worker leave events out: nothing piles up in between.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tapeline.tap.feed import COUNTS_PERIOD_S, Kind, TapEvent, counts_event, sum_of
from tapeline.tap.filters import TapFilter

if TYPE_CHECKING:
    import aiohttp

__all__ = ["RelayFeed"]

_MAX_WAITING: Final = 100
_RETRY_S: Final = 1.0
_CONNECT_TIMEOUT_S: Final = 5.0
_SILENCE_S: Final = 10.0
"""A worker tells its counts every second: one that is silent for so long is asked anew."""


class RelayFeed:
    """What a reader gets to see of all workers. Made and used in one event loop."""

    def __init__(
        self,
        sockets: Mapping[int, str],
        wanted: TapFilter,
        authorization: str,
    ) -> None:
        """Begin to read from the Unix socket of each worker's admin server."""
        self._wanted = wanted
        self._authorization = authorization
        self._events: asyncio.Queue[TapEvent] = asyncio.Queue(_MAX_WAITING)
        self._counts: dict[int, dict[str, Any]] = {}
        self._former: list[dict[str, Any]] = []
        self._counts_due_s = 0.0
        self._tasks = [
            asyncio.ensure_future(self._read(index, path)) for index, path in sockets.items()
        ]

    async def next(self) -> Sequence[TapEvent]:
        """Return what waits, after a wait for it, and the counts when they are due."""
        events: list[TapEvent] = []
        wait_s = self._counts_due_s - time.monotonic()
        if wait_s > 0:
            with suppress(TimeoutError):
                events.append(await asyncio.wait_for(self._events.get(), wait_s))
        while not self._events.empty():
            events.append(self._events.get_nowait())
        if time.monotonic() >= self._counts_due_s:
            self._counts_due_s = time.monotonic() + COUNTS_PERIOD_S
            counts = sum_of((*self._former, *self._counts.values()))
            events.append(counts_event(counts, len(self._counts)))
        return events

    async def close(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, index: int, path: str) -> None:
        """Read from one worker until `close`, also after it was restarted."""
        import aiohttp  # noqa: PLC0415 - the admin server's thread has loaded it

        while True:
            # It is away, or begins: asked again, and missing in `workers` until then.
            with suppress(aiohttp.ClientError, OSError, ValueError, TimeoutError):
                await self._read_once(index, path)
            last = self._counts.pop(index, None)
            if last is not None:
                # One that comes back counts from zero again.
                self._former = [vars_of_sum((*self._former, last))]
            await asyncio.sleep(_RETRY_S)

    async def _read_once(self, index: int, path: str) -> None:
        import aiohttp  # noqa: PLC0415 - as above

        timeout = aiohttp.ClientTimeout(
            total=None, connect=_CONNECT_TIMEOUT_S, sock_read=_SILENCE_S
        )
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path), timeout=timeout
            ) as session,
            session.get(
                "http://worker/tap/events",
                params=self._wanted.query(),
                headers={"Authorization": self._authorization},
            ) as response,
        ):
            if response.status == HTTPStatus.OK:
                await self._take(index, response)

    async def _take(self, index: int, response: "aiohttp.ClientResponse") -> None:
        kind = None
        while line := await response.content.readline():
            text = line.decode().removesuffix("\n")
            if text.startswith("event: "):
                kind = Kind(text.removeprefix("event: "))
            elif text.startswith("data: ") and kind is Kind.COUNTS:
                self._counts[index] = json.loads(text.removeprefix("data: "))
            elif text.startswith("data: ") and kind is Kind.RECORD:
                await self._events.put(TapEvent(kind, text.removeprefix("data: ")))


def vars_of_sum(told: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """Return the sums of counts in the shape that they came in."""
    loaded: dict[str, Any] = json.loads(counts_event(sum_of(told), 0).data)
    return loaded
