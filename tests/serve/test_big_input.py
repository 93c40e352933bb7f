"""Values of 60 MB, nesting without end, no UTF-8: answered, within bounds, never unscanned."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fake_secrets import secret_text, seeded
from gate_process import GateProcess, gate_config, running_gate
from otlp_client import logs
from scripted_downstream import Downstream, running_downstream
from sidecars import Answered, client
from strategies import varint
from tapeline.otlp.signals import Signal

MB = 1_000_000
BIG_BYTES = 60 * MB
SMALLER_BYTES = BIG_BYTES // 4
SECRET = secret_text(seeded(11))
PLANTED = f"pass{'word'}={SECRET} "
TIMES_THE_MESSAGE = 8
"""What a request may take at its peak, in multiples of its size (docs/limits.md: seven)."""

TIMES_THE_SIZE = 4 * 2.5
"""What four times the text may take of time: linear would be 4, quadratic 16."""

FLOOR_NS = 100_000_000
"""Processor time below which a request says more about the machine than about the text."""


def _filled(unit: str, size_bytes: int) -> str:
    return (unit * (size_bytes // len(unit) + 1))[:size_bytes]


def _random_base64(size_bytes: int) -> str:
    return base64.b64encode(seeded(13).randbytes(size_bytes * 3 // 4)).decode()


FILLINGS: dict[str, Callable[[int], str]] = {
    "one letter": lambda size: _filled("a", size),
    "random base64": _random_base64,
    "nothing but assignments": lambda size: _filled(f"pass{'word'}=x&", size),
    "words": lambda size: _filled("order acknowledged by XNAS ", size),
    "escapes": lambda size: _filled("%41&amp;\\u0041", size),
    "openings": lambda size: _filled('{"', size),
}


def _at_end(text: str) -> str:
    return f"{text} {PLANTED}"


def _all_over(text: str) -> str:
    half = len(text) // 2
    return f"{PLANTED}{text[:half]} {PLANTED}{text[half:]} {PLANTED}"


@pytest.fixture(name="downstream", scope="module")
def _downstream() -> Iterator[Downstream]:
    with running_downstream() as downstream:
        yield downstream


@pytest.fixture(name="gate", scope="module")
def _gate(
    downstream: Downstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GateProcess]:
    folder = tmp_path_factory.mktemp("big_input")
    config = gate_config(downstream.address, {"max_message_mib": 64, "max_attempts": 1000})
    with running_gate(folder, config, data_bytes_max=1024 * MB) as gate:
        yield gate


def _send(gate: GateProcess, payload: bytes, signal: Signal = Signal.LOGS) -> Answered:
    with client(gate.address) as sender:
        return sender.export(payload, signal, timeout_s=120.0)


def _cost_ns(gate: GateProcess, payload: bytes) -> tuple[int, Answered]:
    before_ns = gate.cpu_ns()
    answered = _send(gate, payload)
    return gate.cpu_ns() - before_ns, answered


def _of_text(text: str) -> bytes:
    return logs([text]).SerializeToString()


def _clean(downstream: Downstream) -> bool:
    """Tell whether no part of the secret has arrived; forget what has."""
    arrived = [payload for _, payload in downstream.received]
    downstream.received.clear()
    return not any(SECRET.encode() in payload for payload in arrived)


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        *((name, _at_end) for name in sorted(FILLINGS)),
        ("random base64", _all_over),
        ("words", _all_over),
    ],
)
def test_a_value_of_60_mb_is_answered_within_bounds(
    gate: GateProcess, downstream: Downstream, name: str, planted: Callable[[str], str]
) -> None:
    """Whatever fills it and wherever the secret stands: bounded time and memory, and no leak."""
    downstream.received.clear()
    _send(gate, _of_text("warm"))
    smaller_ns, smaller = _cost_ns(gate, _of_text(planted(FILLINGS[name](SMALLER_BYTES))))
    assert smaller.code is grpc.StatusCode.OK
    gate.forget_peak()
    resident_bytes = gate.resident_bytes()
    payload = _of_text(planted(FILLINGS[name](BIG_BYTES)))

    big_ns, big = _cost_ns(gate, payload)

    added_bytes = gate.peak_bytes() - resident_bytes
    said = f"{smaller_ns / 1e9:.2f} s, then {big_ns / 1e9:.2f} s, +{added_bytes / MB:.0f} MB"
    assert big.code is grpc.StatusCode.OK
    assert len(downstream.received) == 3
    assert _clean(downstream)
    assert big_ns < TIMES_THE_SIZE * max(smaller_ns, FLOOR_NS), said
    assert added_bytes < TIMES_THE_MESSAGE * len(payload), said
    assert gate.count("tapeline_chain_failures_total") == 0


def test_a_request_above_the_limit_is_refused(gate: GateProcess, downstream: Downstream) -> None:
    """RESOURCE_EXHAUSTED at once, for good, and nothing of it goes on."""
    downstream.received.clear()

    answered = _send(gate, _of_text(_all_over(_filled("a", 70 * MB))))

    assert answered.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answered.status_details is None
    assert downstream.received == []


def _delimited(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + varint(len(content)) + content


def _nested(levels: int, inner: bytes) -> bytes:
    """Return a log request whose body nests arrays (opentelemetry-proto, logs/v1, common/v1).

    Made by hand: the library that would make it refuses to nest so deep.
    """
    value = _delimited(0x0A, inner)  # AnyValue.string_value
    for _ in range(levels):
        value = _delimited(0x2A, _delimited(0x0A, value))  # AnyValue.array_value, ArrayValue.values
    body = _delimited(0x2A, value)  # LogRecord.body
    return _delimited(0x0A, _delimited(0x12, _delimited(0x12, body)))


@pytest.mark.parametrize("levels", [31, 50, 100, 1_000, 20_000])
def test_nesting_beyond_the_limit_is_refused(
    gate: GateProcess, downstream: Downstream, levels: int
) -> None:
    """A secret too deep to be looked at goes nowhere; the refusal is for good."""
    downstream.received.clear()
    payload = _nested(levels, PLANTED.encode())

    cost_ns, answered = _cost_ns(gate, payload)

    assert answered.code is grpc.StatusCode.INVALID_ARGUMENT
    assert downstream.received == []
    assert cost_ns < 10 * FLOOR_NS
    assert SECRET not in answered.details


def test_nesting_within_the_limit_is_redacted(gate: GateProcess, downstream: Downstream) -> None:
    """The same request, less deep, goes on without the secret: what is above is no accident."""
    downstream.received.clear()

    answered = _send(gate, _nested(10, PLANTED.encode()))

    assert answered.code is grpc.StatusCode.OK
    assert len(downstream.received) == 1
    assert _clean(downstream)


INVALID = {
    "one bad byte before": b"\xff" + PLANTED.encode(),
    "bad bytes all over": b"\xff\xfe " + PLANTED.encode() + b"\x80\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80 " + PLANTED.encode(),
    "a character cut off": PLANTED.encode() + b"\xe2\x82",
    "bad byte in the name": b"pass\xff" + f"{'word'}={SECRET} ".encode() + PLANTED.encode(),
    "nothing but bad bytes, 60 MB": b"\xff" * (BIG_BYTES // 2) + b" " + PLANTED.encode(),
}


@pytest.mark.parametrize("name", sorted(INVALID))
def test_what_is_no_utf_8_never_goes_on_unscanned(
    gate: GateProcess, downstream: Downstream, name: str
) -> None:
    """It is refused as malformed, or arrives without the secret; the gate stays up."""
    downstream.received.clear()

    answered = _send(gate, _nested(0, INVALID[name]))

    expected = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    assert answered.code in expected
    assert bool(downstream.received) == (answered.code is grpc.StatusCode.OK)
    assert _clean(downstream)
    assert _send(gate, _of_text("still there")).code is grpc.StatusCode.OK
    assert gate.count("tapeline_chain_failures_total") == 0


def test_the_limit_of_memory_is_real(tmp_path: Path) -> None:
    """A gate that may have less than it needs does not start: the limit of these tests holds."""
    config = gate_config("discard", {})
    with running_gate(tmp_path, config, data_bytes_max=32 * MB, wait=False) as gate:
        assert gate.process.wait(60) != 0
