"""Recordings that are damaged, or hold what no sender should send: bytes by the name of the file.

What would be a secret in them is made up, and opens nothing.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import zstandard

from corpus.requests import START_UNIX_NANO, batches_of
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder

__all__ = ["FAKE_SECRETS", "FLOOD_LIMIT", "hostile"]

FAKE_SECRETS: Final = ("Correct-Horse-7",)
_PASSWORD: Final = FAKE_SECRETS[0]
FLOOD_LIMIT: Final = 20
"""Series of a metric that the flood's configuration lets through."""
_FLOOD: Final = 300
_JSON: Final = encoder(Format.JSON, Compression.NONE)
_PROTO: Final = encoder(Format.PROTO, Compression.NONE)
_JSON_ZSTD: Final = encoder(Format.JSON, Compression.ZSTD)
_PROTO_ZSTD: Final = encoder(Format.PROTO, Compression.ZSTD)


def hostile() -> dict[str, bytes]:
    """Return every recording by its file's name."""
    return {
        "torn-line.otlp.jsonl": b"".join(map(_JSON, _three()))[:-40],
        "torn-message.otlp.pb": b"".join(map(_PROTO, _three()))[:-40],
        "torn-length.otlp.pb": b"".join(map(_PROTO, _three())) + b"\0\0",
        "torn-stream.otlp.jsonl.zst": _torn_stream(),
        "zeros-at-the-end.otlp.pb": b"".join(map(_PROTO, _three())) + bytes(96),
        "broken-framing.otlp.pb": _broken_framing(),
        "broken-message.otlp.pb": _broken_message(),
        "broken-frame.otlp.json.zst-messages": _broken_frame(),
        "not-a-recording.otlp.pb": b"no recording, but a text that somebody named like one\n" * 4,
        "no-signal.otlp.pb": _no_signal(),
        "mixed-forms.otlp.jsonl": _mixed_forms(),
        "invalid-utf-8.otlp.jsonl": _invalid_lines(),
        "invalid-utf-8.otlp.pb": _invalid_messages(),
        "deep-nesting.otlp.jsonl": b"".join(_nested_line(depth) for depth in (8, 20, 90, 600)),
        "deep-nesting.otlp.pb.zst-messages": b"".join(
            _PROTO_ZSTD(_nested(depth)) for depth in (8, 20, 90)
        ),
        "giant-numbers.otlp.jsonl": _giant_numbers(),
        "not-a-number.otlp.json.zst-messages": b"".join(map(_JSON_ZSTD, _not_a_number())),
        "zero-width.otlp.jsonl": b"".join(map(_JSON, _zero_width())),
        "future-fields.otlp.pb": b"".join(map(_PROTO, _future())),
        "future-fields.otlp.jsonl": _future_line(),
        "flood.otlp.pb.zst": _stream(b"".join(map(_PROTO, _flood()))),
    }


def _log(body: Any, at: str = "0s", **fields: Any) -> dict[str, Any]:
    return {"log": {"body": body, "at": at, "resource": {"service.name": "hostile"}, **fields}}


def _point(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "metric": {"name": name, "at": "10s", "resource": {"service.name": "hostile"}, **fields}
    }


def _three() -> list[Batch]:
    """Return a batch of each signal."""
    place = {"resource": {"service.name": "hostile"}}
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    return batches_of(
        [
            {"log": {"body": f"login failed: password={_PASSWORD}", "at": "0s", **place}},
            {"span": {"name": "POST /orders", "at": "0s", "duration": "12ms", **ids, **place}},
            {
                "metric": {
                    "name": "orders.sent", "type": "sum", "monotonic": True, "value": 3,
                    "start": "0s", "at": "10s", "attributes": {"venue": "X"}, **place,
                }
            },
        ]
    )  # fmt: skip


def _one(body: Any, at: str = "0s", **fields: Any) -> Batch:
    return batches_of([_log(body, at, **fields)])[0]


