"""What is wrong in an Alertmanager configuration although `amtool check-config` passes it. Pure.

amtool 0.31 accepts `match:` and its kin, which Alertmanager's documentation calls deprecated; it
looks at no secret file, and a template that is not defined fails only when a notification is due.
`alertmanager_files` reads the files and calls this.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tapeline.pipeline.prometheus_durations import duration_milliseconds

__all__ = ["LintInput", "Problem", "Route", "lint", "matcher_of", "routes_of"]

_DEPRECATED: Final = {
    "match": "matchers: ['name=\"value\"']",
    "match_re": "matchers: ['name=~\"pattern\"']",
    "source_match": "source_matchers",
    "source_match_re": "source_matchers",
    "target_match": "target_matchers",
    "target_match_re": "target_matchers",
}
# A value of these is a secret; each has a twin that ends in _file.
_SECRETS: Final = frozenset(
    {
        "api_key",
        "api_secret",
        "app_token",
        "auth_password",
        "auth_secret",
        "opsgenie_api_key",
        "routing_key",
        "service_key",
        "slack_api_url",
        "slack_app_token",
        "smtp_auth_password",
        "smtp_auth_secret",
        "token",
        "victorops_api_key",
    }
)
_MATCHER: Final = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_TEMPLATE_USE: Final = re.compile(r'\{\{-?\s*template\s+"([^"]+)"')
_TEMPLATE_DEFINITION: Final = re.compile(r'\{\{-?\s*define\s+"([^"]+)"')
# default.tmpl and email.tmpl of Alertmanager itself.
_BUILT_IN: Final = re.compile(r"__[a-z_]+|[a-z]+\.default\.[a-z.]+")
DEPTH_MAX: Final = 20


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: where in the file, what, and what to do."""

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Route:
    """A branch with what it inherits; `matchers` are its own and those of all above it."""

    where: str
    receiver: str
    matchers: tuple[tuple[str, str, str], ...]
    group_interval: str
    repeat_interval: str
    time_intervals: tuple[str, ...]
    own: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LintInput:
    """A configuration and what it names: the templates' texts by file, and a look at a secret.

    `secret_problem` returns what is wrong with a secret file, or None. `missing_templates` are
    globs that match no file.
    """

    document: Mapping[str, Any]
    templates: Mapping[str, str] = field(default_factory=dict)
    missing_templates: tuple[str, ...] = ()
    secret_problem: Callable[[str], str | None] = lambda _: None


def lint(given: LintInput) -> tuple[Problem, ...]:
    """Return what is wrong, in the order of the file's parts; empty where all is well."""
    document = given.document
    if not isinstance(document.get("route"), dict):
        return (Problem("route", "there is none", "write the routing tree's root"),)
    routes = tuple(routes_of(document["route"]))
    return (
        *_deprecated(document, ""),
        *_values(document, given.secret_problem),
        *_matchers(document, ""),
        *_receivers(document, routes),
        *_intervals(routes),
        *_times(document, routes),
        *_templates(given),
    )


def matcher_of(text: str) -> tuple[str, str, str] | None:
    """Return name, operator and value of a matcher; None where it is not in the quoted form."""
    match = _MATCHER.fullmatch(text.strip())
    return None if match is None else (match[1], match[2], match[3])


def routes_of(
    route: Mapping[str, Any], where: str = "route", above: Route | None = None, depth: int = 0
) -> Iterator[Route]:
    """Give a branch and all below it; raises ValueError for a tree that is too deep."""
    if depth > DEPTH_MAX:
        raise ValueError(f"{where}: routes are nested more than {DEPTH_MAX} deep")
    own = tuple(
        found
        for text in route.get("matchers") or ()
        if (found := matcher_of(str(text))) is not None
    )
    times = (
        *(route.get("active_time_intervals") or ()),
        *(route.get("mute_time_intervals") or ()),
    )
    this = Route(
        where=where,
        # What has no value is inherited, too, as what is not there.
        receiver=route.get("receiver") or (above.receiver if above else ""),
        matchers=(*(above.matchers if above else ()), *own),
        group_interval=_given(route, "group_interval", above.group_interval if above else "5m"),
        repeat_interval=_given(route, "repeat_interval", above.repeat_interval if above else "4h"),
        # Alertmanager: time intervals are not inherited.
        time_intervals=times,
        own=route,
    )
    yield this
    for position, child in enumerate(route.get("routes") or ()):
        yield from routes_of(child, f"{where}.routes[{position}]", this, depth + 1)


def _given(route: Mapping[str, Any], key: str, otherwise: str) -> Any:
    value = route.get(key)
    return otherwise if value is None else value


