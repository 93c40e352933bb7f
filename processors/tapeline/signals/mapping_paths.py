"""The right side of a mapping: paths into a record, and the few functions on what stands there.

Everything is compiled once. A value that a function can't take stays as it is, so that the event is
refused with the reason that the value deserves, and nothing is made up. Pure.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from tapeline.signals.decimals import EXACT, ZERO, NumberFault, number
from tapeline.signals.mapping_times import TIME_FORMATS, TimeFault

__all__ = [
    "FUNCTIONS",
    "MAX_STEPS",
    "ROOTS",
    "Expression",
    "TimeExpression",
    "Tree",
    "compile_expression",
    "compile_time",
    "look_up",
]

Tree = Mapping[str, Any]
ROOTS: Final = ("attributes", "scope", "resource", "span")
"""What a path begins with, besides `body`. `span` has the attributes of a span event's span."""
FUNCTIONS: Final = ("lower", "upper", "abs", "sign_to_side", "scale", "const")

MAX_LENGTH: Final = 512
"""Characters of an expression."""
MAX_CALLS: Final = 4
"""Functions within each other."""
MAX_STEPS: Final = 16
"""Parts of a path."""
_MAX_SCALE: Final = 24

_CALL: Final = re.compile(r"\s*([A-Za-z_0-9]+)\((.*)\)\s*", re.DOTALL)
_SCALE_ARGUMENTS: Final = re.compile(r"(.*),\s*([+-]?[0-9]{1,3})\s*", re.DOTALL)


class Record(Protocol):
    """A record as paths see it."""

    @property
    def body(self) -> Any:
        """The body: a mapping where it is one, or a text with JSON of one."""

    def tree(self, root: str) -> Tree:
        """Return the attributes that one of ROOTS stands for."""


Expression = Callable[[Record], Any]
"""Returns a value, None where there is none."""
TimeExpression = Callable[[Record], "int | TimeFault | None"]
"""Returns nanoseconds since 1970, None where there is no value."""


def look_up(tree: Tree, key: str) -> Any:
    """Return what a key leads to, None where that is nothing.

    Keys hold dots, and mappings hold mappings: the whole key comes first, then what begins with
    less and less dots.
    """
    found = tree.get(key)
    dot = key.find(".")
    while found is None and dot != -1:
        inner = tree.get(key[:dot])
        if isinstance(inner, dict):
            found = look_up(inner, key[dot + 1 :])
        dot = key.find(".", dot + 1)
    return found


def compile_expression(text: str) -> Expression:
    """Return what evaluates an expression; raises ValueError with what is wrong in it."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has {len(text)} characters; an expression has at most {MAX_LENGTH}")
    return _compile(text, MAX_CALLS)


def compile_time(text: str) -> TimeExpression:
    """Return what evaluates a time: a path to RFC 3339, or one in a format's brackets."""
    name, inside = _call(text)
    convert = TIME_FORMATS["rfc3339"]
    if name in TIME_FORMATS:
        convert, text = TIME_FORMATS[name], inside
    elif name:
        known = ", ".join(TIME_FORMATS)
        raise ValueError(f"{name!r} is no format of times; known here: {known}")
    source = compile_expression(text)

    def evaluate(record: Record) -> int | TimeFault | None:
        value = source(record)
        return None if value is None else convert(value)

    return evaluate


def _call(text: str) -> tuple[str, str]:
    match = _CALL.fullmatch(text)
    return (match[1], match[2].strip()) if match else ("", "")


def _compile(text: str, calls_left: int) -> Expression:
    name, inside = _call(text)
    if not name:
        return _path(text.strip())
    if name not in FUNCTIONS:
        raise ValueError(f"{name!r} is no function; known here: {', '.join(FUNCTIONS)}")
    if not calls_left:
        raise ValueError(f"has more than {MAX_CALLS} functions within each other")
    if name == "const":
        return _constant(inside)
    if name == "scale":
        return _scaled(inside, calls_left)
    source, function = _compile(inside, calls_left - 1), _PLAIN_FUNCTIONS[name]

    def evaluate(record: Record) -> Any:
        value = source(record)
        return None if value is None else function(value)

    return evaluate


def _constant(inside: str) -> Expression:
    if not inside:
        raise ValueError("const() needs a text, as const(USD)")
    return lambda _: inside


def _scaled(inside: str, calls_left: int) -> Expression:
    match = _SCALE_ARGUMENTS.fullmatch(inside)
    if match is None or abs(int(match[2])) > _MAX_SCALE:
        raise ValueError(
            f"scale needs a path and how many places the point goes right, up to {_MAX_SCALE}, as"
            " scale(body.price, -2)"
        )
    source, places = _compile(match[1], calls_left - 1), int(match[2])

    def evaluate(record: Record) -> Any:
        value = source(record)
        result = number(value)
        return value if isinstance(result, NumberFault) else str(result.scaleb(places, EXACT))

    return evaluate


def _path(path: str) -> Expression:
    root, _, key = path.partition(".")
    if path == "body":
        return lambda record: record.body
    if not key or root not in {*ROOTS, "body"}:
        roots = ", ".join(f"{name}." for name in ("body", *ROOTS))
        raise ValueError(
            f"{path!r} is no path: it has to begin with one of {roots}; for a fixed text write"
            f" const({path})"
        )
    if key.count(".") >= MAX_STEPS:
        raise ValueError(f"{path!r} has more than {MAX_STEPS} parts")
    if root == "body":
        return lambda record: _within(record.body, key)
    return lambda record: look_up(record.tree(root), key)


def _within(body: Any, key: str) -> Any:
    return look_up(body, key) if isinstance(body, dict) else None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _absolute(value: Any) -> Any:
    result = number(value)
    return value if isinstance(result, NumberFault) else str(result.copy_abs())


def _sign_to_side(value: Any) -> Any:
    result = number(value)
    if isinstance(result, NumberFault):
        return value
    if result == ZERO:
        return None
    return "buy" if result > ZERO else "sell"


_PLAIN_FUNCTIONS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {"lower": _lower, "upper": _upper, "abs": _absolute, "sign_to_side": _sign_to_side}
)
