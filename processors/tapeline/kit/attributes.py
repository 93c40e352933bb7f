"""Attributes by name: typed reading, setting and deleting, over the message that holds them."""

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from tapeline.kit.read_only import ReadOnlyError
from tapeline.kit.values import Settable, Value, any_value, python_value, replace_value, text_of

__all__ = ["Attributes"]

# What protobuf calls a repeated field of KeyValue; its stub is a private name.
Pairs: TypeAlias = Any

_MAX_EXPONENT: Final = 400
"""Beyond any double's, and small enough that arithmetic on the Decimal ends."""


class Attributes:
    """The attributes of a record, resource or scope.

    Names are unique by OTLP. Where a name stands twice all the same, the first one is read, and
    setting or deleting leaves none of the others behind.
    """

    __slots__ = ("_changed", "_pairs")

    def __init__(self, pairs: Pairs, changed: Callable[[], None] | None) -> None:
        """View pairs; `changed` is called at each change, None: there may be none."""
        self._pairs = pairs
        self._changed = changed

    def __contains__(self, key: object) -> bool:
        return any(pair.key == key for pair in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(pair.key for pair in self._pairs))

    def __len__(self) -> int:
        return len({pair.key for pair in self._pairs})

    def __getitem__(self, key: str) -> Value:
        """Return a value; raises KeyError where there is no such attribute."""
        pair = self._find(key)
        if pair is None:
            raise KeyError(key)
        return python_value(pair.value)

    def get(self, key: str) -> Value:
        """Return a value as Python has it; None where there is none."""
        pair = self._find(key)
        return None if pair is None else python_value(pair.value)

    def items(self) -> list[tuple[str, Value]]:
        """Return names and values as they are now: setting and deleting meanwhile is safe."""
        return [(key, self[key]) for key in self]

    def text(self, key: str) -> str | None:
        """Return a value that is a text; None where it is anything else, or not there."""
        pair = self._find(key)
        return None if pair is None else text_of(pair.value)

    def number(self, key: str) -> int | float | None:
        """Return a value that is a number, as the int or float it is; None for anything else."""
        value = self.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def decimal(self, key: str) -> Decimal | None:
        """Return a finite number exactly, also where it is written as a text; else None.

        A double becomes the shortest number that is written alike: 0.1 is Decimal("0.1").
        """
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            exact = Decimal(value if isinstance(value, int) else str(value))
        except InvalidOperation:
            return None
        return exact if exact.is_finite() and abs(exact.adjusted()) <= _MAX_EXPONENT else None

    def flag(self, key: str) -> bool | None:
        """Return a value that is true or false; None where it is anything else, or not there."""
        value = self.get(key)
        return value if isinstance(value, bool) else None

    def __setitem__(self, key: str, value: Settable) -> None:
        """Set a value; what is there of that name is replaced. The same value changes nothing."""
        self._may_change()
        pair = self._find(key)
        if pair is None:
            self._pairs.add(key=key, value=any_value(value))
        else:
            is_changed = replace_value(pair.value, value)
            if not self._remove(key, keep_first=True) and not is_changed:
                return
        self._tell()

    def __delitem__(self, key: str) -> None:
        """Take an attribute out; raises KeyError where there is none."""
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: str) -> bool:
        """Take an attribute out; tell whether there was one."""
        self._may_change()
        if self._find(key) is None:
            return False
        self._remove(key, keep_first=False)
        self._tell()
        return True

    def _find(self, key: str) -> Any:
        for pair in self._pairs:
            if pair.key == key:
                return pair
        return None

    def _remove(self, key: str, *, keep_first: bool) -> bool:
        """Take out all of a name, or all but the first; tell whether there were any."""
        places = [place for place, pair in enumerate(self._pairs) if pair.key == key]
        for place in reversed(places[keep_first:]):
            del self._pairs[place]
        return len(places) > keep_first

    def _may_change(self) -> None:
        if self._changed is None:
            raise ReadOnlyError(
                "a resource and a scope belong to all records of their group, so a processor of"
                " records can't change them; set an attribute of the record"
            )

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()
