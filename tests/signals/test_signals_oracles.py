"""Whole runs against figures worked out by hand: events in, OTLP points out."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest

from signal_steps import at, built, event, points, sums_of_samples
from tapeline.pipeline.batch import Batch

# The start that the tests have in common is 20 s after a full minute.
MINUTE_S = 40
X = {"instrument": "X"}


class Case(NamedTuple):
    """A run and some of what comes of it."""

    name: str
    section: dict[str, Any]
    steps: tuple[tuple[str, float, dict[str, Any]], ...]
    expected: dict[tuple[str, ...], float]


def traded(second: float, quantity: float, price: str, name: str = "", **more: Any) -> Any:
    """Return a trade of X: a sale where the quantity is negative."""
    values = {
        "execution__id": name or f"e{second}",
        "side": "buy" if quantity > 0 else "sell",
        "execution__quantity": str(abs(quantity)),
        "execution__price": price,
        **X,
    }
    return ("execution", second, {**values, **more})


def ordered(second: float, name: str, state: str, **more: Any) -> Any:
    """Return an event of an order of X."""
    return ("order", second, {"order__id": name, "order__state": state, **X, **more})


def quoted(second: float, price: str, instrument: str = "X") -> Any:
    """Return a quote without a spread."""
    return ("quote", second, {"instrument": instrument, "quote__bid": price, "quote__ask": price})


def marked(second: float, price: str) -> Any:
    """Return a mark of X."""
    return ("mark", second, {**X, "mark__price": price})


def position(quantity: float, average: float, realised: float, currency: str) -> dict[Any, float]:
    """Return a position's gauges."""
    return {
        ("trading.position.quantity", "default", "X", "default"): quantity,
        ("trading.position.average_price", "default", currency, "X", "default"): average,
        ("trading.pnl.realized", "default", currency, "X", "default"): realised,
    }


def net(amount: float, currency: str = "USD") -> dict[Any, float]:
    """Return net P&L in base currency."""
    return {("trading.pnl.net", "default", currency, "X", "default"): amount}


def risk(**figures: float) -> dict[Any, float]:
    """Return gauges of risk."""
    return {(f"trading.risk.{name}", "default"): value for name, value in figures.items()}


def money(benchmark: str, **amounts: float) -> dict[Any, float]:
    """Return what buying X cost beside a benchmark."""
    return {
        (f"trading.slippage.{name.replace('_', '.')}", "default", benchmark, "USD", "X", "buy",
         "default"): amount
        for name, amount in amounts.items()
    }  # fmt: skip


INVERSE = {"instruments": {"X": {"kind": "inverse", "settlement_currency": "BTC"}}}
BTC_ACCOUNT = {**INVERSE, "accounts": {"default": {"base_currency": "BTC"}}}
MINUTES = {
    "risk": {"period": "60s", "periods_per_year": 4},
    "accounts": {"default": {"starting_equity": "1000"}},
}
PARENT = {"side": "buy", "order__quantity": "10", "order__decision_price": "100"}

