"""What is held of every alert: its cases, labels and runbook. Each check yields complaints."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rule_cases import Case
from tapeline.alerting.scheme import PREFIXES, SEVERITIES, TEAMS
from tapeline.alerting.slo_queries import bucket_bound

__all__ = [
    "ALWAYS",
    "FIRES",
    "NEVER",
    "SECTIONS",
    "SILENT",
    "bounds_complaints",
    "case_complaints",
    "fences",
    "label_complaints",
    "query_complaints",
    "runbook_complaints",
    "section_complaints",
    "template_complaints",
]

WATCHDOG: Final = "Watchdog"
"""The one alert that always fires: it has no case in which it is silent."""
FIRES: Final = "{} fires"
SILENT: Final = "{} is silent just below"
ALWAYS: Final = "vector(1)"
NEVER: Final = "vector(1) < 0"
SECTIONS: Final = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation")

_USED: Final = re.compile(r"\$labels\.(\w+)")
_GUARD: Final = re.compile(r"\{\{-?\s*(?:with|if)\s+\$labels\.\w+\s*-?\}\}.*?\{\{-?\s*end\s*-?\}\}")
_BY: Final = re.compile(r"^\s*\w+\s+by\s*\(([^)]*)\)")
_NO_METRIC: Final = re.compile(
    r"""\{[^}]*\}|\[[^\]]*\]|"[^"]*"|\b(?:by|on|without|ignoring)\s*\([^)]*\)"""
)
_METRIC: Final = re.compile(r"\b(?:[a-z][\w:]*[_:][\w:]*|up)\b(?!\s*\()")
_PART_OF_METRIC: Final = re.compile(r"_(?:bucket|count|sum)$")
_BY_NAME: Final = re.compile(r"""__name__=~"([^"]+)\"""")
_LE: Final = re.compile(r"""\ble\s*(?P<operator>=~|!~|!=|=)\s*["'](?P<value>[^"']*)["']""")
_FENCE: Final = re.compile(
    r"^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```\s*$", re.MULTILINE | re.DOTALL
)


def case_complaints(alerts: Sequence[Mapping[str, Any]], cases: Sequence[Case]) -> Iterator[str]:
    """Yield what is missing or wrong in the cases of the alerts."""
    names = Counter(case.name for case in cases)
    known = {alert["alert"] for alert in alerts}
    for case in cases:
        for stranger in sorted(case.alerts - known):
            yield f"{case.path.name}: {case.name!r} asks for {stranger}, which is no alert"
    for name in sorted(known):
        wanted = [FIRES] if name == WATCHDOG else [FIRES, SILENT]
        for form in wanted:
            if names[form.format(name)] != 1:
                yield f"{names[form.format(name)]} cases are named {form.format(name)!r}, not one"
    for case in cases:
        yield from _expectation_complaints(case)


def _expectation_complaints(case: Case) -> Iterator[str]:
    fires, is_silent = case.name.endswith(" fires"), case.name.endswith(" is silent just below")
    if not fires and not is_silent:
        return
    name = case.name.partition(" ")[0]
    expected = [
        each.get("exp_alerts") or []
        for each in case.entry.get("alert_rule_test", ())
        if each["alertname"] == name
    ]
    if not expected:
        yield f"{case.path.name}: {case.name!r} does not ask for {name}"
    elif fires and not any(expected):
        yield f"{case.path.name}: {case.name!r} expects nothing"
    elif is_silent and case.name == SILENT.format(name) and expected[-1]:
        yield f"{case.path.name}: {case.name!r} expects an alert in the end"


