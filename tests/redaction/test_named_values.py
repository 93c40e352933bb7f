"""A text that is named by the one beside it is judged by that name: in pairs, lists, arguments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from planting import only_field, plant_attribute, request_of
from redaction_pack import default_judge
from tapeline.otlp.fields import FieldClass
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import fast_redactor

SECRET = "Zq7falcon2x8Kd0wLmV4tR1s"
LOGS = [
    only_field(Signal.LOGS, FieldClass.LOG_BODY),
    only_field(Signal.LOGS, FieldClass.LOG_ATTRIBUTE),
]
REDACTOR = Redactor(default_judge(), b"k" * 32)
FAST = fast_redactor(REDACTOR)

Shape = str | int | list["Shape"] | dict[str, "Shape"]


def _value(shape: Any) -> AnyValue:
    value = AnyValue()
    match shape:
        case str():
            value.string_value = shape
        case int():
            value.int_value = shape
        case list():
            value.array_value.SetInParent()
            value.array_value.values.extend(map(_value, shape))
        case _:
            value.kvlist_value.SetInParent()
            for key, inner in shape.items():
                value.kvlist_value.values.add(key=key, value=_value(inner))
    return value


def _redacted(row: Any, shape: Any) -> str:
    """Return the text of a request with this value, redacted by both, which have to agree."""
    request: Any = request_of(Signal.LOGS)
    plant_attribute(request, row, "startup", _value(shape))
    payload = request.SerializeToString()

    hits = REDACTOR.redact(Signal.LOGS, request)
    result = FAST.redact(Batch(Signal.LOGS, payload))

    assert result.hits == hits
    again: Any = type(request).FromString(result.batch.payload)
    assert again == request
    return str(request)


@pytest.mark.parametrize("row", LOGS, ids=["body", "attribute"])
def test_a_number_is_judged_by_the_name_beside_it(row: Any) -> None:
    """As under the name itself, where a number is a password too."""
    assert "98765432" not in _redacted(row, [{"name": "DB_PASSWORD", "value": 98765432}])
    assert "98765432" in _redacted(row, [{"name": "token", "value": 98765432}])


@pytest.mark.parametrize("row", LOGS, ids=["body", "attribute"])
@pytest.mark.parametrize(
    "shape",
    [
        ["/opt/gw", "--venue", "okx", "--api-secret", SECRET, "--dry-run"],
        ["gw", "-password", SECRET],
        {"env": [{"name": "VENUE", "value": "okx"}, {"name": "OKX_SECRET_KEY", "value": SECRET}]},
        [{"value": SECRET, "name": "DB_PASSWORD"}],
        {"headers": [["host", "gw"], ["x-api-key", SECRET]]},
        {"headers": [{"key": "Authorization", "values": [SECRET]}]},
    ],
    ids=["option", "one dash", "env", "value first", "two", "values"],
)
def test_a_text_is_judged_by_the_name_beside_it(row: Any, shape: Any) -> None:
    """Nothing of the secret is left, and the fast way does the same."""
    assert SECRET[:8] not in _redacted(row, shape)


@pytest.mark.parametrize("row", LOGS, ids=["body", "attribute"])
@pytest.mark.parametrize(
    "shape",
    [
        ["--token-file", "/run/secrets/token1", "--api-key", "--dry-run"],
        ["password", "token"],
        ["password", "token", "secret", "x1y2z3w4v5"],
        ["--client-order-id", SECRET],
        [{"name": "orderKey", "value": SECRET}, {"name": "token", "value": "WBTC-USDC"}],
        {"fill": ["cl_ord_id", SECRET]},
        {"name": "password policy", "value": "none"},
    ],
    ids=["no value", "two names", "names", "id", "keys", "pair", "policy"],
)
def test_a_text_beside_another_name_stays(row: Any, shape: Any) -> None:
    """Lists of names, identifiers after their name and options without a value are no secrets."""
    assert "REDACTED" not in _redacted(row, shape)


TEXTS = st.sampled_from(
    ["--api-key", "password", "x-api-key", "okx", SECRET, "-p", "binance", "hunter22", "", "a=b"]
)
KEYS = st.sampled_from(["name", "value", "key", "Values", "content", "password", "x"])
SHAPES = st.recursive(
    TEXTS | st.integers(0, 99_999_999),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(shape=SHAPES, row=st.sampled_from(LOGS))
def test_fast_and_plain_agree_on_names_beside_values(shape: Any, row: Any) -> None:
    """Whatever lists and pairs are made of, both find the same and leave the same."""
    _redacted(row, shape)