def _stream(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(3, write_checksum=True).compress(content)


def _torn_stream() -> bytes:
    """A zstd stream with a block for each line, as one that is flushed has, cut in the last."""
    stream = zstandard.ZstdCompressor(3, write_checksum=True).compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    blocks = [stream.compress(_JSON(batch)) + stream.flush(flush) for batch in _three()]
    return b"".join(blocks)[:-20]


def _broken_framing() -> bytes:
    """A length that is two bytes too short: what follows can't be found any more."""
    first, second, third = _three()
    length = len(second.payload) - 2
    return _PROTO(first) + length.to_bytes(4, "big") + second.payload + _PROTO(third)


def _broken_message() -> bytes:
    """A message with a length inside that goes beyond its end, between two that are whole."""
    first, second, third = _three()
    payload = bytearray(second.payload)
    payload[1] += 5
    return _PROTO(first) + _PROTO(Batch(second.signal, bytes(payload))) + _PROTO(third)


def _broken_frame() -> bytes:
    """A zstd frame with a byte of its checksum changed, between two that are whole."""
    first, second, third = map(_JSON_ZSTD, _three())
    return first + second[:-1] + bytes([second[-1] ^ 0xFF]) + third


def _no_signal() -> bytes:
    """A request that has a resource and no records: it may be of any signal."""
    resource = batches_of([_log("x")])[0].request
    del resource.resource_logs[0].scope_logs[:]  # type: ignore[attr-defined]
    return _PROTO(_one("before")) + _PROTO(Batch(_one("x").signal, resource.SerializeToString()))


def _mixed_forms() -> bytes:
    """Every form in one file, as the collector leaves it whose configuration was changed."""
    first, second, third = _three()
    return b"".join(
        (
            _JSON(first), _JSON(second), _PROTO(third), _PROTO_ZSTD(_one("compressed", "11s")),
            _JSON_ZSTD(_one("compressed line", "12s")), _JSON(_one("a line again", "13s")),
            _stream(_JSON(_one("in a stream", "14s"))),
        )
    )  # fmt: skip


def _line(record: str) -> bytes:
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}\n' % record.encode(
        errors="surrogateescape"
    )


def _invalid_lines() -> bytes:
    bodies = ("whole", "a byte \udcff alone", "half a pair \\ud83d", "overlong \udcc0\udc80", "end")
    at = f'"timeUnixNano":"{START_UNIX_NANO}"'
    return b"".join(_line(f'{{{at},"body":{{"stringValue":"{body}"}}}}') for body in bodies)


def _invalid_messages() -> bytes:
    """Bytes that are no UTF-8 where OTLP wants text: in a body, a key, and beside a password."""
    made = []
    for body, key in (("xxxx whole", "kkkk"), ("xxxx", "key"), ("body", "kkkk"), ("end", "key")):
        made.append(_one(f"{body} password={_PASSWORD}", attributes={key: "value"}).payload)
    made[1] = made[1].replace(b"xxxx", b"x\xff\xfex")
    made[2] = made[2].replace(b"kkkk", b"k\xc3\x28k")
    signal = _one("x").signal
    return b"".join(_PROTO(Batch(signal, payload)) for payload in made)


def _nested(depth: int) -> Batch:
    """Return a record whose body nests so deep, in protobuf as far as its parsers go."""
    request = batches_of([_log(None)])[0].request
    value = request.resource_logs[0].scope_logs[0].log_records[0].body  # type: ignore[attr-defined]
    for level in range(depth):
        if level % 2:
            value = value.array_value.values.add()
        else:
            pair = value.kvlist_value.values.add(key="in")
            value = pair.value
    value.string_value = f"password={_PASSWORD}"
    return Batch(_one("x").signal, request.SerializeToString())


def _nested_line(depth: int) -> bytes:
    begin, end = '{"arrayValue":{"values":[' * depth, "]}}" * depth
    inner = f'{{"stringValue":"password={_PASSWORD}"}}'
    return _line(f'{{"timeUnixNano":"{START_UNIX_NANO}","body":{begin}{inner}{end}}}')


def _giant_numbers() -> bytes:
    at = f'"timeUnixNano":"{START_UNIX_NANO}"'
    numbers = (
        '"intValue":"9223372036854775807"', '"intValue":"-9223372036854775808"',
        '"intValue":"9223372036854775808"', f'"intValue":"{"9" * 400}"', f'"intValue":{"9" * 5000}',
        '"intValue":"1e3"', '"doubleValue":1.7976931348623157e308', '"doubleValue":5e-324',
        '"doubleValue":1e400', f'"doubleValue":0.{"1" * 400}', '"doubleValue":-0.0',
    )  # fmt: skip
    bodies = b"".join(_line(f'{{{at},"body":{{{number}}}}}') for number in numbers)
    times = (2**63 - 1, 2**64 - 1, 2**64, -1)
    return bodies + b"".join(
        _line(f'{{"timeUnixNano":"{time}","body":{{"stringValue":"a giant time"}}}}')
        for time in times
    )


