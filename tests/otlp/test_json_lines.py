"""OTLP/JSON lines, against protobuf's own JSON mapping and the specification's examples."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from plain_requests import without_unknown
from sdk_requests import sdk_request
from strategies import REQUEST_TYPES, payloads, requests, varint
from tapeline.otlp.framing import MalformedRequestError, check_framing
from tapeline.otlp.index import index_records
from tapeline.otlp.json_lines import MalformedLineError, request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice

SIGNALS = st.sampled_from(Signal)
EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "otlp"
ID_KEYS = {"traceId", "spanId", "parentSpanId"}
TOP_KEYS = {
    Signal.LOGS: "resourceLogs",
    Signal.TRACES: "resourceSpans",
    Signal.METRICS: "resourceMetrics",
}


def with_hex_ids(document: Any) -> Any:
    """Turn the base64 ids of protobuf's JSON mapping into OTLP's hexadecimal ones."""
    if isinstance(document, list):
        return [with_hex_ids(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: base64.b64decode(value).hex() if key in ID_KEYS else with_hex_ids(value)
        for key, value in document.items()
    }


def log_line(record: str) -> bytes:
    """Return a line with one log record, given as JSON."""
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}' % record.encode()


def log_record(record: str) -> Any:
    """Return the parsed record of such a line."""
    _, payload = request_from_json(log_line(record))
    request: Any = REQUEST_TYPES[Signal.LOGS].FromString(payload)
    return request.resource_logs[0].scope_logs[0].log_records[0]


@given(SIGNALS, st.data())
def test_lines_are_protobufs_json_with_ids_in_hex(signal: Signal, data: DataObject) -> None:
    """What is written is json_format's document with enums as integers, ids translated."""
    request = data.draw(requests(signal))

    line = request_to_json(signal, request.SerializeToString())

    expected = json_format.MessageToDict(request, use_integers_for_enums=True)
    assert json.loads(line) == with_hex_ids(expected)


@given(SIGNALS, st.data())
def test_a_request_survives_its_line(signal: Signal, data: DataObject) -> None:
    """Written and read again, a request means the same; written again, its line is the same."""
    payload = data.draw(payloads(signal))
    line = request_to_json(signal, payload)

    read_signal, read_payload = request_from_json(line)

    request = REQUEST_TYPES[signal].FromString(payload)
    assert read_payload == without_unknown(request)
    assert read_signal == signal or line == b"{}"
    assert request_to_json(signal, read_payload) == line
    assert b"\n" not in line


@given(SIGNALS, st.data())
def test_original_field_names_and_enum_names_are_read(signal: Signal, data: DataObject) -> None:
    """Lines in the forms that protobuf's own parsers take mean the same."""
    request = data.draw(requests(signal))
    document = json_format.MessageToDict(request, preserving_proto_field_name=True)
    snake_ids = {"trace_id", "span_id", "parent_span_id"}

    def translate(value: Any) -> Any:
        if isinstance(value, list):
            return [translate(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64decode(inner).hex().upper() if key in snake_ids else translate(inner)
            for key, inner in value.items()
        }

    _, payload = request_from_json(json.dumps(translate(document)).encode())

    assert payload == request.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", ["events", "logs", "metrics", "trace"])
def test_the_specifications_examples_are_read(name: str) -> None:
    """Each example of the OTLP repository parses to what protobuf's parser makes of it."""
    path = EXAMPLES / f"{name}.json"
    if not path.exists():
        pytest.skip("the examples of opentelemetry-proto are not beside this checkout")
    line = path.read_bytes()

    signal, payload = request_from_json(line)

    def with_base64_ids(document: Any) -> Any:
        if isinstance(document, list):
            return [with_base64_ids(item) for item in document]
        if not isinstance(document, dict):
            return document
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in ID_KEYS
            else with_base64_ids(value)
            for key, value in document.items()
        }

    expected = json_format.ParseDict(with_base64_ids(json.loads(line)), REQUEST_TYPES[signal]())
    assert payload == expected.SerializeToString(deterministic=True)
    assert len(index_records(signal, payload)) == check_framing(signal, payload).record_count > 0
    assert request_from_json(request_to_json(signal, payload)) == (signal, payload)


