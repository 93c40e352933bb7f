"""The fast check and the record index: against parsed requests, and against each other."""

from collections.abc import Callable
from random import Random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from plain_requests import plain_records, without_unknown
from strategies import REQUEST_TYPES, payloads, varint
from tapeline.otlp import framing
from tapeline.otlp.framing import MalformedRequestError, check_framing
from tapeline.otlp.index import NO_CONTAINER, RecordIndex, index_records
from tapeline.otlp.layout import MAX_ELEMENTS, SliceKind
from tapeline.otlp.signals import Signal

# Puts repetitions of a field, asked for by its number, where the number has a meaning.
Wrap = Callable[[Callable[[int], bytes]], bytes]

SIGNALS = st.sampled_from(Signal)
# What decides on structure: tags of all wire types, small lengths, continuation bytes.
_STRUCTURAL = bytes.fromhex("0001020304050607 08090a0b0c0d 10121314 181a1b1c 2a3a 5a 7f 808182 ff")


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def contents(payload: bytes, index: RecordIndex) -> list[bytes]:
    """Return the bytes of each record."""
    return [
        payload[begin:end]
        for begin, end in zip(index.record_begins, index.record_ends, strict=True)
    ]


def headers_of_kind(payload: bytes, index: RecordIndex, container: int, kind: SliceKind) -> bytes:
    """Return a container's headers of a kind, merged as protobuf merges them."""
    headers = [index.headers[number] for number in index.headers_of(container)]
    return b"".join(payload[slot.begin : slot.end] for slot in headers if slot.kind is kind)


@given(SIGNALS, st.data())
def test_records_are_found_whatever_the_form(signal: Signal, data: DataObject) -> None:
    """The index delimits the records that the real parser finds, in order."""
    payload = data.draw(payloads(signal))
    request = REQUEST_TYPES[signal].FromString(payload)

    index = index_records(signal, payload)

    expected = [plain.record for plain in plain_records(signal, request)]
    assert len(index) == len(expected)
    for content, record in zip(contents(payload, index), expected, strict=True):
        assert without_unknown(type(record).FromString(content)) == without_unknown(record)


@given(SIGNALS, st.data())
def test_each_record_knows_what_encloses_it(signal: Signal, data: DataObject) -> None:
    """Resource, scope and metric of a record, merged of their slices, are the parser's."""
    payload = data.draw(payloads(signal))
    request = REQUEST_TYPES[signal].FromString(payload)
    index = index_records(signal, payload)

    for record, plain in enumerate(plain_records(signal, request)):
        resource, scope, *inner = index.enclosing(record)
        merged = headers_of_kind(payload, index, resource, SliceKind.RESOURCE)
        expected = plain.resource.resource
        assert without_unknown(type(expected).FromString(merged)) == without_unknown(expected)
        merged = headers_of_kind(payload, index, scope, SliceKind.SCOPE)
        expected = plain.scope.scope
        assert without_unknown(type(expected).FromString(merged)) == without_unknown(expected)
        if plain.metric is None:
            assert not inner
        else:
            metric, metric_data = inner
            kind = index.containers[metric_data].number
            assert plain.metric.DESCRIPTOR.fields_by_number[kind].name == plain.metric.WhichOneof(
                "data"
            )
            name = headers_of_kind(payload, index, metric, SliceKind.METRIC_NAME)
            assert name.endswith(plain.metric.name.encode())


@given(SIGNALS, st.data())
def test_offsets_map_to_what_covers_them(signal: Signal, data: DataObject) -> None:
    """record_at and header_at agree with a search through all slices, for every offset."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    records = list(zip(index.record_begins, index.record_ends, strict=True))
    headers = [(header.begin, header.end) for header in index.headers]

    for offset in range(len(payload) + 1):
        for slices, found in (
            (records, index.record_at(offset)),
            (headers, index.header_at(offset)),
        ):
            covering = [i for i, (begin, end) in enumerate(slices) if begin <= offset < end]
            assert covering == ([] if found is None else [found])


@given(SIGNALS, st.data())
def test_containers_hold_their_records_and_headers(signal: Signal, data: DataObject) -> None:
    """records_of and container_of are each other's inverse, and parents enclose children."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)

    for number, container in enumerate(index.containers):
        assert all(number in index.enclosing(record) for record in index.records_of(number))
        if container.parent != NO_CONTAINER:
            around = index.containers[container.parent]
            assert around.begin <= container.field < container.end <= around.end
    for record in range(len(index)):
        assert record in index.records_of(index.container_of(record))


