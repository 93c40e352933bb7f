"""The tap of one process: who gets how much, what is counted, and what never shows."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from otlp_client import logs
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.watch import Mask, Sighting
from tapeline.tap.filters import TapFilter
from tapeline.tap.metrics import TapMetrics
from tapeline.tap.tap import (
    EXAMINED_PER_S,
    MAX_BATCH_BYTES,
    MAX_EVENT_BYTES,
    MAX_READER_EVENTS,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Reader,
    Tap,
)
from waiting import eventually

SECRET = "zq-" + "secret"


def as_it_is(batch: Batch, /) -> bytes:
    """Mask nothing."""
    return batch.payload


@dataclass
class Tapped:
    """A tap with what it says to the chain and what it counts."""

    records_per_s: float = 1000.0
    watched: list[bool] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.tap = Tap(
            TapMetrics(self.registry),
            self.watched.append,
            records_per_s=self.records_per_s,
            worker=3,
        )

    def look(self, wanted: TapFilter | None = None) -> Reader:
        """Begin to look."""
        return self.tap.subscribe(wanted or TapFilter(), lambda: None)

    def count(self, name: str, **labels: str) -> float:
        """Return the value of a series."""
        value = self.registry.get_sample_value(f"tapeline_tap_{name}_total", labels)
        assert value is not None, name
        return value


@pytest.fixture
def tapped() -> Tapped:
    """A tap that shows plenty."""
    return Tapped()


def left(*bodies: str, mask: Mask = as_it_is, service: str = "desk") -> Batch:
    """Return a batch of logs that left a watched chain unchanged."""
    payload = logs(bodies, {"service.name": service}).SerializeToString()
    batch = Batch(Signal.LOGS, payload)
    return Batch(Signal.LOGS, payload, sighting=Sighting(batch, mask))


def taken(reader: Reader, count: int) -> list[dict[str, Any]]:
    """Wait for so many events, and return them."""
    found: list[str] = []

    def enough() -> bool:
        found.extend(reader.take())
        return len(found) >= count

    eventually(enough, timeout_s=10, poll_s=0.01)
    return [json.loads(text) for text in found]


def bodies(events: list[dict[str, Any]]) -> list[str]:
    """Return the bodies of logs."""
    return [event["fields"]["body"] for event in events]


def test_nobody_who_looks_costs_nothing(tapped: Tapped) -> None:
    """No thread, nothing noted; the first reader changes that, and the last one to go."""
    before = threading.active_count()
    was_open = [tapped.tap.is_open]
    one, other = tapped.look(), tapped.look()
    was_open.append(tapped.tap.is_open)
    tapped.tap.unsubscribe(one)
    was_open.append(tapped.tap.is_open)
    tapped.tap.unsubscribe(other)
    was_open.append(tapped.tap.is_open)
    assert was_open == [False, True, True, False]
    assert tapped.watched == [True, True, False]
    eventually(lambda: threading.active_count() == before, timeout_s=5, poll_s=0.01)
    again = tapped.look()
    tapped.tap.offer([left("a")])
    assert bodies(taken(again, 1)) == ["a"]
    tapped.tap.unsubscribe(again)


def test_each_reader_sees_what_he_asked_for(tapped: Tapped) -> None:
    """By service, signal and name; each event says which worker it is of."""
    everything = tapped.look()
    of_desk = tapped.look(TapFilter(service="desk"))
    fills = tapped.look(TapFilter(name="fill"))
    spans = tapped.look(TapFilter(signal=Signal.TRACES))
    tapped.tap.offer([left("order"), left("Filled", service="gateway")])

    assert sorted(bodies(taken(everything, 2))) == ["Filled", "order"]
    assert bodies(taken(of_desk, 1)) == ["order"]
    (event,) = taken(fills, 1)
    assert (event["service"], event["worker"], event["signal"]) == ("gateway", 3, "logs")
    assert spans.take() == []
    for reader in (everything, of_desk, fills, spans):
        tapped.tap.unsubscribe(reader)


def test_a_batch_without_a_sighting_is_no_business_of_the_tap(tapped: Tapped) -> None:
    """It left before anybody looked, or a chain in which nobody may."""
    reader = tapped.look()
    tapped.tap.offer([Batch(Signal.LOGS, left("a").payload), left("b")])
    assert bodies(taken(reader, 1)) == ["b"]
    assert tapped.count("records") == 1
    tapped.tap.unsubscribe(reader)


def test_a_reader_gets_no_more_than_his_rate() -> None:
    """The rest is counted, for him and in the metrics, and what shows is spread over the batch."""
    tapped = Tapped(records_per_s=10)
    reader = tapped.look()
    tapped.tap.offer([left(*(f"order {n}" for n in range(100)))])

    shown = bodies(taken(reader, 10))
    assert len(shown) == 10
    assert shown == [f"order {n}" for n in range(0, 100, 10)]
    counts = tapped.tap.counts_of(reader)
    assert (counts.passed, counts.shown, counts.left_out) == (100, 10, 90)
    assert tapped.count("dropped_records", reason="rate_limit") == 90
    assert tapped.count("shown_records") == 10
    tapped.tap.unsubscribe(reader)


def test_one_who_does_not_read_is_left_behind(tapped: Tapped) -> None:
    """He keeps so many events and no more; another one misses nothing by it."""
    slow, fast = tapped.look(), tapped.look()
    for _ in range(3):
        tapped.tap.offer([left(*(f"{n}" for n in range(MAX_READER_EVENTS // 2)))])
        taken(fast, MAX_READER_EVENTS // 2)

    assert len(slow.take()) == MAX_READER_EVENTS
    assert tapped.tap.counts_of(slow).left_out == MAX_READER_EVENTS // 2
    assert tapped.tap.counts_of(fast).left_out == 0
    assert tapped.count("dropped_records", reason="slow_reader") == MAX_READER_EVENTS // 2
    for reader in (slow, fast):
        tapped.tap.unsubscribe(reader)


def held_up() -> tuple[Callable[[Batch], bytes], threading.Event, threading.Event]:
    """Return a mask that waits, with the event that says it does, and the one that lets it go."""
    begun, go_on = threading.Event(), threading.Event()

    def mask(batch: Batch, /) -> bytes:
        begun.set()
        assert go_on.wait(10)
        return batch.payload

    return mask, begun, go_on


def test_what_comes_too_fast_is_counted_and_holds_nobody_up(tapped: Tapped) -> None:
    """While the tap is busy a few batches wait, and the others pass unseen."""
    reader = tapped.look()
    mask, begun, go_on = held_up()
    tapped.tap.offer([left("first", mask=mask)])
    assert begun.wait(10)
    for _ in range(MAX_WAITING + 4):
        tapped.tap.offer([left("more")])
    go_on.set()

    assert len(taken(reader, 1 + MAX_WAITING)) == 1 + MAX_WAITING
    assert tapped.tap.counts_of(reader).not_examined == 4
    assert tapped.count("dropped_records", reason="busy") == 4
    assert tapped.count("records") == MAX_WAITING + 5
    tapped.tap.unsubscribe(reader)


def test_what_waits_takes_so_much_memory_and_no_more(tapped: Tapped) -> None:
    """Large batches are fewer; what was looked at makes room."""
    reader = tapped.look()
    mask, begun, go_on = held_up()
    tapped.tap.offer([left("first", mask=mask)])
    assert begun.wait(10)
    large = left("x" * (MAX_WAITING_BYTES // 4 + 1))
    tapped.tap.offer([large] * 5)
    assert tapped.count("dropped_records", reason="busy") == 2
    go_on.set()
    assert len(taken(reader, 4)) == 4
    tapped.tap.offer([large])
    assert len(taken(reader, 1)) == 1
    tapped.tap.unsubscribe(reader)


def test_so_many_records_a_second_are_looked_at(tapped: Tapped) -> None:
    """Beyond it a batch passes unseen; a larger one is looked at when there is time for it."""
    reader = tapped.look(TapFilter(name="nothing of the kind"))
    many = left(*["x"] * (EXAMINED_PER_S + 100))
    tapped.tap.offer([many, many])
    assert tapped.count("dropped_records", reason="busy") == EXAMINED_PER_S + 100
    tapped.tap.unsubscribe(reader)


def test_what_is_too_large_does_not_show(tapped: Tapped) -> None:
    """Neither a huge batch nor a record whose fields make a huge event."""
    reader = tapped.look()
    tapped.tap.offer([left("x" * MAX_BATCH_BYTES)])
    assert tapped.count("dropped_records", reason="too_large") == 1
    request = logs(["wide"])
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    for number in range(MAX_EVENT_BYTES // 1000):
        record.attributes.add(key=f"k{number}").value.string_value = "y" * 1500
    payload = request.SerializeToString()
    wide = Batch(Signal.LOGS, payload, sighting=Sighting(Batch(Signal.LOGS, payload), as_it_is))
    tapped.tap.offer([wide, left("small")])
    assert bodies(taken(reader, 1)) == ["small"]
    assert tapped.count("dropped_records", reason="too_large") == 2
    tapped.tap.unsubscribe(reader)


def broken(batch: Batch, /) -> bytes:
    """Fail, and tell what on."""
    raise ValueError(f"can't mask {batch.payload!r}")


def malformed(batch: Batch, /) -> bytes:
    """Give what does not parse."""
    return batch.payload[:-1]


@pytest.mark.parametrize("mask", [broken, malformed])
def test_what_can_not_be_masked_is_not_shown(
    tapped: Tapped, mask: Mask, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, the log has the type of the failure once, and the tap goes on."""
    reader = tapped.look()
    tapped.tap.offer([left(SECRET, mask=mask), left(SECRET, mask=mask), left("next")])

    assert bodies(taken(reader, 1)) == ["next"]
    assert tapped.count("failures") == 2
    assert tapped.tap.counts_of(reader).not_examined == 2
    assert len(caplog.records) == 1
    assert "tapeline_tap_failures_total" in caplog.text
    assert SECRET not in caplog.text
    tapped.tap.unsubscribe(reader)


def test_the_mask_of_its_own_chain_masks_a_batch(tapped: Tapped) -> None:
    """A reload puts another in place for what comes later, not for what is on its way."""
    reader = tapped.look()

    def nothing_left(batch: Batch, /) -> None:
        del batch

    tapped.tap.offer([left("old", mask=nothing_left), left("new")])
    assert bodies(taken(reader, 1)) == ["new"]
    assert tapped.count("withheld_records") == 1
    tapped.tap.unsubscribe(reader)


def test_counts_begin_with_the_reader(tapped: Tapped) -> None:
    """What passed before he came is not his."""
    first = tapped.look()
    tapped.tap.offer([left("a", "b")])
    taken(first, 2)
    second = tapped.look()
    tapped.tap.offer([left("c")])
    taken(second, 1)
    assert tapped.tap.counts_of(first).passed == 3
    assert tapped.tap.counts_of(second).passed == 1
    for reader in (first, second):
        tapped.tap.unsubscribe(reader)
