"""Cases in which the engine once differed from docs/trading-convention.md, the least of each."""

from decimal import Decimal
from fractions import Fraction

from signal_sessions import settings
from tapeline.signals.engine import Engine
from tapeline.signals.events import BUY, SELL, Event, Execution, Order, Quote
from tapeline.signals.points import values_of

OF = settings(1)


def run(*events: Event) -> Engine:
    """Return an engine that took events to the end."""
    engine = Engine(OF)
    engine.apply(events, max(event.time_ns for event in events))
    engine.end()
    return engine


def trade(time_ns: int, price: str, order_id: str = "") -> Execution:
    """Return a purchase of one X."""
    return Execution(
        time_ns,
        "a",
        "",
        "X",
        f"e{time_ns}",
        side=BUY,
        quantity=Decimal(1),
        price=Decimal(price),
        order_id=order_id,
    )


def quote(time_ns: int, price: str) -> Quote:
    """Return a quote of X without a spread."""
    return Quote(time_ns, "", "X", Decimal(price), Decimal(price))


def test_gauges_at_the_end_of_input_are_of_its_greatest_time() -> None:
    """A quote that is not too old when the input ends values what is held."""
    age_ns = OF.max_quote_age_ns - OF.max_lateness_ns // 2
    engine = run(trade(1_000, "100"), quote(1_001, "110"), trade(1_001 + age_ns, "100"))
    values = {point.name: point.value for point in engine.gauges()}
    assert values["trading.position.value"] == 2 * 0.5 * 110


def test_a_child_that_was_never_submitted_has_no_arrival_price() -> None:
    """Only a root takes the arrival of its descendants."""
    orders = [
        Order(1_000, "a", "root", "submitted", "X"),
        Order(1_001, "a", "child", "decided", "X", parent_id="root"),
        Order(1_003, "a", "grandchild", "submitted", "X", parent_id="child"),
    ]
    engine = run(*orders, quote(1_002, "100"), trade(1_004, "101", order_id="child"))
    assert [values_of(key)["trading.benchmark"] for key in engine.series.histograms[
        "trading.slippage_bps"]] == ["quote"]  # fmt: skip


def test_strategies_that_net_to_nothing_are_no_exposure() -> None:
    """Long one and short one of an instrument, each at a price of its own: nothing is held."""
    long, short = trade(1_000, "100"), trade(1_001, "110")
    engine = run(long, short._replace(side=SELL, strategy="s"))
    values = {point.name: point.value for point in engine.gauges()}
    assert values["trading.portfolio.open_positions"] == 0
    assert values["trading.portfolio.exposure.gross"] == 0


def test_a_fee_in_base_currency_loses_no_digit_in_the_shortfall() -> None:
    """At the execution price, whatever precision decimals have elsewhere."""
    fee, price = Decimal("0.1234567890123457"), Decimal("98765.43210987657")
    asked = Order(
        1_000, "a", "o", "submitted", "X", "", "", BUY, Decimal(1), decision_price=Decimal(10_000)
    )
    paid = trade(1_001, str(price), order_id="o")._replace(fee=fee, fee_currency="BTC")
    later = quote(1_100, "100")
    engine = run(asked, paid, later)
    fees = [
        Fraction(each.total)
        for key, each in engine.series.histograms["trading.shortfall_bps"].items()
        if values_of(key)["trading.component"] == "fees"
    ]
    assert fees == [Fraction(fee) * Fraction(price) * 2]  # 1e4·fees/(1·0.5·10000)
