"""Events are read from attributes; what can't be taken is refused whole, with a reason."""

from decimal import Decimal
from typing import Any

import pytest

from tapeline.signals.decimals import NumberFault
from tapeline.signals.events import Cash, Execution, Mark, Order, Quote, Trace
from tapeline.signals.instruments import Instrument, Instruments
from tapeline.signals.reading import EVENT_NAMES, EventFault, Refusal, read_event

TRACE = Trace(b"t" * 16, b"s" * 8)
INSTRUMENTS = Instruments({"POWER": Instrument(allows_negative_prices=True)})
TRADE = {
    "trading.execution.id": "e1",
    "trading.instrument": "BTCUSDT",
    "trading.side": "buy",
    "trading.execution.quantity": "0.50",
    "trading.execution.price": 50_000.1,
}
CORRECT = {
    "trading.execution.id": "e2",
    "trading.execution.kind": "correct",
    "trading.execution.ref_id": "e1",
    "trading.instrument": "BTCUSDT",
}
ORDER = {
    "trading.order.id": "o1",
    "trading.order.state": "submitted",
    "trading.instrument": "BTCUSDT",
}
QUOTE = {
    "trading.instrument": "BTCUSDT",
    "trading.quote.bid": "1.1",
    "trading.quote.ask": "1.2",
}
MARK = {"trading.instrument": "BTCUSDT", "trading.mark.price": 7}
CASH = {"trading.cash.id": "c1", "trading.cash.amount": "-100"}


def read(name: str, attributes: dict[str, Any]) -> object:
    """Read an event at time 5."""
    return read_event(f"trading.{name}", attributes, 5, INSTRUMENTS, TRACE)


def test_an_execution_has_what_its_attributes_say() -> None:
    """Decimal strings and doubles are exact; what is absent stays empty."""
    assert read("execution", TRADE) == Execution(
        5, "default", "", "BTCUSDT", "e1", "trade", "", 1, Decimal("0.5"), Decimal("50000.1"),
        trace=TRACE,
    )  # fmt: skip
    more = {
        "trading.account": "a", "trading.venue": "v", "trading.strategy": "s",
        "trading.sequence": "-7", "trading.order.id": 12, "trading.execution.fee": "-0.01",
        "trading.execution.fee_currency": "USDT", "trading.execution.liquidity": "maker",
    }  # fmt: skip
    assert read("execution", TRADE | more) == Execution(
        5, "a", "v", "BTCUSDT", "e1", "trade", "", 1, Decimal("0.5"), Decimal("50000.1"),
        "12", Decimal("-0.01"), "USDT", "maker", "s", -7, TRACE,
    )  # fmt: skip


def test_corrections_refer_and_need_no_more() -> None:
    """What a correct lacks is inherited; quantity and price of a bust are not even looked at."""
    assert read("execution", CORRECT) == Execution(
        5, "default", "", "BTCUSDT", "e2", "correct", "e1", trace=TRACE
    )
    bust = CORRECT | {"trading.execution.kind": "bust", "trading.execution.quantity": "0"}
    assert read("execution", bust) == Execution(
        5, "default", "", "BTCUSDT", "e2", "bust", "e1", trace=TRACE
    )


def test_the_other_events_are_read() -> None:
    """Orders, quotes, marks and cash."""
    order = ORDER | {
        "trading.order.parent_id": "p", "trading.side": "sell", "trading.order.quantity": 3,
        "trading.order.limit_price": "1", "trading.order.decision_price": "2",
        "trading.order.arrival_price": "3", "trading.order.reject_reason": "r" * 300,
    }  # fmt: skip
    assert read("order", order) == Order(
        5, "default", "o1", "submitted", "BTCUSDT", "", "p", -1, Decimal(3), Decimal(1),
        Decimal(2), Decimal(3), "r" * 256, trace=TRACE,
    )  # fmt: skip
    assert read("quote", QUOTE) == Quote(5, "", "BTCUSDT", Decimal("1.1"), Decimal("1.2"))
    assert read("mark", MARK) == Mark(5, "", "BTCUSDT", Decimal(7))
    assert read("cash", CASH) == Cash(5, "default", "c1", Decimal(-100), trace=TRACE)
    assert {f"trading.{name}" for name in ("order", "execution", "quote", "mark", "cash")} == (
        EVENT_NAMES
    )