@given(SIGNALS, st.data())
def test_framing_measures_what_the_index_finds(signal: Signal, data: DataObject) -> None:
    """Record count and longest slice are those of a walk over the index."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    known = [header for header in index.headers if header.kind is not SliceKind.UNKNOWN]
    sizes = [len(content) for content in contents(payload, index)]
    sizes += [header.end - header.begin for header in known]

    measured = check_framing(signal, payload)

    assert measured.record_count == len(index)
    assert measured.longest_bytes == max(sizes, default=0)


@st.composite
def structural_bytes(draw: st.DrawFn) -> bytes:
    """Draw short byte strings that are well-formed now and then, nested in fields or not."""
    data = bytes(draw(st.lists(st.sampled_from(list(_STRUCTURAL)), max_size=20)))
    for number in draw(st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4)):
        data = field(number, data)
    return data


@given(SIGNALS, structural_bytes())
def test_index_and_framing_refuse_the_same_bytes(signal: Signal, payload: bytes) -> None:
    """The index raises exactly where upb's parse of the skeleton fails."""
    try:
        framing._SKELETONS[signal].FromString(payload)
    except DecodeError:
        with pytest.raises(MalformedRequestError):
            index_records(signal, payload)
        with pytest.raises(MalformedRequestError, match="byte"):
            check_framing(signal, payload)
    else:
        assert len(index_records(signal, payload)) == check_framing(signal, payload).record_count


@given(SIGNALS, structural_bytes())
def test_framing_accepts_what_the_real_parser_accepts(signal: Signal, payload: bytes) -> None:
    """Framing looks less deep than the parser, and never refuses what that would take."""
    try:
        REQUEST_TYPES[signal].FromString(payload)
    except DecodeError:
        return
    check_framing(signal, payload)


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_request_is_well_formed(signal: Signal) -> None:
    """No bytes are a request without records."""
    assert check_framing(signal, b"") == framing.Framing(record_count=0, longest_bytes=0)
    assert len(index_records(signal, b"")) == 0


@pytest.mark.parametrize("cut_bytes", [1, 2, 7])
def test_a_truncated_request_is_refused_with_its_place(cut_bytes: int) -> None:
    """The error of a request cut short names the byte of the length that is too long."""
    payload = field(1, field(2, field(2, b"a log record")))

    with pytest.raises(MalformedRequestError, match=r"the length at byte 1 is \d+ bytes"):
        check_framing(Signal.LOGS, payload[:-cut_bytes])


@pytest.mark.parametrize("before_count", [0, 1, 2, 5])
@pytest.mark.parametrize("size_bytes", [5, 100, 200, 20_000])
def test_a_record_may_not_reach_past_its_scope(before_count: int, size_bytes: int) -> None:
    """A record that ends in the next scope is refused, wherever it stands and however long."""
    whole = field(2, b"record") * before_count + field(2, b"r" * size_bytes)
    payload = field(1, field(2, whole[:-3]) + field(2, b"next scope") + field(3, b"url" * 10))

    with pytest.raises(MalformedRequestError, match="the length at byte"):
        index_records(Signal.LOGS, payload)
    with pytest.raises(MalformedRequestError):
        check_framing(Signal.LOGS, payload)


@pytest.mark.parametrize("before_count", [0, 1, 2])
@pytest.mark.parametrize("tail", [b"\x12", b"\x12\x80", b"\x12\x80\x80", b"\x12\x85\x00text"])
def test_a_record_may_not_end_in_its_length(before_count: int, tail: bytes) -> None:
    """A request that ends amid a record's tag and length is refused like any other."""
    payload = field(1, field(2, field(2, b"record") * before_count + tail))

    with pytest.raises(MalformedRequestError, match="at byte"):
        index_records(Signal.LOGS, payload)
    with pytest.raises(MalformedRequestError):
        check_framing(Signal.LOGS, payload)


def test_bytes_that_complete_each_other_are_still_refused() -> None:
    """Two broken neighbours don't pass because the one goes on where the other was cut."""
    scope = field(2, b"a log record")
    broken = field(1, field(2, scope)[:-4]) + field(1, field(2, scope)[-4:])

    with pytest.raises(MalformedRequestError):
        check_framing(Signal.LOGS, broken)


def test_the_inside_of_a_record_is_not_looked_at() -> None:
    """Framing ends at the record: what is malformed in it is for whoever parses it to find."""
    payload = field(1, field(2, field(2, b"\xff\xff\xff")))

    assert check_framing(Signal.LOGS, payload).record_count == 1
    with pytest.raises(DecodeError):
        ExportLogsServiceRequest.FromString(payload)


def test_all_data_of_a_metric_counts() -> None:
    """Parsers keep one kind of data of a metric; a scanner has to see the others as well."""
    metric = field(5, field(1, b"first")) + field(7, field(1, b"second") + field(1, b"third"))
    metric += field(5, field(1, b"fourth"))
    payload = field(1, field(2, field(2, metric)))

    index = index_records(Signal.METRICS, payload)

    assert check_framing(Signal.METRICS, payload).record_count == 4
    assert contents(payload, index) == [b"first", b"second", b"third", b"fourth"]
    kinds = [index.containers[index.container_of(record)].number for record in range(4)]
    assert kinds == [5, 7, 7, 5]


