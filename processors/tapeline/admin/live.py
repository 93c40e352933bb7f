"""Server-sent events of a page that is live: its content, made anew while somebody looks.

Source: the HTML Standard, 9.2, Server-sent events. However many look, content is made once a
period; nobody who reads slowly, or not at all, holds anything up.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["EVENT_HEADERS", "MAX_READERS", "LiveFeed", "unless_stopped"]

T = TypeVar("T")

MAX_READERS: Final = 32
"""Further ones are told to come back."""
DEFAULT_PERIOD_S: Final = 2.0
_WRITE_TIMEOUT_S: Final = 10.0
EVENT_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",
}


class LiveFeed:
    """One page's events."""

    def __init__(
        self,
        make: Callable[[], Awaitable[str | None]],
        stop: asyncio.Event,
        *,
        period_s: float = DEFAULT_PERIOD_S,
    ) -> None:
        """`make` returns the content, or None where there is none now; `stop` ends all streams."""
        self._make = make
        self._stop = stop
        self._period_s = period_s
        self._making = asyncio.Lock()
        self._made_s = float("-inf")
        self._event = b""
        self.reader_count = 0

    async def handle(self, request: "web.Request") -> "web.StreamResponse":
        """Send content until the reader goes."""
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        if self.reader_count >= MAX_READERS:
            return web.Response(status=503, text="too many look at this page\n")
        response = web.StreamResponse(headers=EVENT_HEADERS)
        self.reader_count += 1
        try:
            await response.prepare(request)
            while not self._stop.is_set():
                event = await self._current()
                await unless_stopped(response.write(event), self._stop)
                await self._pause()
        except (ConnectionError, TimeoutError):
            # The reader went, or does not read: what is not sent yet must not wait for it.
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.reader_count -= 1
        return response

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), self._period_s)
        except TimeoutError:
            return

    async def _current(self) -> bytes:
        """Return the content as an event, made in this period; a comment where there is none."""
        async with self._making:
            if time.monotonic() - self._made_s >= self._period_s / 2:
                content = await self._make()
                # JSON has no line breaks but in escapes: the event is one line.
                self._event = (
                    b": nothing to report\n\n"
                    if content is None
                    else f"data: {json.dumps(content)}\n\n".encode()
                )
                self._made_s = time.monotonic()
            return self._event


async def unless_stopped(work: Awaitable[T], stop: asyncio.Event) -> T:
    """Wait for some work for one reader; raises TimeoutError where it takes too long, or all ends.

    A reader who does not read makes a write take too long.
    """
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait(
            {working, stopping}, timeout=_WRITE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not working.done():
            raise TimeoutError
        return await working
    finally:
        stopping.cancel()
        working.cancel()
