"""Amounts are converted by configured pairs, crossed where needed, or not at all."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tapeline.signals.currencies import Converter, CurrencyPair, Mid

EURUSD = CurrencyPair("EURUSD", "EUR", "USD")
USDJPY = CurrencyPair("USDJPY", "USD", "JPY")
BTCUSDT = CurrencyPair("BTCUSDT", "BTC", "USDT", "binance")
USDTUSD = CurrencyPair("USDTUSD", "USDT", "USD")
EURCHF = CurrencyPair("EURCHF", "EUR", "CHF")
USDCHF = CurrencyPair("USDCHF", "USD", "CHF")
PAIRS = [EURUSD, USDJPY, BTCUSDT, USDTUSD, EURCHF, USDCHF]
MIDS = {
    "EURUSD": "1.25",
    "USDJPY": "150",
    "BTCUSDT": "50000",
    "USDTUSD": "0.999",
    "EURCHF": "0.95",
    "USDCHF": "0.88",
}


def mids(values: Mapping[str, str]) -> Mid:
    """Return what tells the mid of a pair by the name of its instrument."""
    return lambda pair: Decimal(values[pair.instrument]) if pair.instrument in values else None


@pytest.mark.parametrize(
    ("amount", "source", "target", "expected"),
    [
        ("100", "EUR", "USD", "125"),
        ("125", "USD", "EUR", "100"),
        ("0.5", "BTC", "USD", "24975"),  # 0.5*50000*0.999
        ("2", "EUR", "JPY", "375"),  # 2*1.25*150
        ("375", "JPY", "EUR", "2"),
        ("1", "USDT", "EUR", "0.7992"),  # 0.999/1.25
        ("-7.123456789", "XYZ", "XYZ", "-7.123456789"),
    ],
)
def test_an_amount_is_worth_its_way(amount: str, source: str, target: str, expected: str) -> None:
    """Multiplied from base to quote, divided from quote to base."""
    result = Converter(PAIRS).convert(Decimal(amount), source, target, mids(MIDS))

    assert result == Decimal(expected)


def test_a_missing_rate_is_never_one() -> None:
    """No pair, no way, no mid: each gives nothing, even for an amount of nothing."""
    converter = Converter([*PAIRS, CurrencyPair("XAUXAG", "XAU", "XAG")])

    for source, target in [("USD", "GBP"), ("GBP", "USD"), ("XAU", "USD"), ("", "USD")]:
        assert converter.convert(Decimal(1), source, target, mids(MIDS)) is None
        assert converter.convert(Decimal(0), source, target, mids(MIDS)) is None
    assert converter.convert(Decimal(1), "EUR", "JPY", mids({"EURUSD": "1.25"})) is None
    assert converter.convert(Decimal(1), "EUR", "USD", mids({"EURUSD": "0"})) is None
    assert converter.convert(Decimal(1), "USD", "EUR", mids({"EURUSD": "-1"})) is None


def test_the_way_is_the_shortest_and_the_one_listed_first() -> None:
    """It does not depend on which mids there are: another way gives another rate."""
    converter = Converter([EURUSD, EURCHF, USDCHF, USDJPY])
    direct = converter.way("EUR", "CHF")
    assert direct is not None
    assert [step.pair for step in direct] == [EURCHF]
    assert converter.convert(Decimal(1), "EUR", "CHF", mids(MIDS | {"EURCHF": "2"})) == 2
    without = {name: mid for name, mid in MIDS.items() if name != "EURCHF"}
    assert converter.convert(Decimal(1), "EUR", "CHF", mids(without)) is None

    gbp = [CurrencyPair("GBPUSD", "GBP", "USD"), CurrencyPair("GBPEUR", "GBP", "EUR")]
    ends = [CurrencyPair("USDSEK", "USD", "SEK"), CurrencyPair("EURSEK", "EUR", "SEK")]
    for pairs, through in [([*gbp, *ends], "GBPUSD"), ([*gbp[::-1], *ends], "GBPEUR")]:
        way = Converter(pairs).way("GBP", "SEK")
        assert way is not None
        assert way[0].pair.instrument == through
        assert len(way) == 2


def test_a_pair_of_one_currency_is_refused() -> None:
    """It would be a rate that is 1 by name only."""
    with pytest.raises(ValueError, match="USD on both sides"):
        Converter([CurrencyPair("USDUSD", "USD", "USD")])