def test_each_occurrence_of_a_resource_is_a_header() -> None:
    """Of a resource that stands there twice both are indexed and measured."""
    payload = field(1, field(1, b"a long resource") + field(1, b"short") + field(3, b"url"))

    index = index_records(Signal.TRACES, payload)

    kinds = [header.kind for header in index.headers]
    assert kinds == [SliceKind.RESOURCE, SliceKind.RESOURCE, SliceKind.RESOURCE_SCHEMA_URL]
    assert headers_of_kind(payload, index, 0, SliceKind.RESOURCE) == b"a long resourceshort"
    assert check_framing(Signal.TRACES, payload).longest_bytes == len(b"a long resource")


def test_fields_of_deprecated_numbers_are_unknown() -> None:
    """What old senders put in field 1000 is no record, and can be found as a slice."""
    old = field(1000, field(2, b"a log record of 2021"))
    payload = field(1, field(1, b"") + old + varint(13 << 3) + varint(5))

    index = index_records(Signal.LOGS, payload)

    assert check_framing(Signal.LOGS, payload).record_count == 0
    assert [header.kind for header in index.headers] == [SliceKind.RESOURCE, SliceKind.UNKNOWN]
    unknown = index.headers[1]
    assert payload[unknown.begin : unknown.end] == payload[4:]
    assert index.header_at(payload.index(b"2021")) == 1


def test_known_fields_of_another_wire_type_are_unknown() -> None:
    """Parsers skip a number where a message should be; so do framing and index."""
    payload = field(1, varint(2 << 3) + varint(5) + field(2, field(2, b"record")))

    index = index_records(Signal.LOGS, payload)

    assert contents(payload, index) == [b"record"]
    assert [header.kind for header in index.headers] == [SliceKind.UNKNOWN]


def test_numbers_beside_data_points_are_no_slices() -> None:
    """Temporality and monotony of a sum are known, in whatever form their varints are."""
    data = b"\x10\x02\x18\x01" + field(1, b"point") + b"\x10\x82\x00"
    payload = field(1, field(2, field(2, field(7, data))))

    index = index_records(Signal.METRICS, payload)

    assert contents(payload, index) == [b"point"]
    assert index.headers == []


@pytest.mark.parametrize(
    ("signal", "wrap"),
    [
        (Signal.LOGS, lambda many: field(1, field(2, many(2)))),
        (Signal.LOGS, lambda many: field(1, many(1))),
        (Signal.TRACES, lambda many: many(1)),
        (Signal.METRICS, lambda many: field(1, field(2, field(2, field(5, many(1)))))),
    ],
    ids=["records", "headers", "containers", "points"],
)
def test_elements_are_counted_to_a_limit(signal: Signal, wrap: Wrap) -> None:
    """One record, header or container more than the limit is refused, by both."""
    most = wrap(lambda number: field(number, b"") * MAX_ELEMENTS)
    one_more = wrap(lambda number: field(number, b"") * (MAX_ELEMENTS + 1))

    check_framing(signal, most)
    with pytest.raises(MalformedRequestError, match="smaller batches"):
        check_framing(signal, one_more)
    with pytest.raises(MalformedRequestError, match="smaller batches"):
        index_records(signal, one_more)


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("group_count", [95, 96, 97, 98, 99, 100, 101])
def test_groups_nest_as_deep_as_upb_lets_them(level: int, group_count: int) -> None:
    """Groups in any level are skipped up to the depth at which upb gives up."""
    payload = b"\x33" * group_count + b"\x34" * group_count
    for number in [1, 2, 2, 5][:level][::-1]:
        payload = field(number, payload)
    try:
        framing._SKELETONS[Signal.METRICS].FromString(payload)
    except DecodeError:
        with pytest.raises(MalformedRequestError, match="nest deeper"):
            index_records(Signal.METRICS, payload)
    else:
        assert len(index_records(Signal.METRICS, payload)) == 0


def test_long_records_are_indexed_among_short_ones() -> None:
    """Lengths of one, two and three bytes, and longer than need be, follow each other."""
    random = Random(3)  # noqa: S311 - any mix of sizes will do, the same at each run
    sizes = [random.choice((0, 1, 127, 128, 16_383, 16_384, 70_000)) for _ in range(60)]
    records = [random.randbytes(size) for size in sizes]
    scope = b"".join(
        varint(2 << 3 | 2) + varint(len(record), random.choice((0, 0, 1))) + record
        for record in records
    )
    payload = field(1, field(2, scope))

    assert contents(payload, index_records(Signal.LOGS, payload)) == records
    assert check_framing(Signal.LOGS, payload).longest_bytes == max(sizes)
