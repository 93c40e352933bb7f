"""What the market showed: the mid of an instrument at a moment, from a bounded memory of quotes.

Pure. The last quote of the order of events (time, sequence, content) at or before a moment counts,
in whatever order the quotes arrived. A moment that the memory no longer reaches has no mid: an
older quote is never taken for one that was forgotten.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from tapeline.signals.decimals import add, exact_product
from tapeline.signals.events import Quote

__all__ = ["Mid", "Quotes"]

DEFAULT_MAX_AGE_NS: Final = 60_000_000_000
DEFAULT_MAX_QUOTES: Final = 1_000_000
DEFAULT_MAX_STREAMS: Final = 100_000

_HALF: Final = Decimal("0.5")
_MIN_PRUNED: Final = 64
_AFTER_ALL: Final = (float("inf"),)
"""Greater than the rest of any quote's key: finds the last one of a moment."""

_Held = tuple[int, int, Decimal, Decimal]
"""Time, sequence, bid, ask: compares as the events do."""


class Mid(NamedTuple):
    """A mid and the time of its quote."""

    price: Decimal
    time_ns: int


class _Stream:
    """The quotes of one venue and instrument, in order."""

    __slots__ = ("floor_ns", "prune_at", "quotes")

    def __init__(self) -> None:
        self.quotes: list[_Held] = []
        self.floor_ns: int | None = None
        """Before it quotes were forgotten: what was in force there is unknown."""
        self.prune_at = _MIN_PRUNED

    def last(self, time_ns: int) -> _Held | None:
        """Return the quote in force at a moment; None where there is none, or it is forgotten."""
        quotes = self.quotes
        if not quotes:
            return None
        if quotes[-1][0] <= time_ns:
            return quotes[-1]
        index = bisect_right(quotes, (time_ns, *_AFTER_ALL)) - 1
        return quotes[index] if index >= 0 else None

    def forget(self, count: int) -> None:
        if count > 0:
            del self.quotes[:count]
            self.floor_ns = self.quotes[0][0]


