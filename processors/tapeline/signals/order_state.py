"""The order book as plain values, and back."""

from itertools import islice
from typing import Any, Final

from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.events import Order
from tapeline.signals.order_life import Fill
from tapeline.signals.orders import OrderBook, OrderRecord

__all__ = ["dump_orders", "restore_orders"]

_COUNTS: Final = ("evicted_count", "refused_count", "negative_latency_count", "circle_count")


def dump_orders(book: OrderBook) -> dict[str, Any]:
    """Return all orders: their events together, and what does not follow from those."""
    records = list(book.records())
    events = [event for record in records for event in record.events]
    return {
        "events": encode_events(events),
        "orders": [
            [
                record.account,
                record.id,
                list(record.children),
                len(record.events),
                [[list(identity), list(fill)] for identity, fill in record.fills],
                record.last_ns,
                record.first_fill_ns,
                record.receipt_mid and list(record.receipt_mid),
                record.close_mid and list(record.close_mid),
                record.is_sampled,
                record.sampled_stages,
            ]
            for record in records
        ],
        "due": [[time_ns, *name] for time_ns, name in book.due_times()],
        "counts": [getattr(book, name) for name in _COUNTS],
    }


def restore_orders(book: OrderBook, state: Any) -> None:
    """Let an empty book become what was dumped."""
    events = iter([each for each in decode_events(state["events"]) if isinstance(each, Order)])
    records: list[OrderRecord] = []
    for fields in state["orders"]:
        account, order_id, children, count, fills, last_ns, first_fill_ns = fields[:7]
        receipt_mid, close_mid, is_sampled, sampled_stages = fields[7:]
        records.append(
            OrderRecord(
                account,
                order_id,
                tuple(children),
                tuple(islice(events, count)),
                tuple((tuple(identity), Fill(*fill)) for identity, fill in fills),
                last_ns,
                first_fill_ns,
                None if receipt_mid is None else (receipt_mid[0], receipt_mid[1]),
                None if close_mid is None else (close_mid[0], close_mid[1]),
                is_sampled,
                sampled_stages,
            )
        )
    due_times = [(time_ns, (account, order_id)) for time_ns, account, order_id in state["due"]]
    book.restore(records, due_times)
    for name, count in zip(_COUNTS, state["counts"], strict=True):
        setattr(book, name, count)