@pytest.mark.parametrize("signal", Signal)
def test_requests_of_the_sdk_pass_through_the_whole_wire_layer(signal: Signal) -> None:
    """Index, splice and JSON leave the meaning of what the real SDK sends as it was."""
    request = sdk_request(signal)
    payload = request.SerializeToString()
    index = index_records(signal, payload)
    records = [
        payload[begin:end]
        for begin, end in zip(index.record_begins, index.record_ends, strict=True)
    ]

    emptied = splice(payload, index, records=dict.fromkeys(range(len(index)), b""))
    restored = splice(emptied, index_records(signal, emptied), records=dict(enumerate(records)))
    line = request_to_json(signal, restored)

    assert len(index) == check_framing(signal, payload).record_count > 0
    assert restored == payload
    assert json.loads(line) == with_hex_ids(
        json_format.MessageToDict(request, use_integers_for_enums=True)
    )
    read_signal, read_payload = request_from_json(line)
    assert read_signal is signal
    assert REQUEST_TYPES[signal].FromString(read_payload) == request


@pytest.mark.parametrize(
    ("value", "expected"), [('"7"', 7), ("7", 7), ("7.0", 7), ("7e0", 7), ("null", 0)]
)
def test_integers_are_read_in_each_form(value: str, expected: int) -> None:
    """64-bit integers may be strings or numbers; null is the same as not there."""
    assert log_record(f'{{"timeUnixNano": {value}}}').time_unix_nano == expected


@pytest.mark.parametrize("value", ['"SEVERITY_NUMBER_WARN"', "13", '"13"'])
def test_enums_are_read_in_each_form(value: str) -> None:
    """OTLP has integers only; names are what some senders write all the same."""
    assert log_record(f'{{"severityNumber": {value}}}').severity_number == 13


@pytest.mark.parametrize("value", ["_-8", "_-8=", "/+8=", "/+8"])
def test_bytes_are_read_in_both_alphabets(value: str) -> None:
    """Base64 may be of either alphabet, padded or not; protobuf's parsers take all of them."""
    record = log_record(f'{{"body": {{"bytesValue": "{value}"}}}}')

    assert record.body.bytes_value == b"\xff\xef"


@pytest.mark.parametrize("value", ['"NaN"', '"Infinity"', '"-Infinity"', "1.5", '"1.5"', "3"])
def test_doubles_are_read_in_each_form(value: str) -> None:
    """Numbers that JSON has no form for are strings."""
    record = log_record(f'{{"body": {{"doubleValue": {value}}}}}')

    assert str(record.body.double_value) == str(float(value.strip('"')))


def test_a_value_that_is_set_but_empty_stays_set() -> None:
    """An AnyValue of no kind, of an empty string and of an empty list are three things."""
    line = log_line(
        '{"body":{},"attributes":[{"key":"a","value":{"stringValue":""}},'
        '{"key":"b","value":{"arrayValue":{"values":[{},{"intValue":"0"}]}}},'
        '{"key":"c","value":{"kvlistValue":{}}}]}'
    )

    assert request_to_json(*request_from_json(line)) == line


def test_unknown_fields_are_ignored_on_every_level() -> None:
    """Fields that OTLP does not have (yet) are left out, whatever is in them."""
    line = log_line('{"severityText":"INFO","later":{"a":[1,{"b":NULL}]},"x":1}').replace(
        b"NULL", b"null"
    )

    signal, payload = request_from_json(line[:-1] + b',"other":[]}')

    assert request_to_json(signal, payload) == log_line('{"severityText":"INFO"}')


