"""What the market showed, as of any moment: mids, prices to value at, rates of currencies. Pure.

Two kinds of question: how it was at a moment, for samples, and how it is now, for gauges. Both have
one answer for one set of quotes and marks, in whatever order those arrived.
"""

from decimal import Decimal

from tapeline.signals.currencies import Converter, CurrencyPair
from tapeline.signals.decimals import ZERO
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Mark, Quote
from tapeline.signals.quotes import Quotes
from tapeline.signals.valuation import PriceSource, Valuation, ValuationPrice

__all__ = ["Market"]

_ANY_AGE_NS = 2**62


class Market:
    """Quotes and marks by venue and instrument, and the currency pairs among them."""

    def __init__(self, settings: EngineSettings) -> None:
        limits = settings.limits
        self._max_quote_age_ns = settings.max_quote_age_ns
        self._max_mark_age_ns = settings.max_mark_age_ns
        self.quotes = Quotes(
            max_age_ns=settings.max_quote_age_ns,
            history_ns=settings.max_quote_age_ns,
            max_quotes=limits.quotes,
            max_streams=limits.instruments,
        )
        # A mark is kept as a quote whose bid and ask are its price.
        self.marks = Quotes(
            max_age_ns=_ANY_AGE_NS,
            history_ns=settings.max_quote_age_ns,
            max_quotes=limits.quotes,
            max_streams=limits.instruments,
        )
        self.latest = Valuation(
            max_quote_age_ns=settings.max_quote_age_ns,
            max_mark_age_ns=settings.max_mark_age_ns,
            max_instruments=limits.instruments,
        )
        self._converter = Converter(settings.pairs)
        self.missing_rate_count = 0
        """Amounts that could not be converted."""

    def add_quote(self, quote: Quote) -> None:
        """Take a quote."""
        self.quotes.add(quote)
        self.latest.add_quote(quote)

    def add_mark(self, mark: Mark) -> None:
        """Take a mark."""
        price = mark.price
        self.marks.add(
            Quote(mark.time_ns, mark.venue, mark.instrument, price, price, mark.sequence)
        )
        self.latest.add_mark(mark)

    def advance(self, watermark_ns: int) -> None:
        """Say that what is before the watermark was sampled."""
        self.quotes.advance(watermark_ns)
        self.marks.advance(watermark_ns)

    def mid(self, venue: str, instrument: str, time_ns: int) -> Decimal | None:
        """Return the mid at a moment."""
        return self.quotes.mid_price(venue, instrument, time_ns)

    def price_at(
        self, instrument: str, quantity: Decimal, last_price: Decimal | None, time_ns: int
    ) -> ValuationPrice | None:
        """Return what a signed quantity was worth a unit at a moment; `latest` tells of now."""
        mark = self.marks.last_at_any_venue(instrument, time_ns)
        if mark is not None and _is_fresh(mark, self._max_mark_age_ns, time_ns):
            return ValuationPrice(mark.bid, PriceSource.MARK)
        quote = self.quotes.last_at_any_venue(instrument, time_ns)
        if quote is not None and _is_fresh(quote, self._max_quote_age_ns, time_ns):
            if quantity >= ZERO:
                return ValuationPrice(quote.bid, PriceSource.BID)
            return ValuationPrice(quote.ask, PriceSource.ASK)
        return None if last_price is None else ValuationPrice(last_price, PriceSource.LAST)

    def convert(self, amount: Decimal, source: str, target: str, time_ns: int) -> Decimal | None:
        """Return an amount in another currency at the rates of a moment; None without one."""
        if source == target:
            return amount

        def mid(pair: CurrencyPair) -> Decimal | None:
            return self.quotes.mid_price(pair.venue, pair.instrument, time_ns)

        converted = self._converter.convert(amount, source, target, mid)
        if converted is None:
            self.missing_rate_count += 1
        return converted


def _is_fresh(quote: Quote, max_age_ns: int | None, time_ns: int) -> bool:
    return max_age_ns is None or time_ns - quote.time_ns <= max_age_ns