def label_complaints(alerts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield labels and annotations that are not of the scheme."""
    for alert in alerts:
        name, labels = alert["alert"], alert.get("labels", {})
        problems = [
            *_scheme_problems(name, labels, alert["expr"]),
            *_annotation_problems(name, alert.get("annotations", {})),
        ]
        yield from (f"{name}: {problem}" for problem in problems)


def _scheme_problems(name: str, labels: Mapping[str, str], expression: str) -> Iterator[str]:
    severity, priority = labels.get("severity", ""), labels.get("priority", "")
    if severity not in SEVERITIES:
        yield f"severity {severity!r} is none of {', '.join(SEVERITIES)}"
    elif priority not in SEVERITIES[severity]:
        yield f"priority {priority!r} does not go with severity {severity}"
    if labels.get("team") not in TEAMS:
        yield f"team {labels.get('team')!r} is none of {', '.join(TEAMS)}"
    system = labels.get("system", "")
    if system not in PREFIXES:
        yield f"system {system!r} is none of {', '.join(PREFIXES)}"
    elif name != WATCHDOG and not name.lower().startswith(PREFIXES[system].lower()):
        yield f"its name does not begin with {PREFIXES[system]}"
    if "service" not in labels and not brings_service(expression):
        yield "it has no label service, and its expression brings none"
    for label, value in labels.items():
        if "$value" in value:
            yield f"label {label} changes with the value: each change is another alert"


def brings_service(expression: str) -> bool:
    """Tell whether an expression may have the label `service`: it names it, or keeps all labels."""
    return re.search(r"\bservice\b", expression) is not None or not re.search(
        r"\b(?:sum|min|max|avg|count|group|absent|vector)\b", expression
    )


def _annotation_problems(name: str, annotations: Mapping[str, str]) -> Iterator[str]:
    for key in ("summary", "description"):
        if not annotations.get(key, "").strip():
            yield f"it has no {key}"
    wanted = f"docs/runbooks/{name}.md"
    if annotations.get("runbook_url") != wanted:
        yield f"runbook_url is {annotations.get('runbook_url')!r}, not {wanted!r}"


def template_complaints(
    alerts: Sequence[Mapping[str, Any]], cases: Sequence[Case]
) -> Iterator[str]:
    """Yield labels in templates that the alert does not have: they are written as nothing.

    What it has is what promtool sees it fire with; without a case (Loki's), what it is summed by.
    """
    fired: dict[str, list[Mapping[str, str]]] = {}
    for case in cases:
        for each in case.entry.get("alert_rule_test", ()):
            labels = [expected["exp_labels"] for expected in each.get("exp_alerts") or ()]
            fired.setdefault(each["alertname"], []).extend(labels)
    for alert in alerts:
        name, own = alert["alert"], alert.get("labels", {})
        # Alerts of one name are told apart by their own labels.
        fixed = {label: value for label, value in own.items() if "{{" not in value}.items()
        seen = [labels for labels in fired.get(name, ()) if fixed <= labels.items()]
        summed = _BY.search(alert["expr"])
        if not seen and summed is not None:
            seen = [dict.fromkeys((part.strip() for part in summed[1].split(",")), "x")]
        if not seen:
            yield f"{name}: nothing tells which labels it has"
        texts = [*own.values(), *alert.get("annotations", {}).values()]
        used = {label for text in texts for label in _USED.findall(_GUARD.sub("", text))}
        for label in sorted(used):
            if not all(labels.get(label) for labels in seen):
                yield f"{name}: a template has $labels.{label}, which the alert does not have"


def bounds_complaints(text: str) -> Iterator[str]:
    """Yield values of `le` that Prometheus 3 does not store in that form: they match nothing."""
    for match in _LE.finditer(text):
        if match["operator"] in {"=~", "!~"} or match["value"] == "+Inf":
            continue
        try:
            wanted = bucket_bound(float(match["value"]))
        except ValueError:
            continue  # A variable of Grafana, or a template.
        if wanted != match["value"]:
            yield f'le="{match["value"]}" matches nothing: write le="{wanted}"'


def runbook_complaints(alerts: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Yield alerts without a page, and pages without an alert."""
    pages = {path.stem for path in folder.glob("*.md")} - {"README"}
    names = {alert["alert"] for alert in alerts}
    yield from (
        f"{name} has no runbook: write {folder}/{name}.md" for name in sorted(names - pages)
    )
    yield from (f"{folder}/{name}.md is the runbook of no alert" for name in sorted(pages - names))


def section_complaints(path: Path) -> Iterator[str]:
    """Yield what a runbook lacks: its title, its sections in order, something in each."""
    text = path.read_text(encoding="utf-8")
    # A `#` in a fence is a comment there.
    plain = _FENCE.sub(lambda match: match[0].replace("#", "%"), text)
    title, *sections = re.split(r"^## ", plain, flags=re.MULTILINE)
    if title.strip() != f"# {path.stem}":
        yield f"{path.name}: it begins with {title.strip()!r}, not with '# {path.stem}'"
    names = tuple(section.partition("\n")[0].strip() for section in sections)
    if names != SECTIONS:
        yield f"{path.name}: its sections are {', '.join(names)}; they are {', '.join(SECTIONS)}"
    for section in sections:
        heading, _, body = section.partition("\n")
        if not body.strip():
            yield f"{path.name}: {heading.strip()} is empty"
    if not list(fences(text)):
        yield f"{path.name}: it has no query in a fence of promql or logql"


def query_complaints(rules: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Yield alerts none of whose metrics the diagnosis on their page asks for.

    A recorded series stands for what it is made of, too.
    """
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    for rule in rules:
        if "alert" not in rule or rule["alert"] == WATCHDOG:
            continue
        text = (folder / f"{rule['alert']}.md").read_text(encoding="utf-8")
        asked = " ".join(query for kind, query in fences(text) if kind == "promql")
        looked_at, shown = _metrics(rule["expr"], recorded), _metrics(asked, recorded)
        by_name = [re.compile(pattern) for pattern in _BY_NAME.findall(asked)]
        if looked_at & shown or any(p.fullmatch(name) for p in by_name for name in looked_at):
            continue
        yield f"{rule['alert']}: no query of its page is of {', '.join(sorted(looked_at))}"


def _metrics(expression: str, recorded: Mapping[str, str]) -> set[str]:
    """Return the metrics that an expression reads, without a histogram's endings."""
    found = set(_METRIC.findall(_NO_METRIC.sub(" ", expression)))
    for name in found & recorded.keys():
        found |= set(_METRIC.findall(_NO_METRIC.sub(" ", recorded[name])))
    return {_PART_OF_METRIC.sub("", name) for name in found}


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each fence of queries on a page."""
    for match in _FENCE.finditer(text):
        if match["kind"] in {"promql", "logql"}:
            yield match["kind"], match["text"].strip()