class Quotes:
    """The quotes of all instruments: all since the watermark, and before it the last one of each.

    Holds at most `max_quotes` quotes of at most `max_streams` pairs of venue and instrument. Where
    that is not enough, the oldest of the longest streams go, and quotes of further pairs are not
    taken; both are counted.
    """

    def __init__(
        self,
        *,
        max_age_ns: int = DEFAULT_MAX_AGE_NS,
        history_ns: int = 0,
        max_quotes: int = DEFAULT_MAX_QUOTES,
        max_streams: int = DEFAULT_MAX_STREAMS,
    ) -> None:
        """Keep quotes for `history_ns` before the watermark, for events that come later still."""
        self._max_age_ns = max_age_ns
        self._history_ns = history_ns
        self._max_quotes = max(max_quotes, 2 * max_streams)
        self._max_streams = max_streams
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._venues: dict[str, list[str]] = {}
        """The venues of each instrument."""
        self._cut_ns: int | None = None
        self._count = 0
        self.refused_count = 0
        """Quotes of pairs of venue and instrument beyond the limit."""
        self.forgotten_count = 0
        """Quotes that the limit pushed out although a sample might still have asked for them."""
        self.too_late_count = 0
        """Quotes of a time that the memory no longer reaches."""

    def __len__(self) -> int:
        return self._count

    def add(self, quote: Quote) -> bool:
        """Take a quote; return whether it was taken. The same one again changes nothing."""
        time_ns, venue, instrument, bid, ask, sequence = quote
        stream = self._streams.get((venue, instrument))
        if stream is None:
            if len(self._streams) >= self._max_streams:
                self.refused_count += 1
                return False
            stream = self._streams[venue, instrument] = _Stream()
            self._venues.setdefault(instrument, []).append(venue)
        held = (time_ns, sequence, bid, ask)
        quotes = stream.quotes
        if not quotes or held > quotes[-1]:
            quotes.append(held)
        elif stream.floor_ns is not None and time_ns < stream.floor_ns:
            self.too_late_count += 1
            return False
        elif quotes[bisect_right(quotes, held) - 1] == held:
            return True
        else:
            insort(quotes, held)
        self._count += 1
        if len(quotes) >= stream.prune_at:
            self._prune(stream)
        if self._count > self._max_quotes:
            self._make_room()
        return True

    def advance(self, watermark_ns: int) -> None:
        """Say that what is before the watermark was sampled: its quotes may be forgotten."""
        cut_ns = watermark_ns - self._history_ns
        if self._cut_ns is None or cut_ns > self._cut_ns:
            self._cut_ns = cut_ns

    def mid(self, venue: str, instrument: str, time_ns: int) -> Mid | None:
        """Return the mid at a moment: of the venue, else of the instrument without a venue.

        None where neither has a quote at or before it that is at most `max_age_ns` old.
        """
        held = self._fresh(venue, instrument, time_ns)
        if held is None and venue:
            held = self._fresh("", instrument, time_ns)
        if held is None:
            return None
        return Mid(exact_product(add(held[2], held[3]), _HALF), held[0])

    def mid_price(self, venue: str, instrument: str, time_ns: int) -> Decimal | None:
        """Return the price of `mid` alone."""
        held = self._fresh(venue, instrument, time_ns)
        if held is None:
            held = self._fresh("", instrument, time_ns) if venue else None
            if held is None:
                return None
        return exact_product(add(held[2], held[3]), _HALF)

    def quote(self, venue: str, instrument: str, time_ns: int) -> Quote | None:
        """Return the quote that `mid` is taken from, whose bid and ask value a position."""
        for name in dict.fromkeys((venue, "")):
            held = self._fresh(name, instrument, time_ns)
            if held is not None:
                moment, sequence, bid, ask = held
                return Quote(moment, name, instrument, bid, ask, sequence)
        return None

    def last_at_any_venue(self, instrument: str, time_ns: int) -> Quote | None:
        """Return the last quote of an instrument at or before a moment, however old it is."""
        last: Quote | None = None
        if self._cut_ns is not None and time_ns < self._cut_ns:
            return None
        for venue in self._venues.get(instrument, ()):
            held = self._streams[venue, instrument].last(time_ns)
            if held is None:
                continue
            moment, sequence, bid, ask = held
            quote = Quote(moment, venue, instrument, bid, ask, sequence)
            if last is None or quote.order_key > last.order_key:
                last = quote
        return last

    def held(self) -> Iterator[Quote]:
        """Yield all quotes that are in memory, for a snapshot."""
        for (venue, instrument), stream in self._streams.items():
            for moment, sequence, bid, ask in stream.quotes:
                yield Quote(moment, venue, instrument, bid, ask, sequence)

    def floors(self) -> Iterator[tuple[str, str, int]]:
        """Yield venue, instrument and the time before which its quotes were forgotten."""
        for (venue, instrument), stream in self._streams.items():
            if stream.floor_ns is not None:
                yield venue, instrument, stream.floor_ns

    @property
    def cut_ns(self) -> int | None:
        """Before it no moment has a mid; None while nothing is forgotten."""
        return self._cut_ns

    def restore(
        self,
        quotes: Iterable[Quote],
        floors: Iterable[tuple[str, str, int]],
        cut_ns: int | None,
    ) -> None:
        """Take back what `held`, `floors` and `cut_ns` gave, into an empty memory."""
        for quote in quotes:
            self.add(quote)
        for venue, instrument, floor_ns in floors:
            stream = self._streams.get((venue, instrument))
            if stream is not None:
                stream.floor_ns = floor_ns
        self._cut_ns = cut_ns

    def _fresh(self, venue: str, instrument: str, time_ns: int) -> _Held | None:
        if self._cut_ns is not None and time_ns < self._cut_ns:
            return None  # Whether it is still there depends on how the quotes arrived.
        stream = self._streams.get((venue, instrument))
        if stream is None:
            return None
        held = stream.last(time_ns)
        return held if held is not None and time_ns - held[0] <= self._max_age_ns else None

    def _prune(self, stream: _Stream) -> None:
        """Forget what is before the last quote at or before the cut."""
        if self._cut_ns is not None:
            # Strictly: at the cut itself an event may still come, with a lesser sequence.
            count = bisect_right(stream.quotes, (self._cut_ns,)) - 1
            if count > 0:
                stream.forget(count)
                self._count -= count
        stream.prune_at = max(_MIN_PRUNED, 2 * len(stream.quotes))

    def _make_room(self) -> None:
        for stream in self._streams.values():
            self._prune(stream)
        while self._count > self._max_quotes:
            longest = max(self._streams.values(), key=lambda stream: len(stream.quotes))
            count = len(longest.quotes) // 2
            longest.forget(count)
            self._count -= count
            self.forgotten_count += count
