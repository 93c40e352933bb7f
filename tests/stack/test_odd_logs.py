"""Log records that Loki would refuse for good, some with their whole batch, are made to fit."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backends import LogEntry, Loki
from otlp_client import key_values, logs, send
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from waiting import eventually

pytestmark = pytest.mark.stack

LONG = "y" * 200_000
HOUR_NS = 3600 * 10**9
NEIGHBOUR = "beside the odd one"


def add(attributes: dict[str, str]) -> Callable[[Any], None]:
    """Return a change that adds attributes to a record."""
    return lambda record: record.attributes.extend(key_values(attributes))


def shift(hours: float) -> Callable[[Any], None]:
    """Return a change that moves a record's time."""

    def change(record: Any) -> None:
        record.time_unix_nano += round(hours * HOUR_NS)

    return change


def at(time_unix_nano: int) -> Callable[[Any], None]:
    """Return a change that sets both times of a record."""

    def change(record: Any) -> None:
        record.time_unix_nano = time_unix_nano
        record.observed_time_unix_nano = min(time_unix_nano, 1)

    return change


def long_list(record: Any) -> None:
    """Add an attribute of many elements."""
    values = record.attributes.add(key="list").value.array_value.values
    for _ in range(300):
        values.add(string_value="z" * 1000)


RECORDS: dict[str, Callable[[Any], None]] = {
    "an hour ahead": shift(1),
    "a year ahead": shift(365 * 24),
    "at the end of time": at(2**63 - 1),
    "beyond time": at(2**64 - 1),
    "without a time": at(0),
    "six days behind": shift(-6 * 24),
    "empty key": add({"": "v"}),
    "key of no letter": add({"___": "v"}),
    "keys not in ASCII": add({"\N{CJK UNIFIED IDEOGRAPH-540D}": "v", "\N{SNOWMAN}": "w"}),
    "keys that become one": add({"a.b": "1", "a_b": "2", "1": "3", "trace_id": "mine"}),
    "long key and value": add({LONG: LONG}),
    "long list": long_list,
    "many attributes": add({f"k{number}": "v" * 100 for number in range(500)}),
}
RESOURCES: dict[str, dict[str, str]] = {
    "long service name": {"service.name": LONG},
    "long namespace": {"service.name": "odd", "service.namespace": LONG},
    "long environment": {"service.name": "odd", "deployment.environment.name": LONG},
    "long class": {"service.name": "odd", "log.class": LONG},
    "no service name": {},
    "empty service name": {"service.name": ""},
    "strange service name": {"service.name": 'a"b\n{}\0\N{SNOWMAN}'},
    "empty key of the resource": {"service.name": "odd", "": "v"},
    "long attribute of the resource": {"service.name": "odd", LONG: LONG},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the way of logs."""
    folder = tmp_path_factory.mktemp("odd_logs") / "run"
    with Stack(folder, Ports.free(), servers=("collector", "gate", "loki")) as running:
        yield running


def entries(stack: Stack, line: str) -> list[LogEntry]:
    """Return what Loki has of a line, whatever its service."""
    selector = f'{{deployment_environment_name=~".+"}} |= "{line}"'
    return Loki(stack.url("loki")).entries(selector, look_back_s=8 * 24 * 3600)


@pytest.mark.parametrize("name", [*RECORDS, *RESOURCES])
def test_odd_records_arrive_with_those_beside_them(stack: Stack, name: str) -> None:
    """Whatever is odd about a record, it arrives, and so does the other one of its request."""
    line, beside = f"odd: {name}", f"{NEIGHBOUR}: {name}"
    request = logs([line, beside], RESOURCES.get(name, {"service.name": "odd"}))
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    RECORDS.get(name, lambda _: None)(record)
    send(f"{HOST}:{stack.ports.otlp_grpc}", request)

    assert len(eventually(lambda: entries(stack, line))) == 1
    assert len(eventually(lambda: entries(stack, beside))) == 1


def test_a_time_that_was_changed_is_kept(stack: Stack) -> None:
    """A record from the future has the time of its arrival, and its own as an attribute."""
    request = logs(["kept time"], {"service.name": "odd"})
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    sent = record.time_unix_nano
    record.time_unix_nano += HOUR_NS
    send(f"{HOST}:{stack.ports.otlp_grpc}", request)

    (entry,) = eventually(lambda: entries(stack, "kept time"))
    assert entry.labels["tapeline_time_as_sent"] == str(sent + HOUR_NS)
    assert sent <= entry.time_unix_nano < sent + HOUR_NS


def test_a_time_within_reach_is_left_alone(stack: Stack) -> None:
    """A clock that is a minute ahead changes nothing."""
    request = logs(["a minute ahead"], {"service.name": "odd"})
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.time_unix_nano += 60 * 10**9
    send(f"{HOST}:{stack.ports.otlp_grpc}", request)

    (entry,) = eventually(lambda: entries(stack, "a minute ahead"))
    assert entry.time_unix_nano == record.time_unix_nano
    assert "tapeline_time_as_sent" not in entry.labels
