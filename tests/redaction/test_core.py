"""No secret survives the redaction in any field, at any depth, and nothing else is touched."""

import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from fake_secrets import SHAPES, secret_text, seeded
from planting import (
    field_id,
    nested_lists,
    only_field,
    plant_attribute,
    plant_text,
    request_of,
)
from strategies import requests
from tapeline.otlp.fields import FIELDS, MAX_ANY_VALUE_DEPTH, Field, FieldClass, Kind
from tapeline.otlp.signals import Signal
from tapeline.otlp.walk import NestingError
from tapeline.redaction.core import TRADING_IDENTIFIERS, Hit, Redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.masks import KEY_ID_LENGTH, TOKEN_LENGTH
from tapeline.redaction.pack import load_pack
from tapeline.redaction.rule import RuleAction

KEY = b"k" * 32
JUDGE = Judge(load_pack())
FIRST, SECOND = "Zq7hunter2x8Kd0wLmV4tR1s", "Zq7hunter2x8Kd0wLmV4tR2s"
BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
LABEL = only_field(Signal.METRICS, FieldClass.DATA_POINT_ATTRIBUTE)
MAPS = [row for row in FIELDS if row.kind in {Kind.ATTRIBUTES, Kind.ANY_VALUE}]
MASK = re.compile(r"\[REDACTED:[a-z0-9:-]+\]")

SECRET_NAMES = ["password", "x-mbx-apikey", "client.secret", "sessionToken", "Authorization"]


def _values(secret: str) -> dict[str, AnyValue]:
    """Return a value of each type that holds, or is, the secret."""
    text = AnyValue(string_value=secret)
    return {
        "string": text,
        "bytes": AnyValue(bytes_value=secret.encode() + b"\xff\x00"),
        "array": nested_lists(text, 1),
        "key-value list": nested_lists(text, 1, "value"),
        "deep array": nested_lists(text, 20),
        "deep key-value list": nested_lists(text, 20, "value"),
    }


def _redacted(row: Field, request: object) -> bytes:
    Redactor(JUDGE, KEY).redact(row.signal, request)  # type: ignore[arg-type]  # built by signal
    payload: bytes = request.SerializeToString()  # type: ignore[attr-defined]
    return payload


@pytest.mark.parametrize("row", FIELDS, ids=field_id)
@pytest.mark.parametrize("rule", SHAPES)
def test_a_secret_is_found_by_its_shape_in_every_field(row: Field, rule: str) -> None:
    """Each rule reaches each row of the field table, and counts what it found there."""
    template, make = SHAPES[rule]
    secret = make(seeded(1))
    request = request_of(row.signal)
    plant_text(request, row, f"before {template.format(secret)} after")

    hits = Redactor(JUDGE, KEY).redact(row.signal, request)

    payload = request.SerializeToString()
    assert secret.encode() not in payload
    assert b"Zq7" not in payload
    assert f"[REDACTED:{rule}".encode() in payload
    assert b"before " in payload
    assert b" after" in payload
    assert [(hit.rule, hit.field_class) for hit in hits] == [(rule, row.field_class)]


@pytest.mark.parametrize("row", MAPS, ids=field_id)
@pytest.mark.parametrize("kind", _values(""))
@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_value_under_a_secret_name_is_masked_whole(row: Field, kind: str, name: str) -> None:
    """Whatever its type, and however deep what is in it."""
    request = request_of(row.signal)
    plant_attribute(request, row, name, _values("Zq7hunter2")[kind])

    payload = _redacted(row, request)

    assert b"Zq7hunter2" not in payload
    assert b"[REDACTED:" in payload
    assert name.encode() in payload


@pytest.mark.parametrize(
    "value",
    [AnyValue(int_value=918273), AnyValue(bool_value=True), AnyValue(double_value=918.25)],
    ids=["int", "bool", "double"],
)
def test_a_number_under_a_secret_name_is_masked(value: AnyValue) -> None:
    """A PIN is a password although it is a number."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", value)

    Redactor(JUDGE, KEY).redact(Signal.LOGS, request)

    body = request.resource_logs[0].scope_logs[0].log_records[0].body
    assert body.kvlist_value.values[0].value == AnyValue(string_value="[REDACTED:password]")


@pytest.mark.parametrize(
    "value",
    [
        AnyValue(),
        AnyValue(string_value=""),
        AnyValue(string_value=" "),
        AnyValue(bytes_value=b""),
        AnyValue(string_value="[REDACTED:password]"),
        AnyValue(string_value="[REDACTED:jwt:0123456789abcdef]"),
    ],
    ids=["unset", "empty", "blank", "no bytes", "mask", "mask with token"],
)
def test_nothing_to_hide_is_left_alone(value: AnyValue) -> None:
    """An empty value and a mask are no secrets, also under the name of one."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", value)
    before = request.SerializeToString()

    assert not Redactor(JUDGE, KEY).redact(Signal.LOGS, request)
    assert request.SerializeToString() == before


