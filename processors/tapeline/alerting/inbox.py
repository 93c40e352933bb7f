"""The local inbox: a small web server that takes Alertmanager's webhook and shows what it was told.

`python -m tapeline.alerting.inbox --listen 127.0.0.1:8092 --runbooks docs/runbooks`. It stands in
for Slack, PagerDuty, Opsgenie and e-mail where nobody has an account; what it remembers is gone
when it ends. Notices are taken at `/receivers/<name>`, and only as `application/json`: a page of
another site can't send that here without being asked, and is never answered.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from tapeline.admin.pages import STYLE, policy_headers
from tapeline.alerting.inbox_page import PAGE_STYLE, inbox_body, page
from tapeline.alerting.notices import Inbox, NoticeError, read_notices
from tapeline.alerting.runbook_page import RUNBOOK_NAME, runbook_body
from tapeline.pipeline.addresses import Address, listen_on, parse_address
from tapeline.pipeline.markup import Markup, element, joined

__all__ = ["InboxServer", "main"]

logger = logging.getLogger(__name__)

_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
_MAX_RUNBOOK_BYTES: Final = 256 * 1024
_REFRESH_S: Final = 5
_BACKLOG: Final = 128
_STYLE: Final = STYLE + PAGE_STYLE
_HEADERS: Final = {**policy_headers(_STYLE, (), connects=False), "Cache-Control": "no-store"}


@dataclass
class InboxServer:
    """Answers over one `Inbox`. Lives in one event loop."""

    runbooks: Path
    inbox: Inbox = field(default_factory=Inbox)
    refused: int = 0

    def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_post("/receivers/{receiver}", self._take)
        application.router.add_get("/", self._page)
        application.router.add_get("/api/alerts", self._alerts)
        application.router.add_get("/runbooks/{name}", self._runbook)
        for path in ("/health", "/health/live", "/health/ready"):
            application.router.add_get(path, self._health)
        return application

    async def _take(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return self._refuse(415, "only application/json is taken")
        try:
            payload = json.loads(await request.read())
            notices = read_notices(payload, request.match_info["receiver"], _now())
        except web.HTTPRequestEntityTooLarge as error:
            return self._refuse(413, f"more than {_MAX_BODY_BYTES} bytes: {error.text}")
        except (NoticeError, ValueError, RecursionError) as error:
            return self._refuse(400, str(error))
        self.inbox.add(notices)
        return web.json_response({"taken": len(notices)})

    def _refuse(self, status: int, why: str) -> web.Response:
        """Alertmanager drops what is answered 4xx, so this is where it can be seen."""
        self.refused += 1
        if self.refused == 1:
            logger.warning("the first notification that is refused: %s", why)
        return web.json_response({"error": why}, status=status)

    async def _alerts(self, request: web.Request) -> web.Response:
        """Answer every notice that is kept, newest first; `?alertname=` and `?status=` pick."""
        name, status = request.query.get("alertname"), request.query.get("status")
        alerts = [
            notice.as_json()
            for notice in self.inbox.newest_first()
            if name in {None, notice.name} and status in {None, notice.status}
        ]
        body = {
            "alerts": alerts,
            "received": self.inbox.received,
            "forgotten": self.inbox.forgotten,
            "refused": self.refused,
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def _page(self, request: web.Request) -> web.Response:
        del request
        return _html(page("Alerts", _STYLE, inbox_body(self.inbox, _now()), _REFRESH_S))

    async def _runbook(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].removesuffix(".md")
        path = self.runbooks / f"{name}.md"
        if not RUNBOOK_NAME.fullmatch(name) or not path.is_file():
            body = joined(
                element("h1", "No such runbook"),
                element("p", "There is no page of that name in docs/runbooks."),
            )
            return _html(page("No such runbook", _STYLE, _with_way_back(body), None), 404)
        with path.open("rb") as file:
            text = file.read(_MAX_RUNBOOK_BYTES).decode(errors="replace")
        return _html(page(name, _STYLE, _with_way_back(runbook_body(text)), None))

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ready", "received": self.inbox.received})


def _with_way_back(body: Markup) -> Markup:
    return joined(element("p", element("a", "All alerts", href="/")), body)


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status, headers=_HEADERS)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _serve(address: Address, server: InboxServer) -> None:
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    try:
        await web.SockSite(runner, listen_on(address, _BACKLOG)).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; return 0, or 1 where the address can't be listened on."""
    parser = argparse.ArgumentParser(
        prog="python -m tapeline.alerting.inbox",
        description="Takes Alertmanager's webhook and shows the alerts on a page.",
    )
    parser.add_argument("--listen", default="127.0.0.1:8092", metavar="HOST:PORT")
    parser.add_argument("--runbooks", type=Path, default=Path("docs/runbooks"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        address = parse_address(options.listen)
    except ValueError as error:
        parser.error(f"--listen: {error}")
    try:
        asyncio.run(_serve(address, InboxServer(options.runbooks)))
    except OSError as error:
        sys.stderr.write(f"inbox: {address} can't be listened on: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
