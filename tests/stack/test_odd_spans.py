"""Spans that Jaeger's storage would refuse for ever, and block the queue with, are made to fit.

Its badger takes index keys of 65,000 bytes: service name, attribute key, value and 25 bytes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backends import Jaeger
from otlp_client import Span, send, traces
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

LONG = "y" * 200_000
WIDE = "\N{SNOWMAN}\N{GRINNING FACE}" * 30_000
SERVICE = {"service.name": "odd"}


def first_span(request: Any) -> Any:
    """Return the span of a request of one."""
    return request.resource_spans[0].scope_spans[0].spans[0]


def long_list(attributes: Any) -> None:
    """Add an attribute of many short elements."""
    values = attributes.add(key="list").value.array_value.values
    for _ in range(200):
        values.add(string_value="z" * 1000)


def nested(attributes: Any) -> None:
    """Add an attribute of maps in a list, with bytes in them."""
    for number in range(100):
        inner = attributes.add(key="maps").value.array_value.values.add().kvlist_value.values
        inner.add(key=str(number)).value.bytes_value = b"\xff" * 1000


def wide_map(attributes: Any) -> None:
    """Add a map of very many entries."""
    values = attributes.add(key="wide").value.kvlist_value.values
    for number in range(100_000):
        values.add(key=f"k{number}").value.int_value = number


def long_status(request: Any) -> None:
    """Give the span a long status message."""
    first_span(request).status.message = LONG
    first_span(request).status.code = 2


def long_state(request: Any) -> None:
    """Give the span a long trace state."""
    first_span(request).trace_state = LONG


def long_scope(request: Any) -> None:
    """Give the scope a long name and version."""
    scope = request.resource_spans[0].scope_spans[0].scope
    scope.name = scope.version = LONG


def long_bytes(request: Any) -> None:
    """Add bytes, which Jaeger writes as twice as many digits."""
    first_span(request).attributes.add(key="bytes").value.bytes_value = b"\xff" * 200_000


def service_of_number(request: Any) -> None:
    """Name the service by a number."""
    request.resource_spans[0].resource.attributes[0].value.int_value = 7


def no_times(request: Any) -> None:
    """Leave the times out."""
    span = first_span(request)
    span.start_time_unix_nano = span.end_time_unix_nano = 0


def times_beyond_all(request: Any) -> None:
    """Let the span end before it begins, at the end of time."""
    span = first_span(request)
    span.start_time_unix_nano, span.end_time_unix_nano = 2**64 - 1, 1


PARTS: dict[str, dict[str, Any]] = {
    "value": {"attributes": {"long": LONG}},
    "key": {"attributes": {LONG: "v"}},
    "wide key": {"attributes": {WIDE: WIDE}},
    "name": {"name": LONG},
    "event name": {"events": {LONG: {}}},
    "event attribute": {"events": {"e": {"long": LONG, LONG: "v"}}},
    "nul": {"attributes": {"nul\0key": "\0", "": ""}},
}
RESOURCES: dict[str, dict[str, str]] = {
    "service name": {"service.name": LONG},
    "wide service name": {"service.name": WIDE},
    "no service name": {"service.name": ""},
    "resource attribute": {**SERVICE, "long": LONG, LONG: "v"},
}
CHANGES: dict[str, Callable[[Any], None]] = {
    "list": lambda request: long_list(first_span(request).attributes),
    "maps": lambda request: nested(first_span(request).attributes),
    "list of the resource": lambda request: long_list(
        request.resource_spans[0].resource.attributes
    ),
    "list of an event": lambda request: long_list(
        first_span(request).events.add(name="e").attributes
    ),
    "wide map": lambda request: wide_map(first_span(request).attributes),
    "wide map of the resource": lambda request: wide_map(
        request.resource_spans[0].resource.attributes
    ),
    "bytes": long_bytes,
    "status": long_status,
    "trace state": long_state,
    "scope": long_scope,
    "number as service": service_of_number,
    "no times": no_times,
    "times": times_beyond_all,
}
ODD = (*PARTS, *RESOURCES, *CHANGES, "scope attribute")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the way of traces with sampling off."""
    folder = tmp_path_factory.mktemp("odd_spans") / "run"
    servers = ("collector", "gate", "jaeger")
    changed = Overrides(egress_files=(SOURCE_ROOT / "collector" / "no_sampling.yaml",))
    with Stack(folder, Ports.free(), servers=servers, overrides=changed) as running:
        yield running


@pytest.mark.parametrize("name", ODD)
def test_odd_spans_arrive(stack: Stack, name: str) -> None:
    """Whatever is odd about a span, it arrives, cut where need be, and blocks nothing."""
    trace_id = b"odd span" + ODD.index(name).to_bytes(8, "big")
    span = Span(trace_id, **PARTS.get(name, {}))
    scope = {"long": LONG, LONG: "v"} if name == "scope attribute" else {}
    request = traces([span], RESOURCES.get(name, SERVICE), scope)
    CHANGES.get(name, lambda _: None)(request)
    send(f"{HOST}:{stack.ports.otlp_grpc}", request)

    jaeger = Jaeger(stack.url("jaeger"))
    trace = eventually(lambda: jaeger.trace(trace_id.hex()))
    assert len(trace["spans"]) == 1


def test_attributes_that_fit_are_left_alone(stack: Stack) -> None:
    """An array and a map of usual size reach Jaeger whole."""
    trace_id = b"plain arrays, ok"
    request = traces([Span(trace_id)], SERVICE)
    values = first_span(request).attributes.add(key="list").value.array_value.values
    for text in ("a", "b"):
        values.add(string_value=text)
    send(f"{HOST}:{stack.ports.otlp_grpc}", request)

    trace = eventually(lambda: Jaeger(stack.url("jaeger")).trace(trace_id.hex()))
    tags = {tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]}
    assert tags["list"] == '["a","b"]'
