"""What an instrument is worth, and in which currency."""

from decimal import Decimal

import pytest

from tapeline.signals.instruments import Instrument, Instruments


@pytest.mark.parametrize(
    ("instrument", "currency"),
    [
        (Instrument(), "EUR"),
        (Instrument(base_currency="BTC"), "EUR"),
        (Instrument(quote_currency="USDT"), "USDT"),
        (Instrument(quote_currency="USDT", settlement_currency="BTC"), "USDT"),
        (Instrument(settlement_currency="BTC"), "BTC"),
        (Instrument(is_inverse=True, quote_currency="USD"), "EUR"),
        (Instrument(is_inverse=True, quote_currency="USD", settlement_currency="BTC"), "BTC"),
    ],
)
def test_the_currency_of_its_money(instrument: Instrument, currency: str) -> None:
    """Linear: quote; inverse: settlement; else that of the account, here EUR."""
    assert instrument.currency("EUR") == currency


def test_its_value_at_a_price() -> None:
    """Quantity times multiplier, times the price or divided by it."""
    linear = Instrument(multiplier=Decimal(50))
    inverse = Instrument(is_inverse=True, multiplier=Decimal(100))

    assert linear.value(Decimal(-3), Decimal("10.5")) == Decimal(-1575)
    assert inverse.value(Decimal(-3), Decimal(20_000)) == Decimal("-0.015")


def test_one_that_is_not_listed_takes_the_defaults() -> None:
    """And can be told from those that are."""
    instruments = Instruments({"ES": Instrument(multiplier=Decimal(50))})

    assert instruments["ES"].multiplier == 50
    assert instruments["NQ"] == Instrument()
    assert "ES" in instruments
    assert "NQ" not in instruments


def test_what_has_no_value_is_no_instrument() -> None:
    """A multiplier of 0, and an inverse contract at price 0."""
    with pytest.raises(ValueError, match="greater than 0"):
        Instrument(multiplier=Decimal(0))
    with pytest.raises(ValueError, match="no value at price 0"):
        Instrument(is_inverse=True, allows_negative_prices=True)
