"""Partial matches: what a record must say, leaving open what else it says.

What is expected is a mapping in the names of `views`; mappings within it are partial too, lists are
not. A mapping with one key that begins with `$` is an operator; `$any` and `$absent` stand alone.
In Python, a compiled pattern is a `$regex`, and a function says yes or no.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tapeline.recording.difference_text import value_text
from tapeline.recording.records import Value, encoded

__all__ = ["OPERATORS", "BadExpectationError", "Mismatch", "check_expectation", "mismatches"]

_MISSING: Final = object()
_MAX_DEPTH: Final = 64


class BadExpectationError(ValueError):
    """What is expected makes no sense; `path` says where in it."""

    def __init__(self, path: tuple[str | int, ...], problem: str) -> None:
        super().__init__(problem)
        self.path = path


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where a record is not as expected: the path, and both in words."""

    path: str
    expected: str
    actual: str


def mismatches(expected: Any, actual: Value) -> list[Mismatch]:
    """Return where a value is not as expected; an empty list where it is."""
    found: list[Mismatch] = []
    _compare(expected, actual, "", found)
    return found


def check_expectation(expected: Any, path: tuple[str | int, ...] = ()) -> None:
    """Raise BadExpectationError for an operator that there is none of, or that can't work."""
    if len(path) > _MAX_DEPTH:
        raise BadExpectationError(path, "nests too deep")
    if isinstance(expected, list | tuple):
        for number, item in enumerate(expected):
            check_expectation(item, (*path, number))
    elif isinstance(expected, Mapping):
        name = _operator(expected)
        if name is None:
            for key, value in expected.items():
                _check_key(key, path)
                check_expectation(value, (*path, key))
        else:
            _check_operator(name, expected[name], (*path, name))
    elif isinstance(expected, str) and expected.startswith("$") and expected not in _ALONE:
        raise BadExpectationError(
            path, f"no operator {expected!r}; for that text itself write {{$equals: {expected!r}}}"
        )