def test_someone_elses_brackets_are_no_mask() -> None:
    """Only the masks of known rules are let be: a secret can't hide in the form of one."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "password", AnyValue(string_value="[REDACTED:Zq7hunter2]"))

    assert b"Zq7hunter2" not in _redacted(BODY, request)


@pytest.mark.parametrize("row", MAPS, ids=field_id)
def test_an_attribute_key_that_holds_a_secret_is_rewritten(row: Field) -> None:
    """With a token, so that two keys of one map stay two."""
    request = request_of(row.signal)
    first, second = secret_text(seeded(1)), secret_text(seeded(2))
    value = AnyValue()
    value.kvlist_value.values.add(key=f"?password={first}")
    value.kvlist_value.values.add(key=f"?password={second}")
    plant_attribute(request, row, "map", value)

    payload = _redacted(row, request)

    assert b"Zq7" not in payload
    assert len(set(MASK.findall(payload.decode("latin-1")))) == 2


def test_nested_names_are_judged_together() -> None:
    """`{"api": {"key": …}}` is an API key; `{"order": {"key": …}}` is none."""
    request = request_of(Signal.LOGS)
    inner = AnyValue()
    inner.kvlist_value.values.add(key="key", value=AnyValue(string_value="Zq7hunter2"))
    plant_attribute(request, BODY, "api", inner)
    plant_attribute(request, BODY, "order", inner)

    hits = Redactor(JUDGE, KEY).redact(Signal.LOGS, request)

    assert hits == {Hit("api-key", FieldClass.LOG_BODY, RuleAction.MASK): 1}


@pytest.mark.parametrize("name", sorted(TRADING_IDENTIFIERS))
def test_identifiers_of_the_trading_convention_keep_their_value(name: str) -> None:
    """An order id that happens to look like a key is an order id."""
    request = request_of(Signal.LOGS)
    identifier = SHAPES["aws-access-key-id"][1](seeded(1))
    plant_attribute(request, BODY, name, AnyValue(string_value=identifier))

    assert not Redactor(JUDGE, KEY).redact(Signal.LOGS, request)


def test_series_with_different_secrets_stay_apart_and_equal_ones_together() -> None:
    """Two secrets in a label give two tokens, the same secret and key the same one."""
    labels = []
    for secret, key in (
        (FIRST, KEY),
        (SECOND, KEY),
        (FIRST, KEY),
        (FIRST, b"o" * 32),
    ):
        request = request_of(Signal.METRICS)
        plant_attribute(request, LABEL, "token", AnyValue(string_value=secret))
        hits = Redactor(JUDGE, key).redact(Signal.METRICS, request)
        assert [hit.action for hit in hits] == [RuleAction.HMAC]
        point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
        labels.append(point.attributes[0].value.string_value)

    first, second, again, other_key = labels
    assert first == again
    assert len({first, second, other_key}) == 3
    assert len(first) == len("[REDACTED:token::]") + KEY_ID_LENGTH + TOKEN_LENGTH


def test_values_of_different_types_get_different_tokens() -> None:
    """The label `1` and the label 1 were two series, and stay two."""
    seen = set()
    values = [AnyValue(string_value="1"), AnyValue(int_value=1), AnyValue(bool_value=True)]
    for value in values:
        request = request_of(Signal.METRICS)
        plant_attribute(request, LABEL, "token", value)
        seen.add(_redacted(LABEL, request))

    assert len(seen) == len(values)


def test_too_deep_a_value_is_refused() -> None:
    """What can't be looked at in full is an error, not a guess."""
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, "x", nested_lists(AnyValue(), MAX_ANY_VALUE_DEPTH))

    with pytest.raises(NestingError):
        Redactor(JUDGE, KEY).redact(Signal.LOGS, request)


def test_a_short_key_is_refused() -> None:
    """A key that can be guessed would make the tokens a list of the secrets."""
    with pytest.raises(ValueError, match="at least 32"):
        Redactor(JUDGE, b"short")


# Where a secret is put: under a name, or in a text by its shape, or in a text under a name.
def _by_name(random: Random, secret: str) -> AnyValue:
    kinds = list(_values(secret).values())
    value = AnyValue()
    value.kvlist_value.values.add(key=random.choice(SECRET_NAMES), value=random.choice(kinds))
    return value