@pytest.mark.parametrize(
    "line", [b"{}", b" {} \n", b'{"resourceLogs":[]}', b'{"resourceLogs":null}']
)
def test_an_empty_object_is_a_request_without_records(line: bytes) -> None:
    """Of no signal, or of any: there is nothing in it, so it is taken as a logs request."""
    assert request_from_json(line) == (Signal.LOGS, b"")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "byte 0: not JSON"),
        (b"plain text", "byte 0: not JSON"),
        (b'{"resourceLogs": [}', "byte 18: not JSON"),
        ('{"resourceLogs": "\u00e9\u00e9" x}'.encode(), "byte 24: not JSON"),
        (b'{"resourceLogs": "\xff"}', "byte 18: not UTF-8"),
        (b'[{"resourceLogs": []}]', "is an object"),
        (b'{"level":"info","message":"started"}', "none of resourceLogs"),
        (b'{"resourceLogs":[],"resourceSpans":[]}', "mixes signals: it has resourceLogs and"),
        (b'{"resourceLogs":{}}', "^resourceLogs: must be a list"),
        (b'{"resourceLogs":[[]]}', r"^resourceLogs\[0\]: must be an object"),
        (b'{"resourceLogs":[' + b"[" * 100_000, "nests too deep"),
        (b'{"resourceLogs":' + b"1" * 5_000 + b"}", "too long"),
        (log_line('{"body":{"doubleValue":NaN}}'), "NaN must be in quotes"),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(line: bytes, complaint: str) -> None:
    """The error says at which byte of the line, or in which field of the request."""
    with pytest.raises(MalformedLineError, match=complaint):
        request_from_json(line)


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ('{"timeUnixNano":"soon"}', "timeUnixNano: must be an integer"),
        ('{"timeUnixNano":1.5}', "timeUnixNano: must be an integer"),
        ('{"timeUnixNano":true}', "timeUnixNano: must be an integer"),
        ('{"timeUnixNano":-1}', "timeUnixNano: must be from 0 to 18446744073709551615"),
        ('{"timeUnixNano":"18446744073709551616"}', "timeUnixNano: must be from 0 to"),
        ('{"severityNumber":"WARNING"}', "severityNumber: must be an integer"),
        ('{"severityNumber":3000000000}', "severityNumber: must be from"),
        ('{"traceId":"abc"}', "traceId: must be an even number of hexadecimal digits"),
        ('{"traceId":"zz"}', "traceId: must be an even number of hexadecimal digits"),
        ('{"traceId":" a b"}', "traceId: must be an even number of hexadecimal digits"),
        ('{"traceId":5}', "traceId: must be a string of hexadecimal digits"),
        ('{"severityText":5}', "severityText: must be a string"),
        ('{"severityText":"\\ud800"}', "severityText: holds half of a surrogate pair"),
        ('{"body":"text"}', "body: must be an object"),
        ('{"body":{"boolValue":"true"}}', r"body\.boolValue: must be true or false"),
        ('{"body":{"bytesValue":"!!!!"}}', r"body\.bytesValue: must be in base64"),
        ('{"body":{"bytesValue":"abcde"}}', r"body\.bytesValue: must be in base64"),
        ('{"body":{"bytesValue":5}}', r"body\.bytesValue: must be a string in base64"),
        ('{"body":{"doubleValue":"1_0"}}', r"body\.doubleValue: must be a number"),
        ('{"body":{"doubleValue":false}}', r"body\.doubleValue: must be a number"),
        ('{"body":{"doubleValue":1e999}}', r"body\.doubleValue: is too large"),
        ('{"body":{"doubleValue":"1e999"}}', r"body\.doubleValue: is too large"),
        ('{"body":{"doubleValue":1%s}}' % ("0" * 400), r"body\.doubleValue: is too large"),
        ('{"body":{"intValue":1,"stringValue":""}}', r"body\.stringValue: excludes another"),
        ('{"timeUnixNano":1,"time_unix_nano":1}', "timeUnixNano: is there twice"),
        (
            '{"attributes":[{},{"value":{"arrayValue":{"values":[{"intValue":"x"}]}}}]}',
            r"attributes\[1\]\.value\.arrayValue\.values\[0\]\.intValue: must be an integer",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_path(record: str, complaint: str) -> None:
    """The error names the field, from the line inwards, and does not quote the value."""
    prefix = r"^resourceLogs\[0\]\.scopeLogs\[0\]\.logRecords\[0\]\."

    with pytest.raises(MalformedLineError, match=prefix + complaint):
        request_from_json(log_line(record))


def test_errors_never_quote_the_input() -> None:
    """A value of the wrong type, or broken JSON around it, could be a secret."""
    secret = "hunter" + "2-not-a-real-one"
    lines = [
        log_line(f'{{"timeUnixNano":"{secret}"}}'),
        log_line(f'{{"traceId":"{secret}"}}'),
        log_line(f'{{"severityNumber":"{secret}"}}'),
        log_line(f'{{"body":{{"bytesValue":"{secret}!"}}}}'),
        f'{{"{secret}":1}}'.encode(),
        f'{{"resourceLogs":"{secret}"}}'.encode(),
        f'{{"resourceLogs":"{secret}'.encode(),
        f"{{{secret}".encode(),
    ]

    for line in lines:
        with pytest.raises(MalformedLineError) as raised:
            request_from_json(line)
        assert secret not in str(raised.value)


@pytest.mark.parametrize("map_count", [0, 1])
@pytest.mark.parametrize("list_count", [45, 46, 47, 48, 49, 300])
def test_values_nest_as_deep_as_parsers_take_them(list_count: int, map_count: int) -> None:
    """A line is read if the parser takes the request that it stands for, and refused if not."""
    payload = b""
    for number in [1, 2, 2, 5, *[5, 1] * list_count, *[6, 1, 2] * map_count][::-1]:
        payload = varint(number << 3 | 2) + varint(len(payload)) + payload
    value = '{"kvlistValue":{"values":[{"value":' * map_count + "{}" + "}]}}" * map_count
    value = '{"arrayValue":{"values":[' * list_count + value + "]}}" * list_count
    line = log_line(f'{{"body":{value}}}')
    try:
        REQUEST_TYPES[Signal.LOGS].FromString(payload)
    except DecodeError:
        with pytest.raises(MalformedLineError, match=r"nests (deeper|too deep)"):
            request_from_json(line)
    else:
        assert request_from_json(line) == (Signal.LOGS, payload)
        assert request_to_json(Signal.LOGS, payload) == line


@pytest.mark.parametrize("inner", ['{"intValue":"x"}', '{"arrayValue":{"values":5}}'])
@pytest.mark.parametrize("depth", [4, 5, 6, 20, 40, 90])
def test_the_path_in_a_nested_value_is_told_by_its_ends(depth: int, inner: str) -> None:
    """Where it goes in, and where it ends: what is between says nothing, and is left out."""
    value = '{"arrayValue":{"values":[' * depth + inner + "]}}" * depth
    head = r"resourceLogs\[0\]\.scopeLogs\[0\]\.logRecords\[0\]\.body\.arrayValue\.values\[0\]"
    complaint = r"(intValue|arrayValue|arrayValue\.values): (must be|nests deeper)"

    with pytest.raises(MalformedLineError, match=rf"^{head}\..*\.{complaint}") as raised:
        request_from_json(log_line(f'{{"body":{value}}}'))

    path = str(raised.value).partition(": ")[0]
    assert ("…" in path) is (depth > 5)
    assert path.count(".") <= 16
    assert len(path) < 300


def test_bytes_that_do_not_parse_have_no_line() -> None:
    """request_to_json parses all of the request, and says so where that fails."""
    with pytest.raises(MalformedRequestError, match="the logs request does not parse"):
        request_to_json(Signal.LOGS, b"\x0a\x05")
