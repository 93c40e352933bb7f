"""What a comparison leaves out: whole groups of fields, and single fields by their path."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["GROUPS", "NOTHING", "Ignored", "UnknownGroupError", "ignoring"]

GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "times": frozenset(
        {
            "time_unix_nano",
            "observed_time_unix_nano",
            "start_time_unix_nano",
            "end_time_unix_nano",
        }
    ),
    "observed": frozenset({"observed_time_unix_nano"}),
    "ids": frozenset({"trace_id", "span_id", "parent_span_id"}),
    "exemplars": frozenset({"exemplars"}),
    "schemas": frozenset({"schema_url"}),
    "dropped": frozenset(
        {
            "dropped_attributes_count",
            "dropped_events_count",
            "dropped_links_count",
        }
    ),
    "unknown": frozenset({"unknown_fields"}),
}
"""Names of OTLP's fields by the name of their group, wherever in a record they stand."""
_PLACES: Final = frozenset({"resource", "scope"})


class UnknownGroupError(ValueError):
    """There is no such group of fields; the message lists those that there are."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Field names that are passed over wherever they stand, and paths that are taken out.

    A path is dotted, from the record on: `body.id`, `attributes.http.route`,
    `resource.attributes.host.name`, `events.*.attributes.exception.message`; `*` is any item of a
    list. A key may hold dots itself.
    """

    names: frozenset[str] = frozenset()
    paths: tuple[tuple[str, ...], ...] = ()

    def prune(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tree without what the paths lead to."""
        pruned = dict(tree)
        for path in self.paths:
            pruned = _without(pruned, path)
        return pruned


NOTHING: Final = Ignored()


def ignoring(groups: Iterable[str] = (), paths: Iterable[str] = ()) -> Ignored:
    """Return what to ignore; raises UnknownGroupError for a group that there is none of.

    `resource` and `scope` are groups too: the whole of what encloses the records.
    """
    names: set[str] = set()
    pieces = [tuple(path.replace("[*]", ".*").split(".")) for path in paths]
    for group in groups:
        if group in _PLACES:
            pieces.append((group,))
        elif group in GROUPS:
            names |= GROUPS[group]
        else:
            known = ", ".join(sorted(GROUPS.keys() | _PLACES))
            raise UnknownGroupError(f"nothing to ignore is named {group!r}; there are {known}")
    return Ignored(frozenset(names), tuple(pieces))


def _without(value: Any, path: tuple[str, ...]) -> Any:
    """Return a value without what the path leads to. The path's length bounds the depth."""
    if isinstance(value, Mapping):
        kept = dict(value)
        # A key may hold dots: each way to read the path's beginning as one key is tried.
        for length in range(1, len(path) + 1):
            key = ".".join(path[:length])
            if key not in kept:
                continue
            if length == len(path):
                del kept[key]
            elif inner := _without(kept[key], path[length:]):
                kept[key] = inner
            elif kept[key]:
                # As if there had been nothing else in it.
                del kept[key]
        return kept
    if isinstance(value, tuple) and len(path) > 1 and path[0] == "*":
        return tuple(_without(item, path[1:]) for item in value)
    return value
