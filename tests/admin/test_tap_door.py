"""The tap's door: who may look, what a wrong token hears, and how many may look at once."""

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from otlp_client import logs
from tapeline.admin.config import AdminConfig
from tapeline.admin.server import AdminServer, Health, bind
from tapeline.admin.tap_door import MAX_READERS, WRONG_TOKENS_AT_ONCE, TapDoor, read_tap_tokens
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Report
from tapeline.pipeline.token_files import TokenFileError
from tapeline.pipeline.watch import Sighting
from tapeline.tap.config import TapConfig
from tapeline.tap.feed import Feed, LocalFeed
from tapeline.tap.filters import TapFilter
from tapeline.tap.metrics import DOOR_REFUSALS, DoorMetrics, TapMetrics
from tapeline.tap.tap import Tap
from waiting import eventually

TOKEN = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
EVENTS = "/tap/events"


class Empty:
    """A subject with nothing to tell."""

    async def health(self) -> Health:
        return Health(())

    async def exposition(self) -> bytes:
        return b""

    async def reports(self, name: str) -> Sequence[Report | None]:
        del name
        return []


@dataclass
class Door:
    """A running server with a tap."""

    server: AdminServer
    tap: Tap
    tokens: Path
    registry: CollectorRegistry

    def refused(self, reason: str) -> float:
        """Return how many were refused for a reason."""
        return self.value("refused_requests_total", reason=reason)

    def value(self, name: str, **labels: str) -> float:
        """Return a metric's value."""
        found = self.registry.get_sample_value(f"tapeline_tap_{name}", labels)
        assert found is not None
        return found

    @contextmanager
    def asking(self, path: str = EVENTS, **headers: str) -> Iterator[HTTPResponse]:
        """Ask for a path."""
        connection = HTTPConnection(self.server.address.host, self.server.address.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def looking(self, query: str = "", token: str = TOKEN) -> AbstractContextManager[HTTPResponse]:
        """Ask with a token."""
        return self.asking(EVENTS + query, Authorization=f"Bearer {token}")


@contextmanager
def serving(folder: Path, *, has_tap: bool = True) -> Iterator[Door]:
    """Run a server with a tap."""
    tokens = folder / "tokens"
    tokens.write_text(f"# who may look\n{OTHER}\n{TOKEN}\n", encoding="ascii")
    registry = CollectorRegistry()
    watched: list[bool] = []
    tap = Tap(TapMetrics(registry), watched.append, records_per_s=50)

    def feed(wanted: TapFilter, authorization: str) -> Feed | None:
        assert authorization == f"Bearer {TOKEN}" or OTHER in authorization
        return LocalFeed(tap, wanted) if has_tap else None

    door = TapDoor(TapConfig(token_file=tokens), feed, DoorMetrics(registry))
    server = AdminServer(bind(AdminConfig(listen="127.0.0.1:0")), Empty(), {}, door)
    server.start()
    try:
        yield Door(server, tap, tokens, registry)
    finally:
        server.stop()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A server with a tap."""
    with serving(tmp_path) as running:
        yield running


def offer(tap: Tap, body: str) -> None:
    """Let a log pass."""
    batch = Batch(Signal.LOGS, logs([body]).SerializeToString())
    sighting = Sighting(batch, lambda seen, /: seen.payload)
    tap.offer([Batch(Signal.LOGS, batch.payload, sighting=sighting)])


def next_event(response: HTTPResponse) -> tuple[str, str]:
    """Return kind and data of the next event."""
    kind, data, end = (response.readline().decode() for _ in range(3))
    assert end == "\n"
    return kind.removeprefix("event: ").strip(), data.removeprefix("data: ").strip()


def test_a_reader_with_a_token_gets_events_and_counts(door: Door) -> None:
    """As a stream that nothing on the way stores."""
    with door.looking() as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert next_event(response)[0] == "counts"
        assert door.value("readers") == 1
        offer(door.tap, "one\ntwo")
        kind, data = next_event(response)
        assert kind == "record"
        assert json.loads(data)["fields"]["body"] == "one\ntwo"
        kind, data = next_event(response)
        assert kind == "counts"
        assert json.loads(data) == {
            "passed": 1, "shown": 1, "left_out": 0, "not_examined": 0, "withheld": 0, "workers": 1,
        }  # fmt: skip
    eventually(lambda: door.value("readers") == 0, timeout_s=10)
    eventually(lambda: not door.tap.is_open, timeout_s=10)


def test_every_token_of_the_file_may_look(door: Door) -> None:
    """So they can be rotated."""
    with door.looking(token=OTHER) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_token"),
        ({"Authorization": "Basic abc"}, "missing_token"),
        ({"Authorization": "Bearer"}, "missing_token"),
        ({"Authorization": "Bearer " + TOKEN[:-1]}, "wrong_token"),
        ({"Authorization": "Bearer " + TOKEN + "0"}, "wrong_token"),
        ({"Authorization": "Bearer # who may look"}, "wrong_token"),
        ({"Authorization": "Bearer t\xf6ken"}, "wrong_token"),
        ({"Authorization": "Bearer \ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
         "wrong_token"),
    ],
)  # fmt: skip
def test_without_a_right_token_there_is_nothing(
    door: Door, headers: dict[str, str], reason: str
) -> None:
    """401 with what to send, counted; nothing says what was nearly right."""
    with door.asking(**headers) as response:
        text = response.read().decode()
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert text.startswith("send the header")
        assert TOKEN not in text
    assert door.refused(reason) == 1
    assert door.value("requests_total") == 1
    assert not door.tap.is_open


def test_two_authorization_headers_are_wrong(door: Door) -> None:
    """Who stands between must not be able to add one."""
    with socket.create_connection((door.server.address.host, door.server.address.port)) as raw:
        header = f"Authorization: Bearer {TOKEN}\r\n"
        raw.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n{header}{header}\r\n".encode())
        assert raw.recv(100).startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))


def test_a_token_in_the_address_is_refused(door: Door) -> None:
    """Addresses stand in logs and histories; the answer does not repeat it."""
    for query in (f"?token={TOKEN}", f"?access_token={TOKEN}"):
        with door.asking(EVENTS + query) as response:
            assert response.status == 401
        with door.looking(query) as response:
            assert response.status == 400
            assert TOKEN not in response.read().decode()
    assert door.refused("filter") == 2


def test_guessing_is_slowed_down(door: Door) -> None:
    """After some wrong tokens nothing is looked at for a while, then it is again."""
    statuses = []
    for number in range(WRONG_TOKENS_AT_ONCE + 5):
        with door.looking(token=f"{number:032x}") as response:
            statuses.append(response.status)
            if response.status == 429:
                assert response.headers["Retry-After"] == "5"
    assert statuses[:WRONG_TOKENS_AT_ONCE] == [401] * WRONG_TOKENS_AT_ONCE
    assert 429 in statuses
    assert door.refused("throttled") >= 1

    def may_look() -> bool:
        with door.looking() as response:
            return response.status == 200

    eventually(may_look, timeout_s=10, poll_s=0.5)


def test_right_tokens_use_nothing_up(door: Door) -> None:
    """However often somebody comes."""
    for _ in range(3 * WRONG_TOKENS_AT_ONCE):
        with door.looking("?signal=nonsense") as response:
            assert response.status == 400
    with door.looking() as response:
        assert response.status == 200


def test_so_many_may_look(door: Door) -> None:
    """Further ones are told to come back; who goes makes room."""
    with ExitStack() as stack:
        for _ in range(MAX_READERS):
            assert stack.enter_context(door.looking()).status == 200
        with door.looking() as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "5"
        assert door.refused("too_many") == 1
    eventually(lambda: door.value("readers") == 0, timeout_s=15)
    with door.looking() as response:
        assert response.status == 200


def test_a_token_that_is_taken_away_ends_what_it_opened(door: Door) -> None:
    """Within seconds, and without a reload; a broken file lets nobody in."""
    with door.looking() as response:
        assert response.status == 200
        door.tokens.write_text(f"{OTHER}\n", encoding="ascii")
        began_s = time.monotonic()
        assert response.read()
        assert time.monotonic() - began_s < 9
    with door.looking() as response:
        assert response.status == 401
    door.tokens.write_text("", encoding="ascii")
    with door.looking(token=OTHER) as response:
        assert response.status == 503
    assert door.refused("no_tokens") == 1


def test_a_gate_that_has_not_begun_says_so(tmp_path: Path) -> None:
    """The admin port is open before the rules are compiled."""
    with serving(tmp_path, has_tap=False) as door, door.looking() as response:
        assert response.status == 503
        assert door.refused("not_ready") == 1
        assert door.value("readers") == 0


def test_head_and_post_get_no_stream(door: Door) -> None:
    """Only GET has one."""
    for method in ("HEAD", "POST"):
        connection = HTTPConnection(door.server.address.host, door.server.address.port, timeout=10)
        connection.request(method, EVENTS, headers={"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 405
        connection.close()


def test_the_page_holds_nothing_and_may_do_little(door: Door) -> None:
    """No data, no token, one script and one style, named by their digests."""
    with door.asking("/tap") as response:
        text = response.read().decode()
        policy = response.headers["Content-Security-Policy"]
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert "connect-src 'self'" in policy
    assert "form-action 'none'" in policy
    assert TOKEN not in text
    for never in ("innerHTML", "localStorage", "sessionStorage", "cookie", "eval", "onclick="):
        assert never not in text


def test_a_server_without_a_tap_has_no_page() -> None:
    """Off unless it is configured."""
    server = AdminServer(bind(AdminConfig(listen="127.0.0.1:0")), Empty(), {})
    server.start()
    try:
        for path in ("/tap", EVENTS):
            connection = HTTPConnection(server.address.host, server.address.port, timeout=10)
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            assert connection.getresponse().status == 404
            connection.close()
    finally:
        server.stop()


def test_one_who_does_not_read_holds_no_one_up(door: Door) -> None:
    """Nor the end of the server."""
    with socket.create_connection((door.server.address.host, door.server.address.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        eventually(lambda: door.tap.is_open, timeout_s=10)
        for number in range(300):
            offer(door.tap, f"{number} " + "x" * 1900)
        with door.looking() as response:
            assert next_event(response)[0] == "counts"
        began_s = time.monotonic()
        door.server.stop()
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("content", ["", "short\n", "# only this\n", "t\xf6ken" * 8])
def test_weak_or_broken_token_files_are_refused(tmp_path: Path, content: str) -> None:
    """With what to do, and without the token."""
    path = tmp_path / "tokens"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TokenFileError) as refused:
        read_tap_tokens(TapConfig(token_file=path))
    assert str(path) in str(refused.value)
    assert "short" not in str(refused.value)


def test_every_reason_is_counted_from_zero() -> None:
    """A series that begins with its first refusal hides it from a rate."""
    registry = CollectorRegistry()
    DoorMetrics(registry)
    for reason in DOOR_REFUSALS:
        name = "tapeline_tap_refused_requests_total"
        assert registry.get_sample_value(name, {"reason": reason}) == 0