CASES = (
    Case(
        "a flip closes ten at 110 and opens five there; its fee is for fifteen",
        {"instruments": {"X": {"multiplier": "2"}}},
        (traded(0, 10, "100"), traded(1, -15, "110", execution__fee="1.5")),
        {
            **position(-5, 110, 200, "USD"),
            **net(198.5),
            **risk(win_rate=1),
            ("trading.fees", "default", "USD", "X", "default"): 1.5,
        },
    ),
    Case(
        "a trip that won 1 and paid 1.2 has lost, though the flip's fee is but two thirds its own",
        {},
        (traded(0, 10, "100"), traded(1, -15, "100.1", execution__fee="1.8"),
         traded(2, 5, "90", execution__fee="0.1")),
        # 1 - 1.8·10/15 = -0.2; 5·10.1 - 1.8·5/15 - 0.1 = 49.8.
        {**position(0, 0, 51.5, "USD"), **net(49.6), **risk(win_rate=0.5, profit_factor=249)},
    ),
    Case(
        "an inverse contract averages harmonically",
        BTC_ACCOUNT,
        (traded(0, 100, "50000"), traded(1, 100, "40000")),
        # 200/(100/50000 + 100/40000) = 200/0.0045; at 40000: 200·(0.0045/200 - 1/40000).
        {**position(200, 200 / 0.0045, 0, "BTC"), **net(-0.0005, "BTC")},
    ),
    Case(
        "an inverse contract that is flipped",
        BTC_ACCOUNT,
        (traded(0, 100, "50000"), traded(1, -300, "40000")),
        {**position(-200, 40000, -0.0005, "BTC"), **net(-0.0005, "BTC"), **risk(win_rate=0)},
    ),
    Case(
        "a fee in the instrument's base currency is worth the execution's price",
        {"instruments": {"X": {"base_currency": "BTC", "quote_currency": "USD"}}},
        (traded(0, 1, "50000", execution__fee="0.001", execution__fee_currency="BTC"),),
        {
            **position(1, 50000, 0, "USD"),
            **net(-50),
            ("trading.fees", "default", "BTC", "X", "default"): 0.001,
            ("trading.portfolio.equity", "default", "USD"): -50,
        },
    ),
    Case(
        "yen become euros by way of dollars, one pair forwards and one backwards",
        {
            "instruments": {"X": {"quote_currency": "JPY"}},
            "accounts": {"default": {"base_currency": "EUR", "starting_equity": "10"}},
            "pairs": [
                {"instrument": "USDJPY", "base": "USD", "quote": "JPY"},
                {"instrument": "EURUSD", "base": "EUR", "quote": "USD"},
            ],
        },
        (traded(0, 1, "1000"), traded(1, -1, "38500"), quoted(1, "150", "USDJPY"),
         quoted(1, "1.25", "EURUSD")),
        {
            **position(0, 0, 37500, "JPY"),
            **net(200, "EUR"),
            ("trading.portfolio.equity", "default", "EUR"): 210,
            **risk(win_rate=1),
        },
    ),
    Case(
        "six of ten by a child of a root that is canceled",
        {"order_grace": "5s"},
        (ordered(0, "r", "decided", **PARENT),
         ordered(1, "r", "submitted", order__arrival_price="100.5"),
         ordered(2, "c", "submitted", order__parent_id="r", side="buy", order__quantity="6"),
         traded(3, 6, "101", order__id="c", execution__fee="0.6"),
         quoted(19, "102"),
         ordered(20, "r", "canceled"),
         quoted(30, "102")),
        {
            ("trading.shortfall_bps", "default", component, "X", "buy", "default"): bps
            for component, bps in (
                ("delay", 30), ("execution", 30), ("opportunity", 80), ("fees", 6), ("total", 146)
            )
        },
    ),
    Case(
        "a trade that is corrected after it was sampled",
        {},
        (ordered(0, "o", "submitted", side="buy", order__arrival_price="99"),
         traded(1, 1, "100", "e", order__id="o"),
         quoted(50, "99"),
         ("execution", 51, {"execution__id": "r", "execution__ref_id": "e",
                            "execution__kind": "correct", "execution__price": "98", **X}),
         quoted(60, "99")),
        # 1e4·(1 - 2)/(198 - 99) is -101.01 bps; the histogram has the first report's 101.01.
        {
            **money("arrival", cost=1, improvement=2, notional=198, notional_reversed=99),
            ("trading.slippage_bps", "default", "arrival", "X", "buy", "default"): 1e4 / 99,
            ("trading.notional", "default", "USD", "X", "buy", "default"): 198,
            ("trading.notional.reversed", "default", "USD", "X", "buy", "default"): 100,
            ("trading.volume", "default", "X", "buy", "default"): 2,
            ("trading.volume.reversed", "default", "X", "buy", "default"): 1,
        },
    ),
    Case(
        "a withdrawal between a gain of a tenth and a loss of a tenth, then a fifth more",
        MINUTES,
        (traded(MINUTE_S, 10, "100"), marked(MINUTE_S + 30, "110"),
         ("cash", MINUTE_S + 40, {"cash__id": "c", "cash__amount": "-600"}),
         marked(MINUTE_S + 50, "105"), marked(MINUTE_S + 70, "114"), quoted(MINUTE_S + 130, "1")),
        # Returns -0.01 and 0.2; percentiles -0.01 + 0.05·0.21 and -0.01 + 0.01·0.21; equity 540.
        {
            ("trading.portfolio.equity", "default", "USD"): 540,
            ("trading.risk.var", "default", "0.95", "USD"): -0.27,
            ("trading.risk.var", "default", "0.99", "USD"): 4.266,
            **risk(
                drawdown=0,
                drawdown_max=0.01,
                sharpe=0.095 / (0.105 * 2**0.5) * 2,
                sortino=0.095 / (0.01 / 2**0.5) * 2,
                calmar=((0.99 * 1.2) ** 2 - 1) / 0.01,
            ),
        },
    ),
    Case(
        "four of ten of a canceled order, ten of a filled one, and one that was rejected",
        {},
        (ordered(0, "f", "submitted", side="buy", order__quantity="10"),
         ordered(0.5, "f", "acknowledged"),
         traded(1, 10, "100", order__id="f"), ordered(2, "f", "canceled"),
         ordered(0, "c", "submitted", side="buy", order__quantity="10"),
         traded(1, 4, "100", "c4", order__id="c"), ordered(3, "c", "canceled"),
         ordered(0, "r", "submitted", side="buy", order__quantity="10"),
         ordered(1, "r", "rejected")),
        {
            ("trading.fill_ratio", "default", "X", "default"): 14 / 30,
            ("trading.orders", "default", "X", "canceled", "default"): 2,
            ("trading.orders", "default", "X", "rejected", "default"): 1,
            ("trading.orders", "default", "X", "submitted", "default"): 3,
            ("trading.order.latency", "default", "X", "submit_to_ack", "default"): 0.5,
            ("trading.order.latency", "default", "X", "ack_to_fill", "default"): 0.5,
            ("trading.order.latency", "default", "X", "submit_to_fill", "default"): 2,
        },
    ),
    Case(
        "a bust of the closing trade opens the position again, and takes its profit back",
        {},
        (traded(0, 10, "100", "a"), traded(1, -10, "110", "b", execution__fee="2"),
         ("execution", 2, {"execution__id": "x", "execution__ref_id": "b",
                           "execution__kind": "bust", **X}), marked(3, "101")),
        {
            **position(10, 100, 0, "USD"),
            **net(10),
            ("trading.portfolio.equity", "default", "USD"): 10,
            ("trading.fees", "default", "USD", "X", "default"): 0,
            ("trading.volume", "default", "X", "sell", "default"): 10,
            ("trading.volume.reversed", "default", "X", "sell", "default"): 10,
        },
    ),
)  # fmt: skip


