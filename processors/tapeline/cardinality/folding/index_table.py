"""Small numbers for objects that rows of arrays refer to."""

from typing import Generic, Protocol, TypeVar

__all__ = ["IndexTable"]


class _Indexed(Protocol):
    index: int
    streams: int


Item = TypeVar("Item", bound=_Indexed)


class IndexTable(Generic[Item]):
    """Gives an object a number while streams refer to it, and counts them on the object."""

    def __init__(self) -> None:
        self._items: list[Item | None] = []
        self._free: list[int] = []

    def __getitem__(self, index: int) -> Item:
        item = self._items[index]
        if item is None:
            raise IndexError(f"no stream refers to number {index}")
        return item

    def acquire(self, item: Item, streams: int = 1) -> int:
        """Count so many more streams, and return the object's number."""
        if item.streams == 0:
            if self._free:
                item.index = self._free.pop()
                self._items[item.index] = item
            else:
                item.index = len(self._items)
                self._items.append(item)
        item.streams += streams
        return item.index

    def release(self, item: Item, streams: int = 1) -> None:
        """Count so many streams less."""
        item.streams -= streams
        if item.streams == 0:
            self._items[item.index] = None
            self._free.append(item.index)
            item.index = -1

    def items(self) -> list[Item | None]:
        """Return the objects by their numbers, None where a number is free."""
        return list(self._items)

    def restore(self, items: list[Item | None]) -> None:
        """Take over what `items` returned; the counts on the objects are the caller's."""
        self._items = list(items)
        self._free = [index for index, item in enumerate(items) if item is None]
        for index, item in enumerate(items):
            if item is not None:
                item.index = index