@pytest.mark.parametrize(
    ("name", "complete"),
    [
        ("execution", TRADE),
        ("execution", CORRECT),
        ("order", ORDER),
        ("quote", QUOTE),
        ("mark", MARK),
        ("cash", CASH),
    ],
)
def test_every_required_attribute_is_missed(name: str, complete: dict[str, Any]) -> None:
    """Absent and empty are the same; the refusal names it."""
    for attribute in complete.keys() - {"trading.execution.kind"}:
        expected = Refusal(EventFault.MISSING, attribute)
        assert read(name, complete | {attribute: ""}) == expected
        assert read(name, {k: v for k, v in complete.items() if k != attribute}) == expected


def test_a_trade_may_have_its_side_from_its_order() -> None:
    """Only if it names one."""
    sideless = {key: value for key, value in TRADE.items() if key != "trading.side"}

    result = read("execution", sideless | {"trading.order.id": "o1"})

    assert isinstance(result, Execution)
    assert result.side == 0


@pytest.mark.parametrize(
    ("name", "base", "attribute", "value", "reason"),
    [
        ("execution", TRADE, "execution.quantity", "0", EventFault.NOT_POSITIVE),
        ("execution", TRADE, "execution.quantity", -1, EventFault.NOT_POSITIVE),
        ("execution", CORRECT, "execution.quantity", 0, EventFault.NOT_POSITIVE),
        ("execution", TRADE, "execution.price", 0.0, EventFault.NOT_POSITIVE),
        ("execution", TRADE, "execution.price", "9" * 400, NumberFault.TOO_MANY_DIGITS),
        ("execution", TRADE, "execution.price", "NaN", NumberFault.NOT_FINITE),
        ("execution", TRADE, "execution.fee", "free", NumberFault.NOT_A_NUMBER),
        ("execution", TRADE, "execution.kind", "cancel", EventFault.UNKNOWN_VALUE),
        ("execution", TRADE, "side", "BUY", EventFault.UNKNOWN_VALUE),
        ("execution", TRADE, "execution.id", 1.5, EventFault.NOT_A_TEXT),
        ("execution", TRADE, "execution.id", "x" * 257, EventFault.TOO_LONG),
        ("execution", TRADE, "sequence", "1.5", EventFault.NOT_AN_INTEGER),
        ("execution", TRADE, "sequence", "9" * 19, EventFault.NOT_AN_INTEGER),
        ("execution", TRADE, "sequence", "٣", EventFault.NOT_AN_INTEGER),
        ("execution", TRADE, "sequence", True, EventFault.NOT_AN_INTEGER),
        ("execution", CORRECT, "execution.ref_id", "e2", EventFault.REFERS_TO_ITSELF),
        ("order", ORDER, "order.parent_id", "o1", EventFault.REFERS_TO_ITSELF),
        ("order", ORDER, "order.state", "filled", EventFault.UNKNOWN_VALUE),
        ("order", ORDER, "order.quantity", "-5", EventFault.NOT_POSITIVE),
        ("order", ORDER, "order.limit_price", "0", EventFault.NOT_POSITIVE),
        ("quote", QUOTE, "quote.bid", "0", EventFault.NOT_POSITIVE),
        ("mark", MARK, "mark.price", -1, EventFault.NOT_POSITIVE),
        ("cash", CASH, "cash.amount", True, NumberFault.NOT_A_NUMBER),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason(
    name: str, base: dict[str, Any], attribute: str, value: object, reason: EventFault
) -> None:
    """The whole event, since the rest of it would look right."""
    assert read(name, base | {f"trading.{attribute}": value}) == Refusal(
        reason,
        f"trading.{attribute}",
    )


def test_prices_may_be_negative_where_the_instrument_allows_it() -> None:
    """Executions, quotes, marks and the prices of orders."""
    power = {"trading.instrument": "POWER"}

    events: list[tuple[str, dict[str, Any], str]] = [
        ("execution", TRADE, "trading.execution.price"),
        ("quote", QUOTE, "trading.quote.bid"),
        ("mark", MARK, "trading.mark.price"),
        ("order", ORDER, "trading.order.limit_price"),
    ]
    for name, base, attribute in events:
        assert not isinstance(read(name, base | power | {attribute: "-37.63"}), Refusal)


def test_a_liquidity_that_is_not_known_is_left_off() -> None:
    """It tells series apart, and no figure depends on it."""
    result = read("execution", TRADE | {"trading.execution.liquidity": "auction"})

    assert isinstance(result, Execution)
    assert not result.liquidity
