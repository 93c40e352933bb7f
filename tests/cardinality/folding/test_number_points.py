"""Number points on the wire: every layout means the same, and a bad one says why."""

import math
import struct
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, NumberDataPoint

from fold_points import Run, at, every_field_order, metric, number, value_of
from tapeline.cardinality.folding.numbers import encode_number, read_number
from tapeline.cardinality.folding.outcome import FoldOutcome, RefusedPointError
from tapeline.cardinality.folding.outputs import PointKind


def attribute(length: int) -> KeyValue:
    """Return an attribute with a value of this length."""
    return KeyValue(key="k", value=AnyValue(string_value="v" * length))


@given(
    start=st.integers(0, 2**64 - 1),
    time=st.integers(0, 2**64 - 1),
    value=st.one_of(
        st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
    ),
    lengths=st.lists(st.integers(0, 200), max_size=3),
    flags=st.sampled_from([0, 0, 1, 2]),
    exemplars=st.integers(0, 2),
)
def test_every_layout_is_read_as_the_parser_reads_it(
    start: int, time: int, value: float, lengths: list[int], flags: int, exemplars: int
) -> None:
    """Forwards and backwards, with and without start, flags, exemplars and long attributes."""
    message = NumberDataPoint(
        start_time_unix_nano=start,
        time_unix_nano=time,
        flags=flags,
        exemplars=[Exemplar(time_unix_nano=9)] * exemplars,
        attributes=map(attribute, lengths),
    )
    setattr(message, "as_int" if isinstance(value, int) else "as_double", value)
    for point in every_field_order(message.SerializeToString()):
        assert NumberDataPoint.FromString(point) == message
        found = read_number(point)
        assert found[:3] == (start, time, None if flags & 1 else value)
        assert len(found[3]) == (0 if flags & 1 else exemplars)


@given(point=st.binary(max_size=60))
def test_bytes_are_malformed_where_the_parser_says_so(point: bytes) -> None:
    """Any others are read, or refused for what they say."""
    try:
        message = NumberDataPoint.FromString(point)
    except DecodeError:
        with pytest.raises(RefusedPointError, match="malformed"):
            read_number(point)
        return
    if message.flags & 1:
        assert read_number(point)[2] is None
    elif message.WhichOneof("value") is None:
        with pytest.raises(RefusedPointError, match="no_value"):
            read_number(point)


@given(
    head=st.sampled_from([b"\x11", b"\x19", b"\x21", b"\x31"]),
    tail=st.lists(
        st.sampled_from(
            [b"\x3a\x00", b"\x40\x01", b"\x3a", b"\x31" + bytes(8), b"\x3a\x02\x0a\x00"]
        )
    ),
)
def test_no_tail_hides_a_flag(head: bytes, tail: list[bytes]) -> None:
    """What looks like the common layout but goes on otherwise is read by the parser."""
    fields = [b"\x11" + bytes(7) + b"\x01", b"\x19" + bytes(7) + b"\x02", b"\x31" + bytes(8)]
    first = [field for field in fields if field[:1] == head]
    point = b"".join([*first, *(field for field in fields if field[:1] != head), *tail])
    try:
        message = NumberDataPoint.FromString(point)
    except DecodeError:
        # What an attribute holds is the limiter's to refuse; here it is only skipped.
        with suppress(RefusedPointError):
            assert read_number(point) == (1 << 56, 2 << 56, 0, ())
        return
    found = read_number(point)
    assert found[2] == (None if message.flags & 1 else message.as_int)


@pytest.mark.parametrize("value", [5, -3, 0, 2**63 - 1, 0.5, -1e300])
@pytest.mark.parametrize("start", [0, 7])
def test_what_is_written_can_be_read(start: int, value: float) -> None:
    """A point without a start has no field for it."""
    point = encode_number(start, 9, value)
    assert read_number(point)[:3] == (start, 9, value)
    assert NumberDataPoint.FromString(point).start_time_unix_nano == start
    assert (point[:1] == b"\x11") == bool(start)


