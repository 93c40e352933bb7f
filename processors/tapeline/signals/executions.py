"""Executions and their chains: which ones are effective, with which values, out of all that came.

A trade begins a chain; a correct or a bust refers to the immediately previous execution. Of two
that refer to one, the greater (time, id) is followed. A bust ends its chain: as at the exchanges, a
broken trade is not reinstated. Nothing here depends on the order of arrival, except that beyond the
limit of parked references the next one is refused. Pure.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from tapeline.signals.event_set import EventSet
from tapeline.signals.events import Execution, Identity, Side

__all__ = ["Booking", "Change", "Executions", "OrderTerms", "bookings"]

MAX_LINKS: Final = 1_000
"""Corrections of one trade that are followed."""
MAX_PARKED: Final = 10_000

_OrderIdentity = tuple[str, ...]


class Change(NamedTuple):
    """An effective execution that came, went, or has other values now."""

    before: Execution | None
    after: Execution | None


class OrderTerms(NamedTuple):
    """What executions take from their order where they don't say it."""

    side: Side = 0
    strategy: str = ""
    time_ns: int = 0
    """The latest event of the order: until then the terms are kept without an execution."""


class Executions:
    """All executions of the revision window; tells what each new one changes."""

    def __init__(self, max_parked: int = MAX_PARKED) -> None:
        self.events: EventSet[Execution] = EventSet()
        self.max_parked = max_parked
        # By the identity of the trade, where that is not what counts itself; None: nothing does.
        self._effective: dict[Identity, Execution | None] = {}
        self._references: dict[Identity, list[Execution]] = {}  # By what they refer to.
        self._parked: dict[Identity, None] = {}
        self._terms: dict[_OrderIdentity, OrderTerms] = {}
        self._dependents: dict[_OrderIdentity, dict[Identity, None]] = {}
        self.unmatched_count = 0
        """References that were refused beyond the limit, or never found what they refer to."""
        self.after_bust_count = 0
        """References to a bust; they have no effect."""
        self.side_flip_count = 0
        """Corrections to the other side; they have no effect."""

    @property
    def parked_count(self) -> int:
        """References that wait for what they refer to, those of circles included."""
        return len(self._parked)

    def effective(self) -> Iterator[Execution]:
        """Return the executions that count, with their values; in no order."""
        found = map(self.effective_of, self.events.held)
        return (each for each in found if each is not None)

    def add(self, event: Execution, identity: Identity | None = None) -> Sequence[Change]:
        """Take an execution, and return what that changes."""
        if identity is None:
            identity = event.identity
        before, after = self.events.add_as(identity, event)
        if before is after:
            return ()
        if before is not None or after.kind != "trade" or identity in self._references:
            if after.kind == "trade" or before is not None:
                # What counted until now.
                is_trade = before is not None and before.kind == "trade"
                self._effective.setdefault(identity, before if is_trade else None)
            return self._link(identity, before, after)
        effective = self._resolved(after, identity)
        if effective is not after:
            self._effective[identity] = effective
        return () if effective is None else (Change(None, effective),)

    def set_terms(self, account: str, order_id: str, terms: OrderTerms) -> Sequence[Change]:
        """Say what an order's side and strategy are, and return what that changes."""
        order = (account, order_id)
        before = self._terms.get(order)
        self._terms[order] = terms
        if before is not None and before.side == terms.side and before.strategy == terms.strategy:
            return ()
        return self._changes(tuple(self._dependents.get(order, ())))

    def effective_of(self, identity: Identity) -> Execution | None:
        """Return a trade with the values that count; None where it is busted, or unknown."""
        event = self.events.held.get(identity)
        own = event if event is not None and event.kind == "trade" else None
        return self._effective.get(identity, own)

    def terms(self) -> Iterator[tuple[tuple[str, ...], OrderTerms]]:
        """Yield what orders told, by account and order id, for a snapshot."""
        return iter(self._terms.items())

    @property
    def dependents(self) -> Container[tuple[str, ...]]:
        """The orders that an execution which is held took side or strategy from, or would."""
        return self._dependents

    @property
    def references(self) -> Container[Identity]:
        """The executions that a correction or bust refers to, known or not."""
        return self._references

    def forget_terms(self, before_ns: int, kept: Container[tuple[str, ...]]) -> None:
        """Drop the terms of orders that were quiet since before a time, unless they are kept.

        What an execution took from its order stays as long as the execution.
        """
        self._terms = {
            order: terms
            for order, terms in self._terms.items()
            if terms.time_ns >= before_ns or order in self._dependents or order in kept
        }

    def chain(self, identity: Identity) -> tuple[Execution, ...]:
        """Return the chain that an execution is of, as it is followed; empty: it is parked.

        It begins with the trade, which has its order's side and strategy where it lacks them.
        """
        event = self.events.held.get(identity)
        root = None if event is None else self._root(event)
        if root is None:
            return ()
        resolved = self._resolved(root, root.identity, even_sideless=True) or root
        return (resolved, *self._walk(root)[1:])

    def depth(self, event: Execution) -> int:
        """Return how many references lead from an execution to its trade; of parked ones more."""
        held = self.events.held
        link: Execution | None = event
        for depth in range(MAX_LINKS + 1):
            if link is None:
                break
            if link.kind == "trade":
                return depth
            link = held.get(link.reference)
        return MAX_LINKS + 1

    def discard(self, identity: Identity) -> None:
        """Drop one execution, if it is held, and nothing that refers to it."""
        event = self.events.held.get(identity)
        if event is not None:
            self._drop(event)

    def forget(self, before_ns: int) -> list[Identity]:
        """Drop chains whose trade is from before a time, and what is parked since before it.

        Return what went with its trade, though it is not from before that time itself.
        """
        held, old = self.events.held, []
        for event in held.values():
            root = self._root(event)
            if root is not None and root.time_ns < before_ns:
                old.append(event)
            elif root is None and event.time_ns < before_ns:
                old.append(event)
                self.unmatched_count += 1
        for event in old:
            self._drop(event)
        for order, dependents in list(self._dependents.items()):
            kept = {identity: None for identity in dependents if identity in held}
            if kept:
                self._dependents[order] = kept
            else:
                del self._dependents[order]
        self._terms = {
            order: terms
            for order, terms in self._terms.items()
            if terms.time_ns >= before_ns or order in self._dependents
        }
        return [event.identity for event in old if event.time_ns >= before_ns]

    def _link(
        self, identity: Identity, before: Execution | None, after: Execution
    ) -> Sequence[Change]:
        """Put an execution into its chain; `before` is what was held of its identity."""
        roots: dict[Identity, None] = {}
        if before is None and after.kind != "trade" and self._root(after) is None:
            if len(self._parked) >= self.max_parked:
                self.events.discard(identity)
                self.unmatched_count += 1
                return ()
        elif before is not None:
            # Where it stood; `_root` goes by what is held, and that is the new one already.
            above = before if before.kind == "trade" else self.events.held.get(before.reference)
            root = self._root(above) if above is not None and above is not before else above
            if root is not None:
                roots[root.identity] = None
            roots[identity] = None
            self._unlink(before)
        if after.kind != "trade":
            self._references.setdefault(after.reference, []).append(after)
        root = self._root(after)
        if root is not None:
            roots[root.identity] = None
        self._settle(after, root)
        if before is None:
            self._count_without_effect(after, root)
        return self._changes(roots)

    def _settle(self, event: Execution, root: Execution | None) -> None:
        """Park what has no trade, and unpark what has got one, with all that refers to it."""
        waiting = [event]
        while waiting:
            link = waiting.pop()
            identity = link.identity
            was_parked = identity in self._parked
            if root is None:
                if was_parked:
                    continue  # So is what is below.
                self._parked[identity] = None
            elif was_parked:
                del self._parked[identity]
                self._count_side_flip(link, root)
            elif link is not event:
                continue  # It had a trade, and so has what is below.
            waiting.extend(self._references.get(identity, ()))

    def _count_without_effect(self, event: Execution, root: Execution | None) -> None:
        """Count a new event where it has no effect, and what it deprives of effect."""
        if event.kind == "bust":
            self.after_bust_count += len(self._references.get(event.identity, ()))
        if event.kind != "trade":
            above = self.events.held.get(event.reference)
            self.after_bust_count += above is not None and above.kind == "bust"
            if root is not None:
                self._count_side_flip(event, root)

    def _count_side_flip(self, link: Execution, root: Execution) -> None:
        self.side_flip_count += bool(link.side and -link.side == self._side(root))

    def _changes(self, roots: Iterable[Identity]) -> Sequence[Change]:
        changes: list[Change] = []
        for identity in roots:
            event = self.events.held.get(identity)
            before = self.effective_of(identity)
            self._effective.pop(identity, None)
            after = None
            if event is not None and event.kind == "trade":
                after = self._value(event)
                if after is not event:
                    self._effective[identity] = after
            if before != after:
                changes.append(Change(before, after))
        return changes

    def _value(self, root: Execution) -> Execution | None:
        """Return a trade with the values of its last correction; None where it is busted."""
        path = self._walk(root)
        value = root
        for link in path[1:]:
            if link.kind == "bust":
                return None
            value = corrected(value, link)
        return self._resolved(value, root.identity)

    def _walk(self, root: Execution) -> list[Execution]:
        """Return the executions that are followed from a trade on."""
        path = [root]
        link, side = root, self._side(root)
        while link.kind != "bust" and len(path) <= MAX_LINKS:
            following = [
                other
                for other in self._references.get(link.identity, ())
                if not (side and other.side and other.side != side)
            ]
            if not following:
                break
            link = max(following, key=_place)
            side = side or link.side
            path.append(link)
        return path

    def _root(self, event: Execution) -> Execution | None:
        """Return the trade that references lead to; None where one is unknown, or in a circle."""
        held = self.events.held
        link: Execution | None = event
        for _ in range(MAX_LINKS + 1):
            if link is None or link.kind == "trade":
                return link
            link = held.get(link.reference)
        return None

    def _side(self, root: Execution) -> Side:
        if root.side or not root.order_id:
            return root.side
        return self._terms.get((root.account, root.order_id), _NO_TERMS).side

    def _resolved(
        self, value: Execution, identity: Identity, *, even_sideless: bool = False
    ) -> Execution | None:
        """Return an execution with what it takes from its order; None while it has no side."""
        if value.order_id and not (value.side and value.strategy):
            order = (value.account, value.order_id)
            dependents = self._dependents.get(order)
            if dependents is None:
                self._dependents[order] = {identity: None}
            else:
                dependents[identity] = None
            terms = self._terms.get(order)
            if terms is not None:
                side, strategy = value.side or terms.side, value.strategy or terms.strategy
                # As `_replace` would, in a third of the time: most executions come by here.
                value = Execution(*value[:7], side, *value[8:14], strategy, *value[15:])
        return value if value.side or even_sideless else None

    def _unlink(self, event: Execution) -> None:
        siblings = self._references.get(event.reference, [])
        if event in siblings:
            siblings.remove(event)
            if not siblings:
                del self._references[event.reference]

    def _drop(self, event: Execution) -> None:
        identity = event.identity
        self.events.discard(identity)
        self._unlink(event)
        self._effective.pop(identity, None)
        self._parked.pop(identity, None)


