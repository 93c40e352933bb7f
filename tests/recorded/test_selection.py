"""What is wanted of a batch: by signal, service and time, against the parsed request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_client import logs
from strategies import REQUEST_TYPES, payloads, requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.selection import Selection, record_times
from tapeline.recorded.time_span import time_span
from tapeline.recording.event_time import greatest_time_unix_nano

_GROUPS = {
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}


def _two_services() -> Batch:
    first = logs(["a", "b"], resource={"service.name": "orders"}).SerializeToString()
    second = logs(["c"], resource={"service.name": "risk"}).SerializeToString()
    return Batch(Signal.LOGS, first + second)


def _bodies(batch: Batch | None) -> list[str]:
    if batch is None:
        return []
    request: Any = batch.request
    return [
        record.body.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def _timed(*times: int) -> Batch:
    request = logs([str(time) for time in times])
    records = request.resource_logs[0].scope_logs[0].log_records
    for record, time in zip(records, times, strict=True):
        record.time_unix_nano = time
        record.observed_time_unix_nano = 0
    return Batch(Signal.LOGS, request.SerializeToString())


def test_everything_is_wanted_where_nothing_is_said() -> None:
    """An empty selection hands on the very batch."""
    batch = _two_services()

    assert Selection().of(batch) is batch
    assert Selection(signals=frozenset({Signal.LOGS})).of(batch) is batch


def test_a_signal_that_is_not_wanted_is_left_out() -> None:
    """Batches are of one signal each."""
    assert Selection(signals=frozenset({Signal.TRACES})).of(_two_services()) is None


def test_a_batch_is_split_by_service() -> None:
    """Resources of other services go, those that stay keep their bytes."""
    batch = _two_services()

    assert _bodies(Selection(services=frozenset({"orders"})).of(batch)) == ["a", "b"]
    assert _bodies(Selection(services=frozenset({"risk"})).of(batch)) == ["c"]
    assert Selection(services=frozenset({"other"})).of(batch) is None
    assert Selection(services=frozenset({"orders", "risk"})).of(batch) == batch


def test_a_batch_is_split_by_time() -> None:
    """The first time is wanted, the last one no more; a record without a time is not."""
    batch = _timed(1, 5, 9, 0)

    assert _bodies(Selection(from_unix_nano=5).of(batch)) == ["5", "9"]
    assert _bodies(Selection(from_unix_nano=1, to_unix_nano=5).of(batch)) == ["1"]
    assert Selection(from_unix_nano=10).of(batch) is None


def test_a_resource_that_nothing_stays_of_goes_with_its_headers() -> None:
    """No empty shells are left."""
    early, late = _timed(1), _timed(9)
    both = Batch(Signal.LOGS, early.payload + late.payload)

    assert Selection(from_unix_nano=5).of(both) == late


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_times_are_those_of_the_parsed_request(signal: Signal, data: st.DataObject) -> None:
    """In any form of the wire, the greatest record time is what the plain function says."""
    batch = Batch(signal, data.draw(payloads(signal)))

    times = record_times(batch)

    assert len(times) == batch.framing.record_count
    # Of a oneof that is there twice a parser keeps the last one; the wire holds both.
    assert max(times, default=0) >= greatest_time_unix_nano(batch)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_the_time_span_is_that_of_all_records(signal: Signal, data: st.DataObject) -> None:
    """The fast way gives the least and the greatest time, as the records have them one by one."""
    batch = Batch(signal, data.draw(requests(signal)).SerializeToString())

    times = [time for time in record_times(batch) if time]

    assert time_span(batch) == ((min(times), max(times)) if times else None)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_the_greatest_time_is_the_plain_functions(signal: Signal, data: st.DataObject) -> None:
    """In any form of the wire."""
    batch = Batch(signal, data.draw(payloads(signal)))

    span = time_span(batch)

    if signal is Signal.METRICS:
        # Of a oneof that is there twice a parser keeps the last one; the wire holds both.
        assert (span or (0, 0))[1] >= greatest_time_unix_nano(batch)
    else:
        assert (span or (0, 0))[1] == greatest_time_unix_nano(batch)


def test_a_damaged_record_has_no_time() -> None:
    """What does not parse is recorded all the same, by who records raw."""
    payload = b"\x0a\x06\x12\x04\x12\x02\x09\x01"

    assert time_span(Batch(Signal.LOGS, payload)) is None


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_what_stays_parses_as_part_of_the_whole(signal: Signal, data: st.DataObject) -> None:
    """Selecting by time and by its complement gives each record with a time exactly once."""
    batch = Batch(signal, data.draw(payloads(signal)))
    border = data.draw(st.sampled_from([*record_times(batch), 1]))

    parts = [
        Selection(to_unix_nano=max(border, 1)).of(batch),
        Selection(from_unix_nano=max(border, 1)).of(batch),
    ]

    counted = sum(part.framing.record_count for part in parts if part)
    assert counted == sum(time > 0 for time in record_times(batch))
    for part in filter(None, parts):
        assert REQUEST_TYPES[signal].FromString(part.payload) is not None
