"""What a trade has become by corrections and busts. Sections 1 and 5, "Corrections", "Chains"."""

from dataclasses import dataclass, replace
from fractions import Fraction

from plain_signals.known import Known
from plain_signals.orders import terms
from tapeline.signals.events import DEFAULT_STRATEGY, Execution, Identity


@dataclass(frozen=True)
class Trade:
    """A trade with its side and strategy, as it stands at a moment."""

    reported: Execution
    """The trade itself: its time and its place in the order of events."""
    last_id: str
    """The end of its chain."""
    side: int
    strategy: str
    quantity: Fraction
    price: Fraction
    fee: Fraction | None
    fee_currency: str
    liquidity: str
    order_id: str
    is_busted: bool = False

    @property
    def identity(self) -> Identity:
        return self.reported.identity


def as_reported(known: Known, execution: Execution) -> Trade | None:
    """Return a trade without its revisions, None while nothing tells its side."""
    order = terms(known, execution.account, execution.order_id) if execution.order_id else None
    side = execution.side or (order.side if order else 0)
    if side == 0:
        return None
    assert execution.quantity is not None
    assert execution.price is not None
    return Trade(
        execution,
        execution.id,
        side,
        execution.strategy or (order.strategy if order else DEFAULT_STRATEGY),
        Fraction(execution.quantity),
        Fraction(execution.price),
        None if execution.fee is None else Fraction(execution.fee),
        execution.fee_currency,
        execution.liquidity,
        execution.order_id,
    )


def chain(known: Known, execution: Execution, side: int) -> list[Execution]:
    """Return a trade and what revises it, each the reference of the next.

    Of two references the greater (time, id) is followed; what would change the side is not there.
    """
    links = [execution]
    while links[-1].kind != "bust":
        references = [
            event
            for event in known.executions
            if event.kind != "trade"
            and event.reference == links[-1].identity
            and (event.kind == "bust" or event.side in (0, side))
        ]
        if not references:
            break
        links.append(max(references, key=lambda e: (e.time_ns, len(e.id.encode()), e.id)))
    return links


def revised(known: Known, execution: Execution) -> Trade | None:
    """Return a trade with all its revisions, None while nothing tells its side."""
    steps = revisions(known, execution)
    return steps[-1] if steps else None


def revisions(known: Known, execution: Execution) -> list[Trade]:
    """Return a trade after each link of its chain, itself first; none while it has no side."""
    trade = as_reported(known, execution)
    if trade is None:
        return []
    steps = [trade]
    for link in chain(known, execution, trade.side)[1:]:
        trade = _after(trade, link)
        steps.append(trade)
    return steps


def _after(trade: Trade, link: Execution) -> Trade:
    """Return what a link makes of a trade; what a correction lacks is inherited."""
    if link.kind == "bust":
        return replace(trade, last_id=link.id, is_busted=True)
    return replace(
        trade,
        last_id=link.id,
        strategy=link.strategy or trade.strategy,
        quantity=trade.quantity if link.quantity is None else Fraction(link.quantity),
        price=trade.price if link.price is None else Fraction(link.price),
        fee=trade.fee if link.fee is None else Fraction(link.fee),
        fee_currency=link.fee_currency or trade.fee_currency,
        liquidity=link.liquidity or trade.liquidity,
        order_id=link.order_id or trade.order_id,
    )


def trades(known: Known) -> list[Trade]:
    """Return all trades that count, as they stand, in the order of events; none that is busted."""
    return [trade for trade in counting(known) if not trade.is_busted]


def counting(known: Known) -> list[Trade]:
    """Return all trades that count, busted ones too."""
    found = [revised(known, event) for event in known.executions if event.kind == "trade"]
    return [trade for trade in found if trade is not None]
