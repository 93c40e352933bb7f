"""`/tap` and `/tap/events`: the page, and who may have the events.

The page holds nothing and asks for the token. A wrong token is answered 401, and after some of
them 429, without a look at it, until a while has passed.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from tapeline.admin.live import EVENT_HEADERS, unless_stopped
from tapeline.admin.tap_page import PAGE_HEADERS, page_text
from tapeline.pipeline.token_files import TokenFileError, read_tokens
from tapeline.tap.allowance import Allowance
from tapeline.tap.config import TapConfig
from tapeline.tap.feed import Feed, encoded
from tapeline.tap.filters import FilterError, TapFilter, parse_filter
from tapeline.tap.metrics import DoorMetrics
from tapeline.transport.authentication import Tokens, Verdict

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MAX_READERS", "MIN_TOKEN_CHARACTERS", "FeedMaker", "TapDoor", "read_tap_tokens"]

logger = logging.getLogger(__name__)

MAX_READERS: Final = 8
MIN_TOKEN_CHARACTERS: Final = 16
"""A guess a second makes 32 million in a year; 16 random hexadecimal digits are 1.8e19."""
WRONG_TOKENS_AT_ONCE: Final = 10
WRONG_TOKENS_PER_S: Final = 1.0
_LOOK_AGAIN_S: Final = 5.0
"""So long may one go on to look whose token was taken away."""
FeedMaker: TypeAlias = Callable[[TapFilter, str], Feed | None]
"""Begins to look, for a filter and the Authorization header; None where there is nothing yet.
Called in the admin server's loop."""


def read_tap_tokens(config: TapConfig) -> Tokens:
    """Return the tokens that may look; raises TokenFileError that says what to do."""
    tokens = read_tokens(config.token_file)
    if min(map(len, tokens)) < MIN_TOKEN_CHARACTERS:
        raise TokenFileError(
            f"admin.tap.token_file: {config.token_file} has a token of less than"
            f" {MIN_TOKEN_CHARACTERS} characters; make one with `openssl rand -hex 32`"
        )
    return Tokens(tokens)


@dataclass
class TapDoor:
    """Answers who comes to look. Lives in the admin server's loop."""

    config: TapConfig
    make_feed: FeedMaker
    metrics: DoorMetrics
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _wrong: Allowance = field(
        default_factory=lambda: Allowance(
            WRONG_TOKENS_PER_S, WRONG_TOKENS_AT_ONCE / WRONG_TOKENS_PER_S
        )
    )
    _reader_count: int = 0
    _has_told_of_tokens: bool = False

    def add_to(self, application: "web.Application", stop: asyncio.Event) -> None:
        """Answer from now on; `stop` ends all streams."""
        self._stop = stop
        application.router.add_get("/tap", self._page)
        application.router.add_get("/tap/events", self._events, allow_head=False)

    async def _page(self, request: "web.Request") -> "web.Response":
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        del request
        return web.Response(
            text=page_text(),
            content_type="text/html",
            headers={**PAGE_HEADERS, "Cache-Control": "no-store"},
        )

    async def _events(self, request: "web.Request") -> "web.StreamResponse":
        self.metrics.attempts.inc()
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            wanted = parse_filter(request.query.items())
        except FilterError as error:
            return self._refused("filter", HTTPStatus.BAD_REQUEST, str(error))
        if self._reader_count >= MAX_READERS:
            told = f"{MAX_READERS} look already; try again when one has gone"
            return self._refused("too_many", HTTPStatus.SERVICE_UNAVAILABLE, told)
        self._reader_count += 1
        self.metrics.readers.set(self._reader_count)
        try:
            feed = self.make_feed(wanted, request.headers.get("Authorization", ""))
            if feed is None:
                told = "the gate has not begun yet; try again"
                return self._refused("not_ready", HTTPStatus.SERVICE_UNAVAILABLE, told)
            try:
                return await self._stream(request, feed)
            finally:
                await feed.close()
        finally:
            self._reader_count -= 1
            self.metrics.readers.set(self._reader_count)

    async def _refusal(self, request: "web.Request") -> "web.Response | None":
        """Return the answer to one who may not look; None where he may."""
        # Taken before anything is awaited: many at once must not all be looked at.
        if not self._wrong.take(1, time.monotonic()):
            told = "too many wrong tokens; wait some seconds"
            return self._refused("throttled", HTTPStatus.TOO_MANY_REQUESTS, told)
        try:
            verdict = await self._verdict(request)
        except TokenFileError as error:
            self._wrong.give_back(1)
            if not self._has_told_of_tokens:
                self._has_told_of_tokens = True
                logger.error("nobody may look at the tap: %s", error)  # noqa: TRY400 - for users
            told = "nobody may look: the gate's log says why"
            return self._refused("no_tokens", HTTPStatus.SERVICE_UNAVAILABLE, told)
        self._has_told_of_tokens = False
        if verdict is Verdict.ALLOWED:
            self._wrong.give_back(1)
            return None
        told = "send the header `Authorization: Bearer TOKEN` with a token of admin.tap.token_file"
        return self._refused(verdict.value, HTTPStatus.UNAUTHORIZED, told)

    async def _verdict(self, request: "web.Request") -> Verdict:
        """Judge a request by the tokens of now: who takes one away wants that to hold."""
        tokens = await asyncio.to_thread(read_tap_tokens, self.config)
        return _verdict(tokens, request.headers.getall("Authorization", []))

    async def _may_stay(self, request: "web.Request") -> bool:
        try:
            return await self._verdict(request) is Verdict.ALLOWED
        except TokenFileError:
            return False

    def _refused(self, reason: str, status: HTTPStatus, told: str) -> "web.Response":
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        self.metrics.refused[reason].inc()
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            headers["Retry-After"] = "5"
        return web.Response(text=f"{told}\n", status=status, headers=headers)

    async def _stream(self, request: "web.Request", feed: Feed) -> "web.StreamResponse":
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        response = web.StreamResponse(headers=EVENT_HEADERS)
        try:
            await response.prepare(request)
            look_again_s = time.monotonic() + _LOOK_AGAIN_S
            while not self._stop.is_set():
                if time.monotonic() >= look_again_s:
                    look_again_s = time.monotonic() + _LOOK_AGAIN_S
                    if not await self._may_stay(request):
                        break
                events = await unless_stopped(feed.next(), self._stop)
                await unless_stopped(response.write(encoded(events)), self._stop)
        except (ConnectionError, TimeoutError):
            # The reader went, or does not read: what is not sent yet must not wait for it.
            if request.transport is not None:
                request.transport.abort()
        return response


def _verdict(tokens: Tokens, given: list[str]) -> Verdict:
    """Judge the headers of a request: one, in ASCII, as tokens are."""
    if not given:
        return Verdict.MISSING_TOKEN
    if len(given) > 1 or not given[0].isascii():
        return Verdict.WRONG_TOKEN
    return tokens.check((("authorization", given[0]),))