def _check_key(key: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(key, str) and key.startswith("$"):
        if key in OPERATORS:
            problem = f"{key} must stand alone in its map"
        else:
            problem = f"no operator {key}; there are {', '.join(sorted(OPERATORS))}"
        raise BadExpectationError((*path, key), problem)


def _compare(expected: Any, actual: Value, path: str, found: list[Mismatch]) -> None:
    if isinstance(expected, list | tuple):
        _compare_list(expected, actual, path, found)
    elif isinstance(expected, Mapping) and _operator(expected) is None:
        _compare_mapping(expected, actual, path, found)
    else:
        wanted = _unmet(expected, actual)
        if wanted is not None:
            found.append(Mismatch(path, wanted, _with_type(expected, actual)))


def _unmet(expected: Any, actual: Value) -> str | None:
    """Return in words what a value is not; None where it is as expected."""
    if isinstance(expected, str) and expected in _ALONE:
        return None if (actual is _MISSING) == (expected == "$absent") else expected
    if isinstance(expected, Mapping):
        ((name, operand),) = expected.items()
        holds, wanted = OPERATORS[name].holds, f"{name} {_shown(operand)}"
        is_met = actual is not _MISSING and holds(operand, actual)
    elif isinstance(expected, re.Pattern):
        wanted = f"a match of {expected.pattern}"
        is_met = isinstance(actual, str) and expected.search(actual) is not None
    elif callable(expected):
        wanted = f"{getattr(expected, '__name__', 'the function')} to hold"
        is_met = actual is not _MISSING and bool(expected(actual))
    else:
        wanted = _shown(expected)
        is_met = actual is not _MISSING and _is_equal(expected, actual)
    return None if is_met else wanted


def _compare_mapping(
    expected: Mapping[str, Any], actual: Value, path: str, found: list[Mismatch]
) -> None:
    if actual is not _MISSING and not isinstance(actual, Mapping):
        found.append(Mismatch(path, "a map", _shown(actual)))
        return
    fields: Mapping[str, Any] = actual if isinstance(actual, Mapping) else {}
    for key, value in expected.items():
        within = fields.get(key, _MISSING)
        _compare(value, within, f"{path}.{key}" if path else key, found)


def _compare_list(expected: Any, actual: Value, path: str, found: list[Mismatch]) -> None:
    if not isinstance(actual, tuple) or len(actual) != len(expected):
        found.append(Mismatch(path, _shown(tuple(expected)), _shown(actual)))
        return
    for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
        _compare(one, other, f"{path}[{number}]", found)


def _operator(expected: Mapping[Any, Any]) -> str | None:
    """Return the operator that a mapping is; None for one of fields."""
    if len(expected) != 1:
        return None
    (name,) = expected
    return name if isinstance(name, str) and name in OPERATORS else None


def _is_equal(expected: Any, actual: Value) -> bool:
    return encoded(_frozen(expected)) == encoded(_frozen(actual))


def _frozen(value: Any) -> Value:
    """Return a value of the types that records have: a Moment is a text, a list a tuple."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return value


def _shown(value: Any) -> str:
    return "(absent)" if value is _MISSING else value_text(_frozen(value))


def _with_type(expected: Any, actual: Value) -> str:
    """Return the actual value; where only the types differ, with a word on those."""
    names = {int: "an integer", float: "a double", str: "a text", bool: "a boolean"}
    kinds = (type(expected), type(actual))
    both = kinds[0] is not kinds[1] and all(kind in names for kind in kinds)
    return f"{_shown(actual)}, {names[kinds[1]]}" if both else _shown(actual)


def _check_operator(name: str, operand: Any, path: tuple[str | int, ...]) -> None:
    problem = OPERATORS[name].problem(operand)
    if problem is not None:
        raise BadExpectationError(path, f"{name}: {problem}")
    if name == "$not":
        check_expectation(operand, path)
    elif name in {"$all", "$one_of"}:
        for number, item in enumerate(operand):
            check_expectation(item, (*path, number))


@dataclass(frozen=True, slots=True)
class _Operator:
    """Whether a value is as the operand says, and what is wrong with an operand."""

    holds: Callable[[Any, Value], bool]
    problem: Callable[[Any], str | None]


def _matches(expected: Any, actual: Value) -> bool:
    return not mismatches(expected, actual)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_near(operand: Any, actual: Value) -> bool:
    value, within = operand
    return _is_number(actual) and abs(actual - value) <= within


def _contains(operand: Any, actual: Value) -> bool:
    if isinstance(actual, tuple):
        return any(_matches(operand, item) for item in actual)
    return isinstance(actual, str) and isinstance(operand, str) and operand in actual


def _regex_problem(operand: Any) -> str | None:
    try:
        re.compile(operand)
    except (re.error, TypeError) as error:
        return f"not a regular expression: {error}"
    return None


def _hex_problem(operand: Any) -> str | None:
    try:
        bytes.fromhex(operand)
    except (TypeError, ValueError):
        return "must be a text of hexadecimal digits"
    return None


def _near_problem(operand: Any) -> str | None:
    match operand:
        case [value, within] if _is_number(value) and _is_number(within):
            return None
    return "must be [value, how far from it]"


def _bound(holds: Callable[[Any, Any], bool]) -> _Operator:
    return _Operator(
        lambda operand, actual: _is_number(actual) and holds(actual, operand),
        lambda operand: None if _is_number(operand) else "must be a number",
    )


def _list_problem(operand: Any) -> str | None:
    return None if isinstance(operand, list | tuple) and operand else "must be a list of some"


def _no_problem(operand: Any) -> str | None:
    del operand
    return None


_ALONE: Final = frozenset({"$any", "$absent"})
OPERATORS: Final[Mapping[str, _Operator]] = {
    "$regex": _Operator(
        lambda operand, actual: isinstance(actual, str) and bool(re.search(operand, actual)),
        _regex_problem,
    ),
    "$contains": _Operator(_contains, _no_problem),
    "$not": _Operator(lambda operand, actual: not _matches(operand, actual), _no_problem),
    "$one_of": _Operator(
        lambda operand, actual: any(_matches(item, actual) for item in operand), _list_problem
    ),
    "$all": _Operator(
        lambda operand, actual: all(_matches(item, actual) for item in operand), _list_problem
    ),
    "$equals": _Operator(_is_equal, _no_problem),
    "$hex": _Operator(lambda operand, actual: actual == bytes.fromhex(operand), _hex_problem),
    "$near": _Operator(_is_near, _near_problem),
    "$gt": _bound(lambda actual, operand: actual > operand),
    "$ge": _bound(lambda actual, operand: actual >= operand),
    "$lt": _bound(lambda actual, operand: actual < operand),
    "$le": _bound(lambda actual, operand: actual <= operand),
}
"""Operators by name, with what each takes."""
