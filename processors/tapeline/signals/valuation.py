"""The price that a position is valued at: its mark, else what it could be closed at, else the last.

Positions net all venues, so the last mark and the last quote of the instrument count, at whatever
venue, by the order of events and not of arrival. Pure, and bounded by instruments.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Mark, Quote
from tapeline.signals.quotes import DEFAULT_MAX_AGE_NS

__all__ = ["PriceSource", "Valuation", "ValuationPrice"]

DEFAULT_MAX_INSTRUMENTS: Final = 100_000


class PriceSource(StrEnum):
    """Where a price is from, as `trading.price_source` names it."""

    MARK = "mark"
    BID = "bid"
    ASK = "ask"
    LAST = "last"


class ValuationPrice(NamedTuple):
    """A price and where it is from."""

    price: Decimal
    source: PriceSource


class Valuation:
    """The last mark and the last quote of each instrument."""

    def __init__(
        self,
        *,
        max_quote_age_ns: int = DEFAULT_MAX_AGE_NS,
        max_mark_age_ns: int | None = None,
        max_instruments: int = DEFAULT_MAX_INSTRUMENTS,
    ) -> None:
        """Take marks of any age unless `max_mark_age_ns` is set."""
        self._max_quote_age_ns = max_quote_age_ns
        self._max_mark_age_ns = max_mark_age_ns
        self._max_instruments = max_instruments
        self._marks: dict[str, Mark] = {}
        self._quotes: dict[str, Quote] = {}
        self.refused_count = 0
        """Marks and quotes of instruments beyond the limit."""

    def add_mark(self, mark: Mark) -> None:
        """Take a mark; an earlier one than the last changes nothing."""
        held = self._marks.get(mark.instrument)
        if held is None and len(self._marks) >= self._max_instruments:
            self.refused_count += 1
        elif held is None or mark.order_key > held.order_key:
            self._marks[mark.instrument] = mark

    def add_quote(self, quote: Quote) -> None:
        """Take a quote; an earlier one than the last changes nothing."""
        held = self._quotes.get(quote.instrument)
        if held is None and len(self._quotes) >= self._max_instruments:
            self.refused_count += 1
        elif held is None or quote.time_ns > held.time_ns or quote.order_key > held.order_key:
            self._quotes[quote.instrument] = quote

    def price(
        self, instrument: str, quantity: Decimal, last_price: Decimal | None, now_ns: int
    ) -> ValuationPrice | None:
        """Return what a signed quantity is valued at; None where there is no price at all.

        A long position is closed at the bid, a short one at the ask, if they are fresh.
        """
        mark = self._marks.get(instrument)
        if mark is not None and self._is_fresh(mark.time_ns, self._max_mark_age_ns, now_ns):
            return ValuationPrice(mark.price, PriceSource.MARK)
        quote = self._quotes.get(instrument)
        if quote is not None and self._is_fresh(quote.time_ns, self._max_quote_age_ns, now_ns):
            if quantity >= ZERO:
                return ValuationPrice(quote.bid, PriceSource.BID)
            return ValuationPrice(quote.ask, PriceSource.ASK)
        return None if last_price is None else ValuationPrice(last_price, PriceSource.LAST)

    def last(self) -> Iterable[Mark | Quote]:
        """Return what is held, for a snapshot."""
        return (*self._marks.values(), *self._quotes.values())

    @staticmethod
    def _is_fresh(time_ns: int, max_age_ns: int | None, now_ns: int) -> bool:
        return max_age_ns is None or now_ns - time_ns <= max_age_ns
