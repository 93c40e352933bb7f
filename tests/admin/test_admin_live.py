"""Pages that are live: their events, who may read how many of them, and how they end."""

import json
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse

import pytest

from tapeline.admin.config import AdminConfig
from tapeline.admin.live import MAX_READERS
from tapeline.admin.server import AdminServer, Health, bind
from tapeline.pipeline.markup import element
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report
from waiting import eventually

SCRIPT = "document.title = 'mine';"
LIVE = Page(
    "Live",
    lambda reports: reports[0],
    lambda report: element("p", f"<{report['n']}>\n"),
    style="p { color: red; }",
    scripts=(SCRIPT,),
    is_live=True,
)
PLAIN = Page("Plain", lambda reports: reports[0], lambda report: element("p", str(report["n"])))


class Counted:
    """A subject whose report says how often it was asked for; None while it has nothing."""

    def __init__(self, *, has_report: bool = True) -> None:
        self.asked = 0
        self.has_report = has_report

    async def health(self) -> Health:
        return Health(())

    async def exposition(self) -> bytes:
        return b""

    async def reports(self, name: str) -> Sequence[Report | None]:
        del name
        self.asked += 1
        return [{"n": self.asked} if self.has_report else None]


@contextmanager
def serving(subject: Counted, pages: Mapping[str, Page]) -> Iterator[AdminServer]:
    """Run a server."""
    server = AdminServer(bind(AdminConfig(listen="127.0.0.1:0")), subject, pages)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def reading(server: AdminServer, path: str = "/live/events") -> Iterator[HTTPResponse]:
    """Open a stream of events."""
    connection = HTTPConnection(server.address.host, server.address.port, timeout=10)
    try:
        connection.request("GET", path)
        yield connection.getresponse()
    finally:
        connection.close()


def event(response: HTTPResponse) -> str:
    """Return the next event."""
    lines = [response.readline().decode(), response.readline().decode()]
    assert lines[1] == "\n"
    return lines[0].removesuffix("\n")


def test_content_comes_again_and_again() -> None:
    """Each event is one line, whatever is in it, and is what the page would show."""
    with serving(Counted(), {"live": LIVE}) as server, reading(server) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        first, second = (json.loads(event(response).removeprefix("data: ")) for _ in range(2))

    assert "<p>&lt;1&gt;\n</p>" in first
    assert "<p>&lt;2&gt;\n</p>" in second
    assert "The same as JSON" in first


def test_many_readers_cost_one_look() -> None:
    """What one of them has just seen is what the others get."""
    subject = Counted()
    with serving(subject, {"live": LIVE}) as server, ExitStack() as stack:
        readers = [stack.enter_context(reading(server)) for _ in range(MAX_READERS)]
        seen = {event(reader) for reader in readers}
        assert len(seen) <= 2
        assert subject.asked <= 2
        with reading(server) as refused:
            assert refused.status == 503


def test_readers_who_go_make_room() -> None:
    """However they go."""
    with serving(Counted(), {"live": LIVE}) as server:
        with ExitStack() as stack:
            for _ in range(MAX_READERS):
                stack.enter_context(reading(server))

        def is_taken() -> bool:
            with reading(server) as reader:
                return reader.status == 200

        eventually(is_taken, timeout_s=15)


def test_one_who_does_not_read_holds_nobody_up() -> None:
    """The server answers others, and stops at once."""
    big = Page("Big", LIVE.merge, lambda _: element("p", "x" * 30_000_000), is_live=True)
    subject = Counted()
    with serving(subject, {"live": big}) as server:
        address = (server.address.host, server.address.port)
        with socket.create_connection(address) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(b"GET /live/events HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: subject.asked > 0, timeout_s=10)
            with urllib.request.urlopen(f"http://{server.address}/health/live", timeout=5) as live:
                assert live.status == 200
            began_s = time.monotonic()
            server.stop()
            assert time.monotonic() - began_s < 5


def test_a_page_without_a_report_waits() -> None:
    """The stream stays open, with comments, until there is one."""
    subject = Counted(has_report=False)
    with serving(subject, {"live": LIVE}) as server, reading(server) as response:
        assert event(response) == ": nothing to report"
        subject.has_report = True
        assert event(response).startswith("data: ")


def test_the_policy_names_what_the_page_brings() -> None:
    """Its scripts by their digests, and its own server; a plain page still runs nothing."""
    with serving(Counted(), {"live": LIVE, "plain": PLAIN}) as server:
        pages = {}
        for name in ("live", "plain"):
            with urllib.request.urlopen(f"http://{server.address}/{name}", timeout=5) as response:
                pages[name] = (
                    response.headers["Content-Security-Policy"],
                    response.read().decode(),
                )
        with reading(server, "/plain/events") as missing:
            assert missing.status == 404

    policy, text = pages["live"]
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    assert f"<script>{SCRIPT}</script>" in text
    assert 'data-events="live/events"' in text
    policy, text = pages["plain"]
    assert "script-src" not in policy
    assert "connect-src" not in policy
    assert "<script" not in text


@pytest.mark.parametrize("page", [
    Page("x", LIVE.merge, LIVE.body, scripts=("'</script><b>'",)),
    Page("x", LIVE.merge, LIVE.body, style="</style>"),
])  # fmt: skip
def test_a_script_cannot_end_early(page: Page) -> None:
    """It would be markup from there on."""
    with socket.socket() as listener, pytest.raises(ValueError, match="'</' in it"):
        AdminServer(listener, Counted(), {"x": page})
