"""Whether an Alertmanager configuration has mappings, lists and texts where they are looked for.

Pure. `amtool check-config` tells of all fields; these are those that the lint reads.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tapeline.alerting.alertmanager_lint import DEPTH_MAX, Problem

__all__ = ["shape_problems"]

_NAMED: Final = ("receivers", "time_intervals")
_OF_A_ROUTE: Final = ("matchers", "active_time_intervals", "mute_time_intervals")
_OF_AN_INHIBITION: Final = ("source_matchers", "target_matchers", "equal")


def shape_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield each part that is there and of another shape; an empty part is like none."""
    yield from _texts(document, "", "templates")
    for key in _NAMED:
        yield from _entries(document, "", key)
        for where, entry in _mappings(document, "", key):
            yield from _text(entry, where, "name")
    yield from _entries(document, "", "inhibit_rules")
    for where, rule in _mappings(document, "", "inhibit_rules"):
        for key in _OF_AN_INHIBITION:
            yield from _texts(rule, where, key)
    route = document.get("route")
    if isinstance(route, dict):
        yield from _route(route, "route", 0)
    elif route is not None:
        yield _other("route", "mapping", route)


def _route(route: Mapping[str, Any], where: str, depth: int) -> Iterator[Problem]:
    if depth > DEPTH_MAX:
        yield Problem(where, f"routes are nested more than {DEPTH_MAX} deep", "flatten the tree")
        return
    yield from _text(route, where, "receiver")
    for key in _OF_A_ROUTE:
        yield from _texts(route, where, key)
    yield from _entries(route, where, "routes")
    for place, child in _mappings(route, where, "routes"):
        yield from _route(child, place, depth + 1)


def _mappings(
    part: Mapping[str, Any], where: str, key: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each mapping of a list with its place; none where there is no list."""
    items = part.get(key)
    for position, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield f"{_place(where, key)}[{position}]", item


def _entries(part: Mapping[str, Any], where: str, key: str) -> Iterator[Problem]:
    """Yield what is wrong with a list of mappings."""
    yield from _wrong(part, where, key, dict, "mapping")


def _texts(part: Mapping[str, Any], where: str, key: str) -> Iterator[Problem]:
    """Yield what is wrong with a list of texts."""
    yield from _wrong(part, where, key, str, "text")


def _wrong(
    part: Mapping[str, Any], where: str, key: str, wanted: type, told: str
) -> Iterator[Problem]:
    place = _place(where, key)
    value = part.get(key)
    if value is None:
        return
    if not isinstance(value, list):
        yield _other(place, "list", value)
        return
    for position, item in enumerate(value):
        if not isinstance(item, wanted):
            yield _other(f"{place}[{position}]", told, item)


def _text(part: Mapping[str, Any], where: str, key: str) -> Iterator[Problem]:
    value = part.get(key)
    if value is not None and not isinstance(value, str):
        yield _other(f"{where}.{key}", "text", value)


def _place(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _other(where: str, expected: str, value: object) -> Problem:
    what = f"it is no {expected} but {value!r:.60}"
    return Problem(where, what, "see what `amtool check-config` says")
