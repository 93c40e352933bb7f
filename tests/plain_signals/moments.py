"""What is sampled at a moment of its own: horizons, latencies, and what counts events.

Sections 2, 3 and 5, "Samples" and "Orders".
"""

from decimal import Decimal
from fractions import Fraction

from plain_signals.chains import as_reported, revised
from plain_signals.known import Known, mid, named
from plain_signals.orders import all_orders, first_event, receipt_mid, terms
from plain_signals.samples import BPS, Samples, of_trade, side_of
from tapeline.signals.events import Execution, Identity, Order

SECOND_NS = 1_000_000_000
STAGES = {
    "submit_to_ack": ("submitted", "acknowledged"),
    "ack_to_fill": ("acknowledged", "fill"),
    "submit_to_fill": ("submitted", "fill"),
}


def count_events(everything: Known, samples: Samples) -> None:
    """Count events of orders by state, and accepted executions by kind."""
    for count, event in enumerate(everything.events, start=1):
        if isinstance(event, Order):
            known = everything.up_to(count)
            of_order = terms(known, event.account, event.id)
            assert of_order is not None
            key = named(
                account=event.account,
                strategy=of_order.strategy,
                instrument=of_order.instrument,
                venue=of_order.venue,
                order__state=event.state,
            )
            samples.add("orders", key, 1)


def sample_horizons(everything: Known, samples: Samples, booked_at: dict[Identity, int]) -> None:
    """Sample realised spread and markout of each trade at each horizon that the input reaches."""
    for identity, count in booked_at.items():
        booked = everything.up_to(count)
        execution = next(e for e in booked.executions if e.identity == identity)
        received = None
        if execution.order_id:
            received = receipt_mid(booked, execution.account, execution.order_id)
        for horizon_ns in everything.settings.horizons_ns:
            due_ns = execution.time_ns + horizon_ns
            if due_ns > everything.time_ns:
                continue
            known = everything.at(max(due_ns, booked.time_ns))
            trade = revised(known, execution)
            assert trade is not None
            later = mid(known, execution.instrument, execution.venue, due_ns)
            if trade.is_busted or later is None:
                continue
            key = named(
                **of_trade(trade),
                venue=execution.venue,
                side=side_of(trade.side),
                horizon=horizon_text(horizon_ns),
            )
            side, price = trade.side, trade.price
            if received is not None and received > 0:
                value = BPS * 2 * side * (price - later) / received
                samples.observe("realized_spread_bps", key, value)
            if price > 0:
                samples.observe("markout_bps", key, BPS * side * (later - price) / price)


def horizon_text(horizon_ns: int) -> str:
    """Return how a horizon is written: seconds, in decimals."""
    return f"{Decimal(horizon_ns) / SECOND_NS:f}".rstrip(".") + "s"


def sample_latencies(everything: Known, samples: Samples) -> None:
    """Sample each stage of each order once, when both of its ends are known."""
    for account, order_id in all_orders(everything):
        used = set()
        for count in range(1, len(everything.events) + 1):
            event = everything.events[count - 1]
            known = everything.up_to(count)
            if not isinstance(event, Order | Execution):
                continue
            of_order = terms(known, account, order_id)
            if of_order is None:
                continue
            for stage, ends in STAGES.items():
                times = [_time(known, account, order_id, end) for end in ends]
                if stage in used or None in times:
                    continue
                used.add(stage)
                latency_ns = times[1] - times[0]  # type: ignore[operator]
                if latency_ns >= 0:
                    key = named(
                        account=account,
                        strategy=of_order.strategy,
                        instrument=of_order.instrument,
                        venue=of_order.venue,
                        stage=stage,
                    )
                    samples.observe("order.latency", key, Fraction(latency_ns, SECOND_NS))


def _time(known: Known, account: str, order_id: str, end: str) -> int | None:
    if end != "fill":
        event = first_event(known, account, order_id, end)
        return event.time_ns if event else None
    for fill in known.executions:
        is_of_order = (fill.account, fill.order_id) == (account, order_id)
        # Busted or not, as it was reported; but without a side it does not count yet.
        if fill.kind == "trade" and is_of_order and as_reported(known, fill) is not None:
            return fill.time_ns
    return None
