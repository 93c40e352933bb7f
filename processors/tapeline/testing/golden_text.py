"""Goldens as text: YAML that a person can read, review, and comment.

The same results give the same text. Types can be told: texts that look like something else are in
quotes, doubles have a point or an exponent, bytes are `!hex`, times need no quotes. A text of
several lines stands as it is; what can't be seen in a text is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from tapeline.otlp.signals import Signal
from tapeline.recording.records import Fields, Marked, Record, encoded
from tapeline.testing.series import series_of
from tapeline.testing.views import Moment, place_view, record_view, series_view

__all__ = ["GoldenError", "read_text", "sections_of", "write_text"]

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_HEX: Final = "!hex"
_VERSION_KEY: Final = "tapeline_golden"
_VERSION: Final = 1
_HEAD: Final = """\
# What came out, to be reviewed by a person. `pytest --tapeline-update` writes it anew.
"""
_MAX_WIDTH: Final = 1 << 30
"""Lines are not folded: a change of a word must not change the lines after it."""


class GoldenError(ValueError):
    """A golden that can't be read; the message says where, and what is wrong."""


def sections_of(
    records: Iterable[Record],
    *,
    exemplars: bool = False,
    starts: bool = False,
    every_point: bool = False,
    ended: bool = False,
) -> dict[str, Any]:
    """Return what records say as a golden shows it: by signal, by resource and scope, in order.

    Metrics are series with what their points make, or each point; `exemplars`, the times since
    when they count (`starts`), and series that have ended (`ended`) are left out unless they are
    asked for.
    """
    listed = sorted(records, key=lambda record: record.order)
    sections: dict[str, Any] = {}
    for signal, section in ((Signal.LOGS, "logs"), (Signal.TRACES, "spans")):
        found = [(r.resource, r.scope, record_view(r)) for r in listed if r.signal is signal]
        if found:
            sections[section] = _grouped(found, "records")
    points = [record for record in listed if record.signal is Signal.METRICS]
    if every_point:
        views = [(point.resource, point.scope, record_view(point)) for point in points]
    else:
        views = [
            (one.resource, one.scope, series_view(one))
            for one in series_of(points)
            if ended or not one.has_ended
        ]
    left_out = {
        name for name, is_shown in (("exemplars", exemplars), ("start", starts)) if not is_shown
    }
    for _, _, view in views:
        for name in left_out & view.keys():
            del view[name]
    if views:
        sections["metrics"] = _grouped(views, "points" if every_point else "series")
    return sections


def write_text(sections: Mapping[str, Any]) -> str:
    """Return the text of a golden."""
    document = {_VERSION_KEY: _VERSION, **sections}
    text = yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_MAX_WIDTH,
        default_flow_style=False,
    )
    return _HEAD + str(text)


def read_text(text: str, name: str) -> dict[str, Any]:
    """Return the sections of a golden; raises GoldenError."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with one tag more.
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GoldenError(f"{name}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise GoldenError(f"{name}: not a golden: {error}") from error
    if not isinstance(document, dict) or document.pop(_VERSION_KEY, None) != _VERSION:
        raise GoldenError(
            f"{name}: not a golden of this version: it must begin with {_VERSION_KEY}: {_VERSION}"
        )
    return document


def _grouped(
    found: Sequence[tuple[Fields, Fields, dict[str, Any]]], name: str
) -> list[dict[str, Any]]:
    """Put what has the same resource and scope under one heading; the input's order stays."""
    groups: dict[tuple[bytes, bytes], dict[str, Any]] = {}
    for resource, scope, view in found:
        key = (encoded(resource), encoded(scope))
        group = groups.setdefault(key, place_view(resource, scope) | {name: []})
        group[name].append(view)
    return list(groups.values())


class _Dumper(yaml.SafeDumper):
    """Writes what goldens hold."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say that equal values are written out each time."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - PyYAML's signature.
        """Indent the items of a list below its key."""
        del indentless
        super().increase_indent(flow, indentless=False)

    def analyze_scalar(self, scalar: str) -> Any:
        """Leave only the escaped form to a text with something in it that can't be seen."""
        analysis = super().analyze_scalar(scalar)
        if _is_hidden(scalar):
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis

    def write_double_quoted(self, text: str, split: bool = True) -> None:  # noqa: FBT001, FBT002 - PyYAML's signature.
        """Escape a text with something in it that can't be seen."""
        allowed = self.allow_unicode
        self.allow_unicode = allowed and not _is_hidden(text)
        super().write_double_quoted(text, split)
        self.allow_unicode = allowed


class _Loader(yaml.SafeLoader):
    """Reads what goldens hold; times stay texts, to the nanosecond."""


def _is_hidden(text: str) -> bool:
    return not text.replace("\n", "").isprintable()


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _tuple(dumper: yaml.SafeDumper, values: tuple[Any, ...]) -> yaml.Node:
    # Numbers, as of buckets, are read beside each other.
    flow = all(isinstance(value, int | float) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


def _marked(dumper: yaml.SafeDumper, marked: Marked) -> yaml.Node:
    return dumper.represent_sequence(f"!{marked.mark}", marked.values)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(tuple, _tuple)
_Dumper.add_representer(Marked, _marked)
_Dumper.add_representer(
    Moment, lambda dumper, moment: dumper.represent_scalar(_TIMESTAMP, str(moment))
)
_Dumper.add_representer(
    bytes, lambda dumper, data: dumper.represent_scalar(_HEX, data.hex(), style='"')
)


def _construct_moment(loader: yaml.SafeLoader, node: Any) -> Moment:
    return Moment(loader.construct_scalar(node))


def _construct_hex(loader: yaml.SafeLoader, node: Any) -> bytes:
    return bytes.fromhex(str(loader.construct_scalar(node)))


def _construct_tuple(loader: yaml.SafeLoader, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


def _construct_marked(loader: Any, mark: str, node: Any) -> Marked:
    return Marked(mark, tuple(loader.construct_sequence(node, deep=True)))


_Loader.add_constructor(_TIMESTAMP, _construct_moment)
_Loader.add_constructor(_HEX, _construct_hex)
_Loader.add_constructor("tag:yaml.org,2002:seq", _construct_tuple)
_Loader.add_multi_constructor("!", _construct_marked)
