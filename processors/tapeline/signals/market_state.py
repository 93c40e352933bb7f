"""The market's memory as plain values, and back: all quotes and marks that samples may ask for."""

from typing import Any, Final

from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.events import Mark, Quote
from tapeline.signals.market import Market
from tapeline.signals.quotes import Quotes

__all__ = ["dump_market", "restore_market"]

_COUNTS: Final = ("refused_count", "forgotten_count", "too_late_count")


def dump_market(market: Market) -> dict[str, Any]:
    """Return quotes, marks, and the last of each instrument."""
    return {
        "quotes": _dump(market.quotes),
        "marks": _dump(market.marks),
        "last": encode_events(market.latest.last()),
        "missing_rates": market.missing_rate_count,
    }


def restore_market(market: Market, state: Any) -> None:
    """Let a new market become what was dumped."""
    _restore(market.quotes, state["quotes"])
    _restore(market.marks, state["marks"])
    for event in decode_events(state["last"]):
        if isinstance(event, Quote):
            market.latest.add_quote(event)
        elif isinstance(event, Mark):
            market.latest.add_mark(event)
    market.missing_rate_count = state["missing_rates"]


def _dump(quotes: Quotes) -> dict[str, Any]:
    return {
        "held": encode_events(quotes.held()),
        "floors": [list(floor) for floor in quotes.floors()],
        "cut": quotes.cut_ns,
        "counts": [getattr(quotes, name) for name in _COUNTS],
    }


def _restore(quotes: Quotes, state: Any) -> None:
    held = [event for event in decode_events(state["held"]) if isinstance(event, Quote)]
    floors = [(venue, instrument, floor_ns) for venue, instrument, floor_ns in state["floors"]]
    quotes.restore(held, floors, state["cut"])
    for name, count in zip(_COUNTS, state["counts"], strict=True):
        setattr(quotes, name, count)
