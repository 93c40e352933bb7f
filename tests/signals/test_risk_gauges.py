"""Risk gauges between two moments: what waits for the watermark is no profit and no loss."""

from dataclasses import replace
from decimal import Decimal

import pytest

from execution_events import trade
from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash, Mark, Quote
from tapeline.signals.instruments import Account

SECOND_NS = 1_000_000_000
NOON_NS = 19_000 * 86_400 * SECOND_NS + 43_200 * SECOND_NS
SETTINGS = EngineSettings(accounts={"a": Account("USD", Decimal(1000))})


def after_first_trade(chosen: EngineSettings = SETTINGS) -> Engine:
    """Return an engine whose account holds one of X, bought at 100, which W has passed."""
    engine = Engine(chosen)
    engine.apply([trade(NOON_NS, 1, 100)], NOON_NS + 10 * SECOND_NS)
    return engine


def gauge(engine: Engine, name: str) -> float | None:
    """Return the account's gauge; None where there is none."""
    return {point.name: point.value for point in engine.gauges()}.get(f"trading.{name}")


@pytest.mark.parametrize("amount", [-900, 500])
def test_cash_that_waits_is_no_return(amount: int) -> None:
    """Equity shows it at once, the drawdown of the open period neither now nor later."""
    engine = after_first_trade()
    time_ns = NOON_NS + 12 * SECOND_NS
    engine.apply([Cash(time_ns, "a", "c1", Decimal(amount))], time_ns)
    assert engine.watermark_ns < time_ns
    assert gauge(engine, "portfolio.equity") == 1000 + amount
    assert gauge(engine, "risk.drawdown") == gauge(engine, "risk.drawdown_max") == 0

    engine.apply([], time_ns + 60 * SECOND_NS)
    assert engine.watermark_ns > time_ns
    assert gauge(engine, "risk.drawdown") == gauge(engine, "risk.drawdown_max") == 0


def test_a_loss_shows_beside_cash_that_waits() -> None:
    """100 of 1000 are lost while 900 are on their way out: a tenth, and no more."""
    engine = after_first_trade()
    time_ns = NOON_NS + 12 * SECOND_NS
    mark = Mark(time_ns, "v", "X", Decimal("0.01"))
    engine.apply([Cash(time_ns, "a", "c1", Decimal(-900)), mark], time_ns)
    assert gauge(engine, "risk.drawdown") == pytest.approx(0.09999)


def test_cash_that_waits_without_a_rate_leaves_no_open_return() -> None:
    """A drawdown that can't be told is not shown; with the rate it is."""
    pair = CurrencyPair("EURUSD", "EUR", "USD")
    engine = after_first_trade(replace(SETTINGS, pairs=(pair,)))
    time_ns = NOON_NS + 12 * SECOND_NS
    engine.apply([Cash(time_ns, "a", "c1", Decimal(500), "EUR")], time_ns)
    assert gauge(engine, "portfolio.equity") is None
    assert gauge(engine, "risk.drawdown") is None
    engine.apply([Quote(time_ns, "", "EURUSD", Decimal(2), Decimal(2))], time_ns)
    assert gauge(engine, "portfolio.equity") == 2000
    assert gauge(engine, "risk.drawdown") == 0


@pytest.mark.parametrize("starting_equity", ["0", "-5"])
def test_an_account_without_equity_has_no_drawdown(starting_equity: str) -> None:
    """There is nothing that it could have fallen from; with the first equity there is."""
    accounts = {"a": Account("USD", Decimal(starting_equity))}
    engine = after_first_trade(replace(SETTINGS, accounts=accounts))
    assert gauge(engine, "risk.drawdown") is gauge(engine, "risk.drawdown_max") is None
    time_ns = NOON_NS + 12 * SECOND_NS
    engine.apply([Cash(time_ns, "a", "c1", Decimal(100))], time_ns + 10 * SECOND_NS)
    assert gauge(engine, "risk.drawdown") == gauge(engine, "risk.drawdown_max") == 0
