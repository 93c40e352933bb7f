"""Events by identity: duplicates and conflicts, settled alike in whatever order they arrive. Pure.

Of events with one identity the one with the least (time, content) is held. So it is the set of
events that says which one counts, and the time at which it counts, not which came first.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from tapeline.signals.events import Cash, Content, Execution, Identity, Order

__all__ = ["EventSet"]

MAX_CONTENTS: Final = 8
"""Contents of one identity that are told apart; a further one is a conflict each time it comes."""

EventT = TypeVar("EventT", Order, Execution, Cash)


class EventSet(Generic[EventT]):
    """Events of one kind; counts what came twice and what contradicts."""

    def __init__(self) -> None:
        self.held: dict[Identity, EventT] = {}
        """The event that counts, by identity; to be read only."""
        self._contradicting: dict[Identity, list[Content]] = {}
        self.duplicate_count = 0
        """Events that came again with the same content."""
        self.conflict_count = 0
        """Events that came with another content than the one of the same identity."""

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[EventT]:
        return iter(self.held.values())

    def add(self, event: EventT) -> tuple[EventT | None, EventT]:
        """Take an event; return which one of its identity was held before, and is held now.

        Nothing was held: the event is new. Both are the same object: nothing changed.
        """
        return self.add_as(event.identity, event)

    def add_as(self, identity: Identity, event: EventT) -> tuple[EventT | None, EventT]:
        """Take an event whose identity is at hand."""
        count = len(self.held)
        before = self.held.setdefault(identity, event)
        if len(self.held) != count:
            return (None, event)
        content, held_content = event.content, before.content
        if content == held_content or content in self._contradicting.get(identity, ()):
            self.duplicate_count += 1
        else:
            self.conflict_count += 1
            self._remember(identity, content, held_content)
        if _rank(event, content) < _rank(before, held_content):
            self.held[identity] = event
            return (before, event)
        return (before, before)

    def contradicting(self) -> Iterator[tuple[Identity, list[Content]]]:
        """Yield what came with another content than is held, for a snapshot."""
        return iter(self._contradicting.items())

    def remember(self, identity: Identity, contents: Iterable[Content]) -> None:
        """Take back what `contradicting` gave."""
        self._contradicting[identity] = list(contents)

    def discard(self, identity: Identity) -> None:
        """Forget an identity: what comes with it later is new."""
        self.held.pop(identity, None)
        self._contradicting.pop(identity, None)

    def _remember(self, identity: Identity, *contents: Content) -> None:
        known = self._contradicting.setdefault(identity, [])
        for content in contents:
            if content not in known and len(known) < MAX_CONTENTS:
                known.append(content)


def _rank(event: Order | Execution | Cash, content: Content) -> tuple[int, Content, bytes, bytes]:
    # The trace is no part of a figure, but of an exemplar: it, too, does not depend on arrival.
    return (event.time_ns, content, *event.trace)
