"""What is computed of an order that closed: shortfall and fill ratio. Sections 2, 3 and 5."""

from dataclasses import dataclass, replace
from fractions import Fraction

from plain_signals.chains import Trade, trades
from plain_signals.known import Known, mid, named
from plain_signals.orders import (
    CLOSING,
    Terms,
    all_orders,
    arrival,
    decision,
    family,
    is_leaf,
    root,
    terms,
)
from plain_signals.positions import Gauges, converted
from plain_signals.samples import BPS, Samples, instrument_of, money_of, side_of
from tapeline.signals.events import Execution, Order

HOUR_NS = 3_600_000_000_000


def fills(known: Known, account: str, order_ids: list[str]) -> list[Trade]:
    """Return the trades of some orders, as they stand."""
    return [
        trade
        for trade in trades(known)
        if trade.reported.account == account and trade.order_id in order_ids
    ]


def closed_since(known: Known, account: str, order_id: str) -> int | None:
    """Return the first moment after which an order was not open again, by what is known now.

    An execution fills it at the time of its trade, whenever a correction told how much that was.
    """
    filling = fills(known, account, [order_id, *family(known, account, order_id)])
    events: list[Order | Execution] = [*known.order_events(account, order_id)]
    events.extend(trade.reported for trade in filling)
    since = None
    for event in sorted(events, key=lambda each: each.order_key):
        passed = [each for each in events if each.order_key <= event.order_key]
        then = replace(known, events=tuple(each for each in passed if isinstance(each, Order)))
        filled = sum((each.quantity for each in filling if each.reported in passed), Fraction(0))
        if not _is_closed(then, account, order_id, filled):
            since = None
        elif since is None:
            since = event.time_ns
    return since


def _is_closed(known: Known, account: str, order_id: str, filled: Fraction) -> bool:
    of_order = terms(known, account, order_id)
    if of_order is None:
        return False
    if any(event.state in CLOSING for event in known.order_events(account, order_id)):
        return True
    return of_order.quantity is not None and filled >= of_order.quantity


def was_turned_away(known: Known, account: str, order_id: str, of: list[Trade]) -> bool:
    """Say whether an order was rejected before it was acknowledged, replaced or executed.

    What executes after that does not accept it, unless it executes all of it.
    """
    events = sorted(known.order_events(account, order_id), key=lambda event: event.order_key)
    closing = [event for event in events if event.state in {"canceled", "rejected", "expired"}]
    if not closing or closing[0].state != "rejected":
        return False
    before = [event for event in events if event.order_key < closing[0].order_key]
    if any(event.state in {"acknowledged", "replaced"} for event in before):
        return False
    return not any(trade.reported.time_ns < closing[0].time_ns for trade in of)


def sample_shortfalls(everything: Known, samples: Samples) -> None:
    """Sample each root order once: when it is known to have been closed for the grace.

    That is at the end of the grace, or, where the close is told of after it, at that moment.
    """
    times = sorted({event.time_ns for event in everything.events})
    sampled: set[tuple[str, str]] = set()
    for time_ns, next_ns in zip(times, [*times[1:], everything.time_ns + 1], strict=True):
        known = everything.at(time_ns)
        for account, order_id in all_orders(known):
            since = closed_since(known, account, order_id)
            if since is None or since + everything.settings.order_grace_ns >= next_ns:
                continue
            is_root = root(known, account, order_id) == order_id
            if is_root and (account, order_id) not in sampled:
                sampled.add((account, order_id))
                _sample(known, samples, account, order_id, since)


@dataclass(frozen=True)
class Closed:
    """What the components of a shortfall are made of."""

    terms: Terms
    ordered: Fraction
    filled: Fraction
    average: Fraction | None
    decided: Fraction
    arrived: Fraction | None
    at_close: Fraction | None
    fees: Fraction | None