def _walk(value: Any, where: str, depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Give path, key and value of every entry of every mapping."""
    if depth > DEPTH_MAX * 2:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            path = f"{where}.{key}" if where else str(key)
            yield path, str(key), inner
            yield from _walk(inner, path, depth + 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _walk(inner, f"{where}[{position}]", depth + 1)


def _deprecated(value: Any, where: str) -> Iterator[Problem]:
    for path, key, _ in _walk(value, where):
        if key in _DEPRECATED and path.startswith(("route", "inhibit_rules")):
            yield Problem(path, f"`{key}` is deprecated", f"write {_DEPRECATED[key]}")
    if "mute_time_intervals" in value:
        yield Problem("mute_time_intervals", "is deprecated", "write time_intervals")


def _values(document: Any, secret_problem: Callable[[str], str | None]) -> Iterator[Problem]:
    for path, key, value in _walk(document, ""):
        if not isinstance(value, str):
            continue
        if "${" in value:
            yield Problem(
                path, f"{value!r} has a variable, and Alertmanager expands none", "use a file"
            )
        elif key in _SECRETS:
            yield Problem(path, "a secret stands in the file itself", f"use {key}_file")
        elif key.endswith("_file") and (wrong := secret_problem(value)) is not None:
            yield Problem(path, f"{value} {wrong}", "put the secret there, one line, for its owner")


def _matchers(document: Any, where: str) -> Iterator[Problem]:
    for path, key, value in _walk(document, where):
        if key not in {"matchers", "source_matchers", "target_matchers"}:
            continue
        for text in value if isinstance(value, list) else [value]:
            if matcher_of(str(text)) is None:
                fix = 'write name="value", with the quotes, one in each line of the list'
                yield Problem(path, f"{text!r} is no quoted matcher", fix)


def _receivers(document: Mapping[str, Any], routes: Sequence[Route]) -> Iterator[Problem]:
    names = [receiver.get("name") or "" for receiver in document.get("receivers") or ()]
    for route in routes:
        if route.receiver not in names:
            what = f"leads to the receiver {route.receiver!r}, which there is none of"
            known = ", ".join(sorted(map(str, names))) or "none"
            yield Problem(route.where, what, f"there are: {known}")
    used = {route.receiver for route in routes}
    for name in names:
        if name not in used:
            yield Problem(f"receivers.{name}", "no route leads there", "add a route or remove it")
    for receiver in document.get("receivers") or ():
        if not any(key.endswith("_configs") and receiver[key] for key in receiver):
            yield Problem(
                f"receivers.{receiver.get('name') or ''}",
                "tells nobody: alerts would end here unseen",
                "give it a _configs section",
            )
    if routes[0].own.get("matchers"):
        yield Problem("route", "the root has matchers", "it must take what nothing else takes")


def _intervals(routes: Sequence[Route]) -> Iterator[Problem]:
    for route in routes:
        try:
            group_ms = duration_milliseconds(str(route.group_interval))
            repeat_ms = duration_milliseconds(str(route.repeat_interval))
        except ValueError as error:
            yield Problem(route.where, str(error), "correct its group_ or repeat_interval")
            continue
        if group_ms <= 0 or repeat_ms < group_ms or repeat_ms % group_ms:
            yield Problem(
                route.where,
                f"repeat_interval {route.repeat_interval} is no multiple of group_interval"
                f" {route.group_interval}",
                "a repetition is only sent at the end of a group_interval",
            )


def _times(document: Mapping[str, Any], routes: Sequence[Route]) -> Iterator[Problem]:
    """Time intervals exist, are used, and mute nothing that must be heard at night."""
    names = [interval.get("name") or "" for interval in document.get("time_intervals") or ()]
    for route in routes:
        for name in route.time_intervals:
            if name not in names:
                yield Problem(route.where, f"there is no time interval {name!r}", "define it")
        severities = {
            value
            for label, operator, value in route.matchers
            if label == "severity" and operator == "="
        }
        if route.time_intervals and severities != {"info"}:
            yield Problem(
                route.where,
                "the clock mutes alerts that are not of severity info",
                'take the time interval away, or match severity="info"',
            )
    used = {name for route in routes for name in route.time_intervals}
    for name in names:
        if name not in used:
            yield Problem(f"time_intervals.{name}", "no route uses it", "use or remove it")


def _templates(given: LintInput) -> Iterator[Problem]:
    for glob in given.missing_templates:
        yield Problem("templates", f"{glob} matches no file", "correct the path")
    defined = {
        name for text in given.templates.values() for name in _TEMPLATE_DEFINITION.findall(text)
    }
    uses = [
        (path, name)
        for path, _, value in _walk(given.document.get("receivers"), "receivers")
        if isinstance(value, str)
        for name in _TEMPLATE_USE.findall(value)
    ]
    uses += [
        (file, name)
        for file, text in given.templates.items()
        for name in _TEMPLATE_USE.findall(text)
    ]
    for where, name in uses:
        if name not in defined and not _BUILT_IN.fullmatch(name):
            yield Problem(where, f"the template {name!r} is not defined", "define it in a template")