def _by_pair(random: Random, secret: str) -> AnyValue:
    templates = ['{{"password": "{}"}}', "x?token={}&y", "secret={} z", "api_key: {}", "pwd='{}'"]
    return AnyValue(string_value=random.choice(templates).format(secret))


def _by_shape(random: Random, secret: str) -> AnyValue:
    # `Bearer` and userinfo take any text, so that the secret itself is known.
    return AnyValue(string_value=random.choice(["Bearer {}", "a://b:{}@c"]).format(secret))


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("hide", [_by_name, _by_pair, _by_shape])
@given(data=st.data())
def test_no_secret_survives_anywhere(
    signal: Signal, hide: Callable[[Random, str], AnyValue], data: st.DataObject
) -> None:
    """In any request, any field of attributes, at any depth: it is gone, and once is enough."""
    request = data.draw(requests(signal))
    random = seeded(data.draw(st.integers(0, 2**32)))
    secret = secret_text(random)
    row = random.choice([row for row in MAPS if row.signal is signal])
    key = random.choice(["", "k", "x.y"])
    # One level each for the value in front, its list, and what `hide` puts around the secret.
    levels = random.randrange(MAX_ANY_VALUE_DEPTH - 24)
    plant_attribute(request, row, "note", nested_lists(hide(random, secret), levels, key))

    redactor = Redactor(JUDGE, KEY)
    hits = redactor.redact(signal, request)

    payload = request.SerializeToString()
    assert hits
    assert secret.encode() not in payload
    assert not redactor.redact(signal, request)
    assert request.SerializeToString() == payload


FRAGMENTS = [
    *SECRET_NAMES,
    *[
        "=",
        ":",
        "'",
        "{",
        "}",
        "[",
        "]",
        "&",
        "?",
        ";",
        ",",
        "@",
        "/",
        '"',
        '\\"',
        "://",
        "Bearer",
        "Basic",
        "eyJ",
        "key",
        "api",
        "--",
        "null",
        "x1",
        "sig=",
        "cookie=",
    ],
    *(" ", ": ", "\n", "é", "\u200b", "https://a:", "token_address", "authorization: "),
    *("[REDACTED:password]", "[REDACTED:", "REDACTED", "Bearer ", "eyJhbGciOiJIUzI1NiJ9."),
    *("AK" + "IA" + "Q" * 16, "gh" + "p_" + "a" * 30, "0123456789abcdef" * 2),
    *("-----BEGIN PRIV" + "ATE KEY-----", "-----END PRIV" + "ATE KEY-----"),
]


@given(
    texts=st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join), max_size=4),
    row=st.sampled_from(FIELDS),
)
def test_redacting_twice_is_redacting_once(texts: list[str], row: Field) -> None:
    """Whatever stands next to whatever: what was masked is not taken for something else."""
    request = request_of(row.signal)
    for text in texts:
        plant_text(request, row, text)
        if row.kind in {Kind.ATTRIBUTES, Kind.ANY_VALUE}:
            plant_attribute(request, row, text, AnyValue(string_value=text[::-1]))
    redactor = Redactor(JUDGE, KEY)
    redactor.redact(row.signal, request)
    once = request.SerializeToString()

    assert not redactor.redact(row.signal, request)
    assert request.SerializeToString() == once


BENIGN = [
    "order 4f6c2f1e-9d0b-4f55-8d5e-0c7d6a3c2b1a filled 12@64250.5 on binance",
    '{"cl_ord_id":"AB-20261121-000017","exec_id":"9911827736","px":"64250.50","side":"buy"}',
    "tx 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed confirmed in block 1183276",
    "GET /api/v3/depth?symbol=BTCUSDT&limit=100 200 12ms",
    "isin=US0378331005 lei=5493001KJTIIGC8Y1R12 ts=1763683200000000000",
    "commit e83c5163316f89bfbde7d9ab23ca2e25604af290 by desk@firm.example",
    "partition_key=BTC-USDT order_key=17 token_address=0xabc public_key=none",
    "kafka: offset 1773 of fills-3, key=cl-17, 14 tokens used",
]


@given(data=st.data())
def test_benign_telemetry_is_left_as_it_is(data: st.DataObject) -> None:
    """What holds no secret comes out byte for byte."""
    row = data.draw(st.sampled_from(FIELDS))
    request = data.draw(requests(row.signal))
    hits_before = Redactor(JUDGE, KEY).redact(row.signal, request)
    plant_text(request, row, data.draw(st.sampled_from(BENIGN)))
    before = request.SerializeToString()

    assert not Redactor(JUDGE, KEY).redact(row.signal, request)
    assert request.SerializeToString() == before
    assert sum(hits_before.values()) <= 2, "random requests hardly ever look like secrets"