def _sample(known: Known, samples: Samples, account: str, order_id: str, since: int) -> None:
    of_order = terms(known, account, order_id)
    assert of_order is not None
    found = fills(known, account, family(known, account, order_id))
    done = sum((trade.quantity for trade in found), Fraction(0))
    is_filled = of_order.quantity is not None and bool(done) and done >= of_order.quantity
    if not is_filled and was_turned_away(known, account, order_id, found):
        return
    decided = decision(known, account, order_id)
    if of_order.quantity is None or of_order.side == 0 or decided is None or decided <= 0:
        return
    filled = sum((trade.quantity for trade in found), Fraction(0))
    closed = Closed(
        of_order,
        max(of_order.quantity, filled),
        filled,
        _average(known, of_order, found, filled),
        decided,
        arrival(known, account, order_id),
        mid(known, of_order.instrument, of_order.venue, since),
        _fees(known, account, of_order, found),
    )
    components = _components(known, closed)
    if None not in components.values():
        components["total"] = sum((v for v in components.values() if v is not None), Fraction(0))
    for name, value in components.items():
        if value is not None:
            key = named(
                account=account,
                strategy=of_order.strategy,
                instrument=of_order.instrument,
                side=side_of(of_order.side),
                component=name,
            )
            samples.observe("shortfall_bps", key, value)


def _average(
    known: Known, of_order: Terms, found: list[Trade], filled: Fraction
) -> Fraction | None:
    if filled == 0:
        return None
    if instrument_of(known, of_order.instrument).is_inverse:
        return filled / sum((trade.quantity / trade.price for trade in found), Fraction(0))
    return sum((trade.quantity * trade.price for trade in found), Fraction(0)) / filled


def _fees(known: Known, account: str, of_order: Terms, found: list[Trade]) -> Fraction | None:
    """Return the fees of trades in the currency of P&L, each at the rate of its execution."""
    currency = money_of(known, account, of_order.instrument)
    instrument = instrument_of(known, of_order.instrument)
    total = Fraction(0)
    for trade in found:
        if not trade.fee:
            continue
        paid_in = trade.fee_currency or currency
        amount: Fraction | None = trade.fee * trade.price
        if paid_in != instrument.base_currency or paid_in == currency or instrument.is_inverse:
            then = known.up_to(known.events.index(trade.reported) + 1)
            amount = converted(then, {paid_in: trade.fee}, currency)
        if amount is None:
            return None
        total += amount
    return total


def _components(known: Known, of: Closed) -> dict[str, Fraction | None]:
    side, decided = of.terms.side, of.decided
    instrument = instrument_of(known, of.terms.instrument)

    def part(quantity: Fraction, to: Fraction | None, since: Fraction | None) -> Fraction | None:
        if quantity == 0:
            return Fraction(0)
        if to is None or since is None:
            return None
        return BPS * side * quantity / of.ordered * (to - since) / decided

    fees: Fraction | None = None
    if of.fees is not None:
        amount = of.ordered * Fraction(instrument.multiplier)
        per_price = decided if instrument.is_inverse else 1 / decided
        fees = BPS * of.fees / amount * per_price
    return {
        "delay": part(of.filled, of.arrived, decided),
        "execution": part(of.filled, of.average, of.arrived),
        "opportunity": part(of.ordered - of.filled, of.at_close, decided),
        "fees": fees,
    }


def fill_gauges(known: Known) -> Gauges:
    """Return the fill ratio of leaf orders that closed within the last hour."""
    sums: dict[tuple[tuple[str, ...], ...], list[Fraction]] = {}
    for account, order_id in all_orders(known):
        of_order = terms(known, account, order_id)
        since = closed_since(known, account, order_id)
        if of_order is None or of_order.quantity is None or since is None:
            continue
        if since <= known.time_ns - HOUR_NS or not is_leaf(known, account, order_id):
            continue
        found = fills(known, account, [order_id])
        filled = sum((trade.quantity for trade in found), Fraction(0))
        key = named(
            account=account,
            strategy=of_order.strategy,
            instrument=of_order.instrument,
            venue=of_order.venue,
        )
        held = sums.setdefault(key, [Fraction(0), Fraction(0)])
        held[0] += filled
        held[1] += of_order.quantity
    # The ratio is capped, not each order: what one executed too much may stand for another.
    return {
        ("trading.fill_ratio", key): min(Fraction(1), filled / ordered)
        for key, (filled, ordered) in sums.items()
    }
