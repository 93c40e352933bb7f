"""The admin HTTP server: a small aiohttp application in a thread and loop of its own.

The port is bound in the caller's thread, so that a taken one is an error at start; aiohttp itself
is imported in the server's thread, since that takes longer than everything else at start.
"""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import tapeline
from tapeline.admin.config import AdminConfig
from tapeline.admin.live import LiveFeed
from tapeline.admin.pages import check_pages, content, document, page_headers
from tapeline.admin.tap_door import TapDoor
from tapeline.pipeline.addresses import Address, listen_on
from tapeline.pipeline.form import running_form
from tapeline.pipeline.markup import Markup
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["AdminListenError", "AdminServer", "Health", "Subject", "bind", "bind_unix"]

logger = logging.getLogger(__name__)

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BACKLOG: Final = 128
_STOP_TIMEOUT_S: Final = 5.0
_UNIX_MODE: Final = 0o600


class AdminListenError(OSError):
    """The admin address can't be listened on; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` tells: ready where `problems` is empty."""

    problems: tuple[str, ...]
    details: dict[str, object] = field(default_factory=dict)


class Subject(Protocol):
    """Whose health and metrics are served. Called in the server's own loop."""

    async def health(self) -> Health:
        """Return the health of now."""

    async def exposition(self) -> bytes:
        """Return the metrics of now, in Prometheus' text format."""

    async def reports(self, name: str) -> Sequence[Report | None]:
        """Return what the processor of a name reports in each worker; None where it can't."""


def bind(config: AdminConfig) -> socket.socket:
    """Return a listening socket on `admin.listen`; raises AdminListenError."""
    try:
        return listen_on(config.address, _BACKLOG)
    except OSError as error:
        raise AdminListenError(f"admin.listen {config.address}: {error.strerror}") from error


def bind_unix(path: Path) -> socket.socket:
    """Return a listening Unix socket that only this user can reach; raises AdminListenError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(_UNIX_MODE)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AdminListenError(f"the socket {path}: {error.strerror or error}") from error
    return listener


class AdminServer:
    """Serves `/health`, `/health/live`, `/health/ready`, `/metrics` and pages on a bound socket.

    A page stands under `/` and the name of its processor; one that is live has its events below.
    """

    def __init__(
        self,
        listener: socket.socket,
        subject: Subject,
        pages: Mapping[str, Page],
        tap: TapDoor | None = None,
    ) -> None:
        """Begin nothing yet; raises ValueError for a page that can't have its name as path."""
        check_pages(pages)
        self._tap = tap
        self._listener = listener
        self._subject = subject
        self._pages = pages
        self._started_s = time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tapeline-admin", daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens, for a TCP socket."""
        host, port = self._listener.getsockname()[:2]
        return Address(host, port)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port, and wait until that is done. Does nothing where it never began."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_TIMEOUT_S)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        from aiohttp import web  # noqa: PLC0415 - see the module's docstring

        application = web.Application()
        for path, handler in (
            ("/health", self._health),
            ("/health/live", self._live),
            ("/health/ready", self._ready),
            ("/metrics", self._metrics),
        ):
            application.router.add_get(path, _without_store(handler))
        for name in self._pages:
            application.router.add_get(f"/{name}", _without_store(partial(self._page, name)))
            if self._pages[name].is_live:
                feed = LiveFeed(partial(self._content, name), self._stop)
                application.router.add_get(f"/{name}/events", feed.handle)
        if self._tap is not None:
            self._tap.add_to(application, self._stop)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, self._listener).start()
        try:
            await self._stop.wait()
        finally:
            await runner.cleanup()

    async def _live(self, request: "web.Request") -> "web.Response":
        del request
        return _json({"status": "live"}, 200)

    async def _ready(self, request: "web.Request") -> "web.Response":
        del request
        health = await self._subject.health()
        status = "not ready" if health.problems else "ready"
        return _json(
            {"status": status, "problems": list(health.problems)}, 503 if health.problems else 200
        )

    async def _health(self, request: "web.Request") -> "web.Response":
        del request
        health = await self._subject.health()
        return _json(
            {
                "status": "not ready" if health.problems else "ready",
                "live": True,
                "ready": not health.problems,
                "problems": list(health.problems),
                "version": tapeline.__version__,
                "form": running_form(),
                "uptime_seconds": round(time.monotonic() - self._started_s, 3),
                **health.details,
            },
            200,
        )

    async def _metrics(self, request: "web.Request") -> "web.Response":
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        del request
        body = await self._subject.exposition()
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})

    async def _page(self, name: str, request: "web.Request") -> "web.Response":
        """Answer JSON where the client asks for it, else HTML; 503 where no worker can tell."""
        from aiohttp import web  # noqa: PLC0415 - loaded long ago

        page = self._pages[name]
        if _wants_json(request):
            reports, answered = await self._reports(name)
            if answered:
                merged = await asyncio.to_thread(page.merge, answered)
                workers = {"asked": len(reports), "answered": len(answered)}
                return _json({"workers": workers, **merged}, 200)
        else:
            inside = await self._content(name)
            if inside is not None:
                text = await asyncio.to_thread(document, name, page, inside)
                headers = page_headers(page)
                return web.Response(text=text, content_type="text/html", headers=headers)
        return _json({"error": f"{name} has nothing to report yet; try again"}, 503)

    async def _content(self, name: str) -> Markup | None:
        """Return what stands in a page now; None where no worker can tell."""
        page = self._pages[name]
        reports, answered = await self._reports(name)
        if not answered:
            return None
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        # In a thread: health must answer while a large page is made.
        return await asyncio.to_thread(
            lambda: content(
                page.body(page.merge(answered)),
                asked=len(reports),
                answered=len(answered),
                at=at,
            )
        )

    async def _reports(self, name: str) -> tuple[Sequence[Report | None], list[Report]]:
        reports = await self._subject.reports(name)
        return reports, [report for report in reports if report is not None]


def _wants_json(request: "web.Request") -> bool:
    wanted = request.query.get("format")
    if wanted is not None:
        return wanted == "json"
    return "application/json" in request.headers.get("Accept", "")


def _json(body: dict[str, object], status: int) -> "web.Response":
    from aiohttp import web  # noqa: PLC0415 - loaded long ago

    text = json.dumps(body, indent=1) + "\n"
    return web.Response(text=text, status=status, content_type="application/json")


def _without_store(
    handler: "Callable[[web.Request], Awaitable[web.Response]]",
) -> "Callable[[web.Request], Awaitable[web.Response]]":
    async def handle(request: "web.Request") -> "web.Response":
        response = await handler(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle
