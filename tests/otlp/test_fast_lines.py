"""The one-pass reader and writer of lines, against the plain way by reflection."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from backward_encoding import backwards
from sdk_requests import sdk_request
from strategies import payloads, requests
from tapeline.otlp.json_lines import (
    MalformedLineError,
    plain_line,
    plain_payload,
    request_from_json,
    request_to_json,
)
from tapeline.otlp.line_reader import payload_of
from tapeline.otlp.line_shapes import UnusualError
from tapeline.otlp.line_writer import line_of
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

SIGNALS = st.sampled_from(Signal)
SECRET = "hunter" + "2-not-a-real-one"
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7.0,
    1.5,
    -0.0,
    1e300,
    2**31 - 1,
    2**31,
    2**32,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
    10**25,
    "",
    "7",
    "-7",
    "+7",
    " 7",
    "7_0",
    "٧",  # noqa: RUF001 - a digit, but not of ASCII.
    "1" * 21,
    "NaN",
    "-Infinity",
    "1e5",
    "ab",
    "a b",
    "AbCd",
    "/+8=",
    "_-8",
    "\ud800",
    'é\u2028\x00"\\',
    SECRET,
    [],
    [[]],
    [{}],
    [None],
    ["x"],
    {},
    {"stringValue": "x"},
    {"stringValue": "x", "intValue": "1"},
    {"key": "a", "value": {"intValue": 5}},
)


def outcome(make: Any, *arguments: Any) -> Any:
    """Return what a function returns, or the type and the text of its error."""
    try:
        return make(*arguments)
    except (MalformedLineError, MalformedRequestError) as error:
        return type(error), str(error)


@given(SIGNALS, st.data())
def test_the_same_line_whatever_the_form_of_the_wire(signal: Signal, data: DataObject) -> None:
    """Of any order of fields, with fields twice, unknown ones, or as serialisers write."""
    payload = data.draw(payloads(signal))

    assert request_to_json(signal, payload) == plain_line(signal, payload)


@given(SIGNALS, st.data())
def test_the_same_line_of_what_the_collector_writes(signal: Signal, data: DataObject) -> None:
    """Fields from last to first."""
    payload = backwards(data.draw(requests(signal)))

    assert request_to_json(signal, payload) == plain_line(signal, payload)


@given(SIGNALS, st.data(), st.integers(0, 2**32 - 1))
def test_the_same_line_or_error_of_broken_wire(signal: Signal, data: DataObject, seed: int) -> None:
    """Bytes changed, left out and put in: the error is that of the plain way, too."""
    random = Random(seed)  # noqa: S311 - a failure must be repeatable
    payload = bytearray(data.draw(requests(signal)).SerializeToString())
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(payload) + 1)
        payload[place : place + random.randint(0, 2)] = random.randbytes(random.randint(0, 2))

    fast = outcome(request_to_json, signal, bytes(payload))

    assert fast == outcome(plain_line, signal, bytes(payload))


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return every place of a document: the object or list that holds it, and its key there."""
    if not isinstance(document, dict | list):
        return []
    keys = document if isinstance(document, dict) else range(len(document))
    own: list[tuple[Any, Any]] = [(document, key) for key in keys]
    return own + [place for holder, key in own for place in _places(holder[key])]


def _change(document: Any, random: Random) -> None:
    """Put an odd value somewhere, or give a field another name, or add one."""
    holder, key = random.choice(_places(document))
    if isinstance(holder, dict) and random.random() < 0.3:
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
        name = random.choice((snake, "later", "x"))
        value = holder[key]
        if random.random() < 0.5:
            del holder[key]
        holder[name] = value
    else:
        holder[key] = random.choice(ODD_VALUES)


@given(SIGNALS, st.data(), st.integers(0, 2**32 - 1))
def test_the_same_request_or_error_of_any_document(
    signal: Signal, data: DataObject, seed: int
) -> None:
    """Values of other types, out of range, in other forms; original names; unknown fields."""
    random = Random(seed)  # noqa: S311 - a failure must be repeatable
    payload = data.draw(requests(signal)).SerializeToString()
    document = json.loads(plain_line(signal, payload))
    for _ in range(random.randint(0, 3)):
        if document:
            _change(document, random)
    try:
        fast = payload_of(signal, document)
    except UnusualError:
        return

    assert fast == plain_payload(signal, document)


@given(SIGNALS, st.data(), st.integers(0, 2**32 - 1))
def test_errors_are_those_of_the_plain_way_and_quote_nothing(
    signal: Signal, data: DataObject, seed: int
) -> None:
    """Through the whole of request_from_json."""
    random = Random(seed)  # noqa: S311 - a failure must be repeatable
    payload = data.draw(requests(signal)).SerializeToString()
    document = json.loads(plain_line(signal, payload))
    if not document:
        return
    _change(document, random)
    result = outcome(request_from_json, json.dumps(document).encode())

    if result[0] is MalformedLineError:
        assert SECRET not in result[1]
    else:
        read_signal, read = result
        assert read == plain_payload(read_signal, document)


@pytest.mark.parametrize("order", ["forwards", "backwards"])
@pytest.mark.parametrize("signal", Signal)
def test_what_is_usual_goes_the_fast_way(signal: Signal, order: str) -> None:
    """All of what the SDK can send: nested bodies, links, exemplars, both kinds of histogram."""
    request = sdk_request(signal)
    payload = request.SerializeToString() if order == "forwards" else backwards(request)

    line = line_of(signal, payload)

    assert line.encode() == plain_line(signal, payload)
    assert payload_of(signal, json.loads(line)) == request.SerializeToString(deterministic=True)


@pytest.mark.parametrize("depth", [10, 25, 26, 27, 28, 45, 46, 47, 48, 60, 2_000])
def test_nesting_has_its_end_where_the_plain_way_has_it(depth: int) -> None:
    """Deep values are left to it, so neither recursion can run away."""
    document: Any = {"stringValue": "x"}
    for _ in range(depth):
        document = {"arrayValue": {"values": [document]}}
    record = {"body": document}
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    try:
        fast = payload_of(Signal.LOGS, document)
    except UnusualError:
        assert depth > 30
    else:
        assert fast == plain_payload(Signal.LOGS, document)
        assert request_to_json(Signal.LOGS, fast) == plain_line(Signal.LOGS, fast)
