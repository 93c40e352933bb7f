"""The fast path finds what the plain one finds, and leaves every other byte alone."""

import base64
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plain_requests import without_unknown
from planting import plant_text, request_of
from strategies import REQUEST_TYPES, requests
from tapeline.otlp.fields import FIELDS
from tapeline.otlp.index import index_records
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import Place, rewrite_request
from tapeline.pipeline.batch import Batch
from tapeline.redaction.core import Hit, Redactor
from tapeline.redaction.decoding import normalised
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack
from tapeline.redaction.wire_patterns import LOOK_ALIKES

KEY = b"k" * 32


@cache
def _redactor() -> Redactor:
    return Redactor(Judge(load_pack()), KEY)


@cache
def _fast() -> FastRedactor:
    return fast_redactor(_redactor())


@cache
def _shapes() -> tuple[str, ...]:
    """Every rule's own examples, those that it finds and those that it leaves."""
    pack = load_pack()
    rules = (*pack.value_rules, *pack.name_rules)
    return tuple(text for rule in rules for group in rule.samples() for text in group)


@cache
def _names() -> tuple[str, ...]:
    names = [name for rule in load_pack().name_rules for name in (*rule.names, *rule.vendors)]
    return tuple(dict.fromkeys(names))


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "url-safe": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "url": lambda text: quote(text, safe=""),
    "json": lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "split": "\u200b".join,
}


FORMS: tuple[Callable[[str], str], ...] = (str.lower, str.upper, str.title, str)
EDGES = ("", "", " ", "a", "9", "Z_", "\u00e9", "=", '"', "\x00", "key ")


def _text(random: Random) -> str:
    """Return a text with or without a secret, in or out of an encoding, cut or not."""
    shape = ENCODERS[random.choice(list(ENCODERS))](random.choice(_shapes()))
    if random.random() < 0.3:
        shape = shape[: random.randrange(len(shape) + 1)]
    return random.choice(EDGES) + shape + random.choice(EDGES)


def _key(random: Random) -> str:
    words = random.choice(_names()).split()
    joined = random.choice(["_", "-", ".", "", " "]).join(words)
    form = random.choice(FORMS)
    return random.choice(["", "db_", "x-", "my"]) + form(joined) + random.choice(["", "_1"])


class _Planter:
    """Puts texts and keys into some fields of a request."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def rewrite_text(self, place: Place, text: str) -> str:
        del place
        chance = self._random.random()
        if chance < 0.15:
            return _text(self._random)
        return _key(self._random) if chance < 0.3 else text

    def replace_value(self, place: Place, value: Any) -> str | None:
        del place, value
        return None

    def end_record(self) -> None:
        """Do nothing: every record may have one."""


def _plain(signal: Signal, payload: bytes) -> tuple[bytes, Counter[Hit]]:
    request: Any = REQUEST_TYPES[signal].FromString(payload)
    hits = _redactor().redact(signal, request)
    return without_unknown(request), hits


def _assert_agreement(signal: Signal, payload: bytes) -> None:
    expected, hits = _plain(signal, payload)

    result = _fast().redact(Batch(signal, payload))

    assert without_unknown(REQUEST_TYPES[signal].FromString(result.batch.payload)) == expected
    assert result.hits == hits


@pytest.mark.parametrize("signal", list(Signal))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_fast_and_plain_agree_on_secrets_in_any_field(signal: Signal, data: st.DataObject) -> None:
    """Any depth, any neighbours, any encoding: zero differences."""
    request = data.draw(requests(signal))
    planter = _Planter(data.draw(st.randoms(use_true_random=False)))
    rewrite_request(signal, request, planter)

    _assert_agreement(signal, request.SerializeToString())


@pytest.mark.parametrize("encoding", ENCODERS)
def test_fast_and_plain_agree_on_every_example_of_every_rule(encoding: str) -> None:
    """As bodies of one batch, each the neighbour of others, and each by itself."""
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    scope = request.resource_logs.add().scope_logs.add()
    for shape in _shapes():
        scope.log_records.add().body.string_value = ENCODERS[encoding](shape)

    _assert_agreement(Signal.LOGS, request.SerializeToString())


@pytest.mark.parametrize("signal", list(Signal))
def test_fast_and_plain_agree_on_a_secret_in_every_field_of_the_table(signal: Signal) -> None:
    """One field at a time: the scan maps its bytes to the right element."""
    for field in (row for row in FIELDS if row.signal is signal):
        request = request_of(signal)
        plant_text(request, field, "password=correct-horse-9")
        payload = request.SerializeToString()

        _assert_agreement(signal, payload)
        assert _plain(signal, payload)[1]


def test_the_bytes_of_untouched_records_stay() -> None:
    """A record beside a redacted one is not written anew."""
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in ("before", "password=correct-horse-9", "after"):
        records.add(severity_number=9).body.string_value = body
    payload = request.SerializeToString()

    result = _fast().redact(Batch(Signal.LOGS, payload)).batch.payload

    old, new = index_records(Signal.LOGS, payload), index_records(Signal.LOGS, result)
    contents = [
        [data[begin:end] for begin, end in zip(i.record_begins, i.record_ends, strict=True)]
        for i, data in ((old, payload), (new, result))
    ]
    assert contents[0][0] == contents[1][0]
    assert contents[0][2] == contents[1][2]
    assert b"correct-horse" not in result


def test_a_clean_batch_is_the_same_object() -> None:
    """Nothing is copied."""
    request: Any = REQUEST_TYPES[Signal.LOGS]()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add().body.string_value = "order accepted"
    batch = Batch(Signal.LOGS, request.SerializeToString())

    assert _fast().redact(batch).batch is batch


def test_fields_that_otlp_does_not_define_go_where_they_look_like_a_secret() -> None:
    """What no parser knows can't be judged, and so may not go on."""
    secret = b"password=correct-horse-9"
    unknown = b"\x7a%c%b" % (len(secret), secret)
    record = b"\x2a\x03\x0a\x01x" + unknown
    scope = b"\x12%c%b" % (len(record), record) + unknown
    resource = b"\x12%c%b" % (len(scope), scope) + unknown
    payload = b"\x0a%b%b" % (bytes([len(resource) & 0x7F | 0x80, len(resource) >> 7]), resource)

    result = _fast().redact(Batch(Signal.LOGS, payload)).batch.payload

    assert b"correct-horse" not in result
    parsed: Any = REQUEST_TYPES[Signal.LOGS].FromString(result)
    (kept,) = parsed.resource_logs[0].scope_logs[0].log_records
    assert kept.body.string_value == "x"


def test_the_scan_knows_every_character_that_reads_as_another() -> None:
    """All of Unicode: what NFKC turns into ASCII, and what is not seen."""
    known = re.compile(b"|".join(LOOK_ALIKES))
    missed = [
        f"U+{code:04X}"
        for code in range(0x80, 0x110000)
        if not 0xD800 <= code <= 0xDFFF
        and normalised(chr(code))[0] != "\x7f"
        and not known.search(chr(code).encode())
    ]

    assert missed == [], unicodedata.unidata_version
