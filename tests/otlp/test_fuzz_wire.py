"""Mutated requests through the whole wire layer: an error, or the same bytes back.

Seeds are requests of the real SDK and small ones of every shape; mutations are drawn from a
seeded generator, so that a failure is found again by its seed and number.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from google.protobuf.message import DecodeError

from sdk_requests import sdk_request
from strategies import REQUEST_TYPES, disguise, varint
from tapeline.otlp.framing import MalformedRequestError, check_framing
from tapeline.otlp.index import RecordIndex, index_records
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice

SHORT_RUN = 20_000
WHOLE_RUN = 200_000
# JSON is some 50 times slower than the rest.
JSON_EVERY = 25
# Mostly one at a time: after several hardly any request is well-formed.
MUTATION_COUNTS = (1, 1, 1, 1, 2, 4)
# Bytes that decide on structure: continuation, lengths at their limits, tags of each wire type.
_EDGE_BYTES = bytes.fromhex("00 01 02 7f 80 81 ff 0a 0b 0c 0d 12 1a 08 09 07")


def flip_bit(data: bytearray, _: bytes, random: Random) -> None:
    """Turn one bit over."""
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def set_edge_byte(data: bytearray, _: bytes, random: Random) -> None:
    """Set one byte to one that decides on structure."""
    data[random.randrange(len(data))] = random.choice(_EDGE_BYTES)


def truncate(data: bytearray, _: bytes, random: Random) -> None:
    """Cut the end off."""
    del data[random.randrange(len(data)) :]


def delete(data: bytearray, _: bytes, random: Random) -> None:
    """Take a short run of bytes out."""
    begin = random.randrange(len(data))
    del data[begin : begin + random.randint(1, 16)]


def insert(data: bytearray, _: bytes, random: Random) -> None:
    """Put random bytes, or a varint at one of the limits, somewhere in."""
    limits = (0, 127, 128, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1)
    inserted = random.choice(
        (random.randbytes(random.randint(1, 12)), varint(random.choice(limits), 1))
    )
    at = random.randint(0, len(data))
    data[at:at] = inserted


def lengthen_number(data: bytearray, _: bytes, random: Random) -> None:
    """Make a byte that may be a tag or length longer than need be, or change what it counts."""
    at = random.randrange(len(data))
    if random.random() < 0.5:
        data[at : at + 1] = varint(data[at] & 0x7F, random.randint(1, 10))
    else:
        data[at] = data[at] + random.choice((-2, -1, 1, 2)) & 0xFF


def duplicate(data: bytearray, _: bytes, random: Random) -> None:
    """Repeat a run of bytes, which now and then is a whole field."""
    begin = random.randrange(len(data))
    run = data[begin : begin + random.randint(1, 64)]
    data[begin:begin] = run


def cross(data: bytearray, other: bytes, random: Random) -> None:
    """Go on with the bytes of another request from some point."""
    data[random.randrange(len(data)) :] = other[random.randrange(len(other)) :]


def nest(data: bytearray, _: bytes, random: Random) -> None:
    """Wrap the whole in a field, or in a group, as deep as parsers go and deeper."""
    number = random.choice((1, 2, 3, 5, 1000))
    if random.random() < 0.5:
        data[:] = varint(number << 3 | 2) + varint(len(data)) + data
    else:
        depth = random.choice((1, 50, 97, 100, 120))
        data[:] = varint(number << 3 | 3) * depth + data + varint(number << 3 | 4) * depth


MUTATIONS = (
    flip_bit,
    set_edge_byte,
    truncate,
    delete,
    insert,
    lengthen_number,
    duplicate,
    cross,
    nest,
)


# Requests of a few bytes, in which a mutation likely hits the framing.
_SCOPE = '"scope":{"name":"s"},"schemaUrl":"v"'
_POINT = '{"attributes":[{"key":"k","value":{"intValue":"1"}}],"timeUnixNano":"5"}'
_METRICS = ",".join(
    f'{{"name":"m","unit":"1","metadata":[{{"key":"k"}}],"{kind}":{{"dataPoints":[{_POINT},{{}}]}}}}'
    for kind in ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
)
SMALL_LINES = {
    Signal.LOGS: f'"scopeLogs":[{{{_SCOPE},"logRecords":[{{"body":{{"stringValue":"b"}}}},{{}}]}}]',
    Signal.TRACES: f'"scopeSpans":[{{{_SCOPE},"spans":[{{"name":"n","events":[{{}}]}},{{}}]}}]',
    Signal.METRICS: f'"scopeMetrics":[{{{_SCOPE},"metrics":[{_METRICS}]}}]',
}


def small_request(signal: Signal) -> bytes:
    """Return a request with two resources, each with a scope of a few tiny records."""
    resource = f'{{"resource":{{"attributes":[{{"key":"r"}}]}},{SMALL_LINES[signal]}}}'
    key = SMALL_LINES[signal].split('"')[1].replace("scope", "resource")
    return request_from_json(f'{{"{key}":[{resource},{resource}]}}'.encode())[1]


def seeds(random: Random) -> dict[Signal, list[bytes]]:
    """Return requests to mutate: as serialisers write them, and in unusual forms."""
    corpus = {}
    for signal, message_type in REQUEST_TYPES.items():
        usual = [small_request(signal), sdk_request(signal).SerializeToString()]
        messages = [message_type.FromString(payload) for payload in usual]
        disguised = [disguise(message, random) for message in messages for _ in range(5)]
        # The small ones are mutated more often: they are quick, and more of them break.
        corpus[signal] = usual[:1] * 4 + usual[1:] + disguised
    return corpus


def mutants(count: int, seed: int) -> Iterator[tuple[Signal, bytes]]:
    """Yield that many mutated requests, of the three signals in turn."""
    random = Random(seed)  # noqa: S311 - a failure must be repeatable
    corpus = seeds(random)
    signals = list(Signal)
    for number in range(count):
        signal = signals[number % len(signals)]
        data = bytearray(random.choice(corpus[signal]))
        other = random.choice(corpus[random.choice(signals)])
        for _ in range(random.choice(MUTATION_COUNTS)):
            if data:
                random.choice(MUTATIONS)(data, other, random)
        yield signal, bytes(data)


def parses(signal: Signal, payload: bytes) -> bool:
    """Whether the real parser, which goes all the way down, takes the bytes."""
    try:
        REQUEST_TYPES[signal].FromString(payload)
    except DecodeError:
        return False
    return True


def contents(payload: bytes, index: RecordIndex) -> list[bytes]:
    """Return the bytes of all records, then those of all headers."""
    records = zip(index.record_begins, index.record_ends, strict=True)
    headers = ((header.begin, header.end) for header in index.headers)
    return [payload[begin:end] for begin, end in (*records, *headers)]


def exercise(signal: Signal, payload: bytes, *, with_json: bool) -> str:
    """Pass bytes through the layer, check what must hold, and return what became of them."""
    try:
        framing = check_framing(signal, payload)
    except MalformedRequestError:
        with pytest.raises(MalformedRequestError):
            index_records(signal, payload)
        assert not parses(signal, payload)
        return "refused"
    index = index_records(signal, payload)
    assert len(index) == framing.record_count
    check_splice(signal, payload, index)
    if not parses(signal, payload):
        if with_json:
            with pytest.raises(MalformedRequestError):
                request_to_json(signal, payload)
        return "malformed deeper"
    if with_json:
        check_json(signal, payload)
    return "accepted"


def check_splice(signal: Signal, payload: bytes, index: RecordIndex) -> None:
    """Replacing all by itself gives the same object; a change and its reverse the same slices."""
    old = contents(payload, index)
    records = dict(enumerate(old[: len(index)]))
    headers = {
        number: content
        for number, content in enumerate(old[len(index) :])
        if index.headers[number].kind is not SliceKind.UNKNOWN
    }
    assert splice(payload, index, records=records, headers=headers) is payload
    grown = splice(
        payload,
        index,
        records={number: content + b"x" * 100 for number, content in records.items()},
        headers={number: content + b"y" for number, content in headers.items()},
    )
    restored = splice(grown, index_records(signal, grown), records=records, headers=headers)
    assert contents(restored, index_records(signal, restored)) == old
    assert len(restored) <= len(payload)


def check_json(signal: Signal, payload: bytes) -> None:
    """A request's line is read as a request that has the same line."""
    line = request_to_json(signal, payload)
    read_signal, read_payload = request_from_json(line)
    assert read_signal is signal or line == b"{}"
    assert request_to_json(signal, read_payload) == line


def run(count: int, seed: int) -> Counter[str]:
    """Exercise that many mutants and count what became of them."""
    outcomes: Counter[str] = Counter()
    for number, (signal, payload) in enumerate(mutants(count, seed)):
        try:
            outcomes[exercise(signal, payload, with_json=number % JSON_EVERY == 0)] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of seed {seed}: {signal} {payload.hex()}")
            raise
    return outcomes


def check_outcomes(outcomes: Counter[str], count: int) -> None:
    """Hold a run to its number of mutants, and to a fair share of each outcome."""
    assert sum(outcomes.values()) == count
    assert min(outcomes[name] for name in ("accepted", "refused")) > count / 10
    assert outcomes["malformed deeper"] > count / 100


def test_mutated_requests_give_an_error_or_themselves() -> None:
    """A short run of the fuzzer: nothing but MalformedRequestError comes out of the layer."""
    check_outcomes(run(SHORT_RUN, seed=1), SHORT_RUN)


@pytest.mark.acceptance
@pytest.mark.timeout(1_800)
def test_mutated_requests_give_an_error_or_themselves_in_the_long_run() -> None:
    """The whole run, of mutants that the short one has not seen."""
    check_outcomes(run(WHOLE_RUN, seed=2), WHOLE_RUN)
