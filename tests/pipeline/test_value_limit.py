"""Values too long for a backend are cut, marked and counted; everything else stays as it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from planting import batch_of, field_id, only_field, plant_attribute, plant_text, request_of
from tapeline.otlp.fields import FIELDS, Field, FieldClass
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.value_limit import MIN_VALUE_BYTES, limit_values

BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
MARK = re.compile(r"…\[cut by tapeline: ([0-9]+) bytes\]\Z")


def _log_of(text: str) -> Batch:
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, text)
    return batch_of(Signal.LOGS, request)


def _body_of(batch: Batch) -> AnyValue:
    request = request_of(Signal.LOGS)
    request.ParseFromString(batch.payload)
    body: AnyValue = request.resource_logs[0].scope_logs[0].log_records[0].body
    return body


@pytest.mark.parametrize("row", FIELDS, ids=field_id)
def test_a_long_value_is_cut_in_every_field(row: Field) -> None:
    """No field of the table lets a value through that is over the limit."""
    request = request_of(row.signal)
    plant_text(request, row, "start" + "x" * 1000)

    limited, cut = limit_values(batch_of(row.signal, request), 100)

    assert cut == 1
    assert b"start" in limited.payload
    assert "…[cut by tapeline: 1005 bytes]".encode() in limited.payload
    assert b"x" * 100 not in limited.payload


def test_attribute_keys_and_bytes_values_are_cut_too() -> None:
    """A key is as much a value to a backend as what stands under it."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "k" * 200, AnyValue(bytes_value=b"\xff" * 300))

    limited, cut = limit_values(batch_of(Signal.LOGS, request), 100)

    pair = _body_of(limited).kvlist_value.values[0]
    assert cut == 2
    assert len(pair.key.encode()) == 100
    assert len(pair.value.bytes_value) == 100
    assert pair.value.bytes_value.endswith("…[cut by tapeline: 300 bytes]".encode())


@given(
    text=st.text(max_size=400),
    limit=st.integers(min_value=MIN_VALUE_BYTES, max_value=500),
)
def test_what_is_left_fits_the_limit_and_begins_the_original(text: str, limit: int) -> None:
    """A cut value is a prefix of whole characters and the mark; a short one is untouched."""
    batch = _log_of(text)

    limited, cut = limit_values(batch, limit)

    size_bytes = len(text.encode())
    if size_bytes <= limit:
        assert (limited, cut) == (batch, 0)
        return
    result = _body_of(limited).string_value
    mark = MARK.search(result)
    assert cut == 1
    assert mark is not None
    assert int(mark[1]) == size_bytes
    assert text.startswith(result[: mark.start()])
    assert limit - 3 <= len(result.encode()) <= limit


def test_a_batch_without_a_long_value_is_the_same_object() -> None:
    """Nothing is rebuilt for nothing, also where a record is long but none of its values is."""
    short = _log_of("x" * 100)
    request = request_of(Signal.LOGS)
    for number in range(20):
        plant_attribute(request, BODY, f"k{number}", AnyValue(string_value="x" * 50))
    long_record = batch_of(Signal.LOGS, request)

    assert limit_values(short, 1000)[0] is short
    assert limit_values(long_record, 100) == (long_record, 0)
    assert limit_values(long_record, 100)[0] is long_record


def test_a_value_of_exactly_the_limit_is_kept() -> None:
    """The limit is what may pass, not the first size that may not."""
    batch = _log_of("é" * 50)

    assert limit_values(batch, 100)[0] is batch
    assert limit_values(_log_of("é" * 50 + "x"), 100)[1] == 1


def test_the_batch_that_came_in_is_left_alone() -> None:
    """The original's parsed view is shared, so a cut works on a copy."""
    batch = _log_of("x" * 500)
    before = batch.request.SerializeToString()

    limit_values(batch, 100)

    assert batch.request.SerializeToString() == before


def test_metadata_stays_with_the_cut_batch() -> None:
    """A cut changes the bytes and nothing else of a batch."""
    batch = Batch(Signal.LOGS, _log_of("x" * 500).payload, (("tenant", "desk"),))

    limited, _ = limit_values(batch, 100)

    assert limited.metadata == (("tenant", "desk"),)


def test_a_limit_too_small_for_the_mark_is_an_error() -> None:
    """A limit that the mark itself would break is refused with the least one allowed."""
    with pytest.raises(ValueError, match=f"at least {MIN_VALUE_BYTES}"):
        limit_values(_log_of("x"), MIN_VALUE_BYTES - 1)
