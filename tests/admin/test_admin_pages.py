"""Pages of the admin server: what a browser may do with them, and where they may stand."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message

import pytest

from tapeline.admin.config import AdminConfig
from tapeline.admin.server import AdminServer, Health, bind
from tapeline.pipeline.markup import element
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report

PAGE = Page(
    "Orders <b>", lambda reports: {"n": [r["n"] for r in reports]}, lambda r: element("p", str(r))
)


class Told:
    """A subject that reports what a test says."""

    def __init__(self, *reports: Report | None) -> None:
        self._reports = reports

    async def health(self) -> Health:
        return Health(())

    async def exposition(self) -> bytes:
        return b""

    async def reports(self, name: str) -> Sequence[Report | None]:
        assert name == "orders"
        return self._reports


@contextmanager
def serving(subject: Told, pages: Mapping[str, Page]) -> Iterator[str]:
    """Run a server, and yield its address."""
    server = AdminServer(bind(AdminConfig(listen="127.0.0.1:0")), subject, pages)
    server.start()
    try:
        yield str(server.address)
    finally:
        server.stop()


def get(address: str, path: str = "/orders") -> tuple[int, Message, str]:
    """Return status, headers and body."""
    url = f"http://{address}{path}"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def test_a_page_can_run_and_load_nothing() -> None:
    """Its policy allows the one style that is in it."""
    with serving(Told({"n": 1}), {"orders": PAGE}) as address:
        status, headers, text = get(address)

    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "<title>Orders &lt;b&gt; · Tapeline</title>" in text
    assert "<b>" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_only_those_who_answered_are_merged() -> None:
    """And the page says that it is not all."""
    with serving(Told({"n": 1}, None, {"n": 3}), {"orders": PAGE}) as address:
        report = json.loads(get(address, "/orders?format=json")[2])
        text = get(address)[2]

    assert report == {"workers": {"asked": 3, "answered": 2}, "n": [1, 3]}
    assert "from 2 of 3 workers" in text


def test_nobody_who_can_tell_is_no_page() -> None:
    """The chain is being built, or the processor is in it no longer."""
    with serving(Told(None), {"orders": PAGE}) as address:
        status, headers, text = get(address)

    assert (status, headers.get_content_type()) == (503, "application/json")
    assert "orders has nothing to report yet" in json.loads(text)["error"]


@pytest.mark.parametrize("name", ["metrics", "health", "a/b", "", "a b", "{x}", "x" * 65])
def test_a_page_takes_no_path_from_others(name: str) -> None:
    """A plugin may be named anything."""
    with socket.socket() as listener, pytest.raises(ValueError, match="name it otherwise"):
        AdminServer(listener, Told(), {name: PAGE})