_NO_TERMS: Final = OrderTerms()


def corrected(value: Execution, link: Execution) -> Execution:
    """Return an execution with the values of its correction; what that lacks is inherited.

    It stays where the trade stands: time, sequence and id are those of the trade.
    """
    return value._replace(
        kind=link.kind,
        side=link.side or value.side,
        quantity=value.quantity if link.quantity is None else link.quantity,
        price=value.price if link.price is None else link.price,
        order_id=link.order_id or value.order_id,
        fee=value.fee if link.fee is None else link.fee,
        fee_currency=link.fee_currency or value.fee_currency,
        liquidity=link.liquidity or value.liquidity,
        strategy=link.strategy or value.strategy,
        trace=link.trace,
    )


class Booking(NamedTuple):
    """What append-only counters book: an execution with its values, or the reversal of one."""

    execution: Execution
    is_reversal: bool


def bookings(booked: Sequence[Execution], chain: Sequence[Execution]) -> list[Booking]:
    """Return what is left to book when a chain has become another one than was booked.

    A trade is booked as reported; each correct or bust that follows reverses what it replaces, and
    a correct books its own. Both are what `Executions.chain` returned, or empty. A strategy that
    the order told later is no reason to book again.
    """
    common = 0
    while common < min(len(booked), len(chain)) and _is_same(booked[common], chain[common]):
        common += 1
    if common == len(booked) == len(chain):
        return []
    last = _values(booked)[-1] if booked else None
    result: list[Booking] = []
    # What a chain falls back to is booked again.
    first = common - 1 if common and common == len(chain) else common
    for value in _values([*booked[:common], *chain[common:]])[first:]:
        if last is not None:
            result.append(Booking(last, is_reversal=True))
        if value is not None:
            result.append(Booking(value, is_reversal=False))
        last = value
    if not chain and last is not None:
        result.append(Booking(last, is_reversal=True))
    return result


def _values(chain: Sequence[Execution]) -> list[Execution | None]:
    """Return the values after each execution of a chain; None after a bust."""
    values: list[Execution | None] = []
    value: Execution | None = None
    for link in chain:
        if link.kind == "trade" or value is None:
            value = link if link.kind == "trade" else None
        else:
            value = None if link.kind == "bust" else corrected(value, link)
        values.append(value)
    return values


def _is_same(one: Execution, other: Execution) -> bool:
    """Say whether two executions are booked alike: in all but strategy, sequence and time."""
    return one.content[:13] == other.content[:13]


def _place(event: Execution) -> tuple[int, int, str]:
    """Return what is greater for that one of several references which is followed."""
    key = event.order_key
    return (key[0], key[3], key[4])
