"""Names and values in one text: the fast path knows where names end, and must miss none by it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otlp_client import logs
from redaction_pack import default_judge
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import fast_redactor

REDACTOR = Redactor(default_judge(), b"k" * 32)
FAST = fast_redactor(REDACTOR)
SIGNATURE = "0f1e2d3c4b5a6978" * 4
PIECES = [
    *("password", "api", "key", "api_key", "signature", "file", "name", "value", "pwd", "secret"),
    *("Xpassword", "token", "--password", "--token", "desk", "okx", "binance", "x-mbx-apikey"),
    *("=", ": ", ":", " = ", "=>", "<-", '="', '"', "'", ", ", " ", "&", "?", ";", "/", "."),
    *("<password>", "</password>", "\n", "{", "}", "->", "[REDACTED:password]", "aws", "554"),
    *("hunter2x9", "Zq7hunter2xK9trb4", SIGNATURE, "Bearer ", "AKIA" + "ZQ7WXMDLI2JBH3KD"),
    *("postgres" + "://oms:Zq7pgXbI7O@db/oms", "42", "old9secret", "ok, queue depth 0303918"),
]


def _assert_agreement(texts: list[str]) -> None:
    payload = logs(texts).SerializeToString()
    plain: Any = REQUEST_TYPES[Signal.LOGS].FromString(payload)
    hits = REDACTOR.redact(Signal.LOGS, plain)

    result = FAST.redact(Batch(Signal.LOGS, payload))

    assert result.hits == hits
    assert REQUEST_TYPES[Signal.LOGS].FromString(result.batch.payload) == plain


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2x9 api key=Zq7hunter2xK9trb4",
        "secret=Xpassword file=Zq7hunter2xK9trb4",
        f"key=abc&signature={SIGNATURE}",
        f"signature={SIGNATURE}&api_key=Zq7hunter2xK9trb4",
        f"token=hunter2x9&signature={SIGNATURE}",
        f'{{"signature":"{SIGNATURE}"}}',
        f"name: signature, value: {SIGNATURE}",
        "--password hunter2x9 --token Zq7hunter2xK9trb4",
        "<password>hunter2x9</password> pwd=correct9horse",
        "api_secret: old9secret -> Zq7hunter2xK9trb4",
        "password Password(554)=hunter2x9 password=x",
    ],
)
def test_no_name_is_missed_behind_a_value(text: str) -> None:
    """Behind the last name that the scan saw the text is not searched: it holds no other."""
    _assert_agreement([text])


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), max_size=20))
def test_names_and_values_in_any_order_give_the_same(texts: list[str]) -> None:
    """Names as parts of others, values that hold names, names that lead to what is known."""
    _assert_agreement(texts)
