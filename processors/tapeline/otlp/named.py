"""Finds the text that may name a value without being its key: in pairs, lists and command lines."""

from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["VALUES", "name_in_list", "name_in_pairs"]

_NAMES: Final = frozenset(
    {"name", "key", "field", "header", "param", "parameter", "variable", "var"}
)
VALUES: Final = frozenset({"value", "val", "values", "content"})
"""What a list calls the values that stand beside a name: `env` of Kubernetes, `headers` of HAR."""

MAX_NAME_LENGTH: Final = 128
"""Characters: what is longer is a text, and no name."""

_PAIR: Final = 2


def name_in_pairs(pairs: Iterable[KeyValue]) -> str:
    """Return the text of the first pair that holds a name: `name: API_SECRET`."""
    return next((_text(pair.value) for pair in pairs if pair.key.lower() in _NAMES), "")


def name_in_list(elements: Sequence[AnyValue], position: int) -> str:
    """Return the text before an element if it may be its name: an option, or the first of two."""
    if position == 0:
        return ""
    before = _text(elements[position - 1])
    return before if before.startswith("-") or len(elements) == _PAIR else ""


def _text(value: AnyValue) -> str:
    text = value.string_value if value.WhichOneof("value") == "string_value" else ""
    return text if len(text) <= MAX_NAME_LENGTH else ""