def shown(emitted: Iterable[Batch]) -> Mapping[tuple[str, ...], float]:
    """Return the values of all points; of histograms the sums."""
    emitted = list(emitted)
    return points(emitted) | sums_of_samples(emitted)


@pytest.mark.parametrize("is_live", [False, True], ids=["process", "live"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_figures_are_those_worked_out_by_hand(case: Case, *, is_live: bool) -> None:
    """Every one that is listed; offline at the end of input, live when the clock has passed it."""
    processor = built({"instruments": {}, **case.section}, is_live=is_live)
    last_s = 0.0
    for name, second, attributes in sorted(case.steps, key=lambda step: step[1]):
        last_s = second
        processor.process(event(name, second, **attributes), at(second))
    if is_live:
        processor._recorder.settle(at(last_s) + 1)
        emitted = processor.tick(at(last_s))
    else:
        emitted = processor.close(at(last_s))
    found = shown(emitted)
    missing = {key: value for key, value in case.expected.items() if key not in found}
    assert missing == {}
    for key, value in case.expected.items():
        assert found[key] == pytest.approx(value, rel=1e-12, abs=1e-15), key


def test_a_bust_of_all_is_as_if_it_had_never_been() -> None:
    """No position, no P&L, and no equity of it; what was booked is reversed in full."""
    processor = built({"instruments": {}}, is_live=False)
    for name, second, attributes in (traded(0, 10, "100", "a"), traded(1, -10, "110", "b")):
        processor.process(event(name, second, **attributes), at(second))
    for ref in "ab":
        busted = {"execution__id": f"{ref}x", "execution__ref_id": ref, **X}
        processor.process(event("execution", 2, execution__kind="bust", **busted), at(2))
    found = shown(processor.close(at(2)))
    assert {key[0] for key in found if "pnl" in key[0] or "position." in key[0]} == set()
    for side, notional in (("buy", 1000), ("sell", 1100)):
        for suffix in ("", ".reversed"):
            key = (f"trading.notional{suffix}", "default", "USD", "X", side, "default")
            assert found[key] == notional