@pytest.mark.parametrize(
    ("point", "outcome"),
    [
        (number(1, 2, math.nan), FoldOutcome.NOT_A_NUMBER),
        (number(1, 2, math.inf), FoldOutcome.INFINITE),
        (number(1, 2, -math.inf), FoldOutcome.INFINITE),
        (number(1, 2, None), FoldOutcome.NO_VALUE),
        (number(1, 2, -1), FoldOutcome.NEGATIVE),
        (number(1, 2, -0.5), FoldOutcome.NEGATIVE),
        (number(3, 2, 5), FoldOutcome.START_AFTER_TIME),
        (number(1, 301, 5), FoldOutcome.TIME_IN_FUTURE),
        (NumberDataPoint(as_int=5).SerializeToString(), FoldOutcome.TIME_ZERO),
        (NumberDataPoint(start_time_unix_nano=5, as_int=5).SerializeToString(),
         FoldOutcome.TIME_ZERO),
        (NumberDataPoint(time_unix_nano=2**64 - 1, as_int=5).SerializeToString(),
         FoldOutcome.TIME_IN_FUTURE),
        (number(1, 2, 5)[:-1], FoldOutcome.MALFORMED),
        (struct.pack("<BQ", 0x19, at(2)) + b"\x3a\x7f", FoldOutcome.MALFORMED),
    ],
)  # fmt: skip
def test_a_bad_point_says_why_and_changes_nothing(point: bytes, outcome: FoldOutcome) -> None:
    """It is refused by itself: no stream, no emission, no change of the baseline."""
    run = Run()
    run.send((1, number(1, 1.5, 10)))
    assert run.fold(1, point) is outcome
    assert run.fold(2, point) is outcome
    assert run.emit() is None
    assert len(run.folder) == 1
    assert value_of(run.send((1, number(1, 3, 12)))) == 12


def test_a_point_five_minutes_ahead_is_still_taken() -> None:
    """Clocks differ; the limit itself is within."""
    run = Run()
    assert run.fold(1, number(1, 300, 5)) is FoldOutcome.ADDED


def test_without_temporality_nothing_is_folded() -> None:
    """What the value means can't be known, so it is refused and counted."""
    run = Run(metric(temporality=0))
    assert run.fold(1, number(1, 2, 5)) is FoldOutcome.UNSPECIFIED_TEMPORALITY
    assert run.emit() is None


def exemplar(value: float) -> Exemplar:
    """Return an exemplar with a trace."""
    return Exemplar(as_double=value, time_unix_nano=at(2), trace_id=bytes(range(16)))


def test_exemplars_say_what_was_removed() -> None:
    """Those of points that counted are kept until the next point, no more than eight."""
    run = Run()
    pairs = (KeyValue(key="user", value=AnyValue(string_value="u1")),)
    removed = tuple(pair.SerializeToString() for pair in pairs)
    run.fold(1, number(1, 2, 5, exemplars=[exemplar(1), exemplar(math.nan)]), removed)
    run.fold(1, number(1, 2, 5, exemplars=[exemplar(7)]), removed)
    run.fold(2, number(-1, 2, 5, exemplars=[exemplar(8)]), removed)
    message = run.emit()
    assert [one.as_double for one in message.exemplars] == [1]
    assert list(message.exemplars[0].filtered_attributes) == list(pairs)
    run.fold(1, number(1, 3, 6, exemplars=[exemplar(value) for value in range(20)]))
    assert [one.as_double for one in run.emit().exemplars] == list(range(12, 20))
    assert not run.send((1, number(1, 4, 7))).exemplars


@pytest.mark.parametrize("kind", [PointKind.HISTOGRAM, PointKind.EXPONENTIAL_HISTOGRAM])
def test_histograms_keep_exemplars_too(kind: PointKind) -> None:
    """Each kind has a field of its own for them."""
    from fold_points import MESSAGES

    run = Run(metric(kind))
    point = MESSAGES[kind](
        start_time_unix_nano=at(1), time_unix_nano=at(2), exemplars=[exemplar(3)]
    )
    if kind == PointKind.HISTOGRAM:
        point.bucket_counts.append(0)
    [kept] = run.send((1, point.SerializeToString())).exemplars
    assert kept == exemplar(3)