def _not_a_number() -> list[Batch]:
    """Not a number, infinities and a negative zero, in each kind of point and in a body."""
    nan, infinity = float("nan"), float("inf")
    histogram: Mapping[str, Any] = {"start": "0s", "count": 3}
    items = [
        _point("gauge", value=nan, attributes={"which": "nan"}),
        _point("gauge", value=infinity, attributes={"which": "+inf"}),
        _point("gauge", value=-infinity, attributes={"which": "-inf"}),
        _point("gauge", value=-0.0, attributes={"which": "-0"}),
        _point("sum", type="sum", monotonic=True, start="0s", value=nan),
        _point("sum", type="sum", monotonic=True, start="0s", value=5.0, attributes={"ok": "y"}),
        _point(
            "histogram", type="histogram", **histogram, sum=nan, min=nan, max=infinity,
            explicit_bounds=[1.0, 2.0], bucket_counts=[1, 1, 1],
            exemplars=[{"value": nan, "time": START_UNIX_NANO}],
        ),
        _point("bounds", type="histogram", **histogram, sum=3.0, explicit_bounds=[1.0, nan],
               bucket_counts=[1, 1, 1]),
        _point("exponential", type="exponential_histogram", **histogram, sum=infinity, scale=2,
               zero_count=1, zero_threshold=nan, positive={"offset": 1, "bucket_counts": [1, 1]}),
        _point("summary", type="summary", **histogram, sum=nan,
               quantile_values=[{"quantile": 0.5, "value": nan}]),
    ]  # fmt: skip
    return [*batches_of(items), _one({"price": nan, "size": infinity})]


def _zero_width() -> list[Batch]:
    """Passwords with something in them, or about them, that is not seen."""
    texts = (
        f"plain password={_PASSWORD}",
        f"a zero-width space: pass\u200bword={_PASSWORD}",
        f"a joiner at the end: password\u200d={_PASSWORD}",
        f"a byte order mark: \ufeffpassword={_PASSWORD}",
        f"a soft hyphen: pass\u00adword={_PASSWORD}",
        f"another equals sign: password\uff1d{_PASSWORD}",
        f"other letters: \uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44={_PASSWORD}",
        f"written backwards: \u202epassword={_PASSWORD}",
        f"spaces that are none: password\u00a0=\u2003{_PASSWORD}",
        "in the value: password=Correct\u200b-Horse\u2060-7",
    )
    return batches_of(
        [
            *(_log(text) for text in texts),
            _log("as keys", attributes={"pass\u200bword": _PASSWORD, "\ufeffpassword": _PASSWORD}),
        ]
    )


# Fields that no OTLP has yet: a number, 8 bytes, bytes, 4 bytes. (Number, wire type, what follows.)
_UNKNOWN: Final = (
    b"\xc8\x3e\x2a"  # 1001: 42
    b"\xd1\x3e\x01\x02\x03\x04\x05\x06\x07\x08"  # 1002
    b"\xda\x3e\x06future"  # 1003
    b"\xe5\x3e\x01\x02\x03\x04"  # 1004
)


def _future() -> list[Batch]:
    """Return the three signals with fields of a newer OTLP on every level, and a new value."""
    found = []
    for batch, path in zip(
        _three(),
        (
            ("resource_logs", "scope_logs", "log_records"),
            ("resource_spans", "scope_spans", "spans"),
            ("resource_metrics", "scope_metrics", "metrics"),
        ),
        strict=True,
    ):
        message: Any = batch.request
        levels = [message]
        for name in path:
            levels.append(getattr(levels[-1], name)[0])
        for level in (*levels, levels[1].resource):
            level.MergeFromString(_UNKNOWN)
        found.append(Batch(batch.signal, message.SerializeToString()))
    # A member that AnyValue does not have: the record's attribute has no value that is known.
    record = _one("a new kind of value", attributes={"new": None}).request
    value: Any = record.resource_logs[0].scope_logs[0].log_records[0]  # type: ignore[attr-defined]
    value.attributes[0].value.MergeFromString(_UNKNOWN)
    return [*found, Batch(found[0].signal, record.SerializeToString())]


def _future_line() -> bytes:
    request = json.loads(_JSON(_three()[0]))
    request["futureRequest"] = 1
    resource = request["resourceLogs"][0]
    resource["futureResource"] = [1, {"a": None}]
    record = resource["scopeLogs"][0]["logRecords"][0]
    record["futureRecord"] = {"password": _PASSWORD}
    return json.dumps(request).encode() + b"\n"


def _flood() -> list[Batch]:
    """Return a counter whose label has another value in every request."""
    return [
        batches_of(
            [
                _point(
                    "orders.sent", type="sum", monotonic=True, value=number + 1,
                    start="0s", at=f"{number + 1}s", attributes={"order": f"o-{number}"},
                )
            ]
        )[0]
        for number in range(_FLOOD)
    ]  # fmt: skip
