"""Reads the coverage tables of docs/systems, and compares each row with what there is.

A row says what a system's document asks for, where it lives here, and what proves it. Each check
yields complaints that begin with the page and the line.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from alert_facts import fact_problems
from rule_cases import alerts, cases, rules
from rule_checks import FIRES
from tapeline.alerting.slo import load_slos
from tapeline.stack.binaries import SOURCE_ROOT

__all__ = ["KINDS", "PAGES", "Metric", "Row", "complaints_of", "metrics_of", "read_rows"]

PAGES: Final = SOURCE_ROOT / "docs" / "systems"
COLUMNS: Final = ("kind", "name", "document says", "here", "proof")
KINDS: Final = frozenset(
    {
        "metric", "trace", "log field", "log query", "alert", "route", "slo", "dashboard", "panel",
        "retention", "endpoint", "probe", "runbook", "integration", "performance", "security",
        "recording rule", "scrape", "later",
    }
)  # fmt: skip
ANOTHER_WAY: Final = "another way:"

_CELLS: Final = re.compile(r"(?<!\\)\|")
_NAME: Final = re.compile(r"`([^`]+)`")
_FACTS: Final = re.compile(
    r"(?P<type>Counter|Gauge|Histogram|Summary|Info)\{(?P<labels>[^}]*)\}"
    r"(?: buckets (?P<buckets>[-+\d.e ]+))?(?:[;,(].*)?"
)
_PATH: Final = re.compile(
    r"(?<![\w/.:])(?:[\w.-]+/)+(?:[\w.-]*\w\.(?:py|ya?ml|json|md|tmpl|template)\b)?(?![\w/])"
)
_PROOF: Final = re.compile(r"(?P<path>[\w./-]+\.(?:py|ya?ml))(?:::(?P<test>\w+))?")
_PAGE_NAME: Final = re.compile(r"[A-Z]\w+")
_BASES: Final = (SOURCE_ROOT, SOURCE_ROOT / "processors", SOURCE_ROOT / "processors" / "tapeline")


@dataclass(frozen=True)
class Row:
    """One row, by its column; `name` is without its backticks."""

    page: Path
    line: int
    kind: str
    name: str
    says: str
    here: str
    proof: str

    @property
    def system(self) -> str:
        """The system of its page."""
        return self.page.stem

    @property
    def place(self) -> str:
        """What a complaint about it begins with."""
        return f"{self.page.name}:{self.line}: {self.kind} {self.name}"

    @property
    def is_another_way(self) -> bool:
        """Whether it says that the demand is met in another way."""
        return self.here.startswith(ANOTHER_WAY)


@dataclass(frozen=True)
class Metric:
    """A metric of a floor's service: what the document's facts are compared with."""

    module: str
    name: str
    type: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]

    @property
    def facts(self) -> str:
        """It in the words of a row."""
        text = f"{self.type}{{{','.join(self.labels)}}}"
        return text + (f" buckets {' '.join(map(str, self.buckets))}" if self.buckets else "")


def read_rows(page: Path) -> tuple[list[Row], list[str]]:
    """Return the rows of a page's tables, and complaints about those that can't be read."""
    found: list[Row] = []
    complaints: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("|"):
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]]
        if tuple(cells) == COLUMNS or all(set(cell) <= set("-: ") for cell in cells):
            continue
        problem = _unreadable(cells)
        if problem is not None:
            complaints.append(f"{page.name}:{number}: {problem}")
            continue
        name = _NAME.findall(cells[1])[0]
        found.append(Row(page, number, cells[0], name, cells[2], cells[3], cells[4]))
    return found, complaints


def _unreadable(cells: list[str]) -> str | None:
    if len(cells) != len(COLUMNS):
        return f"{len(cells)} columns, not {len(COLUMNS)}: a | in a cell is written \\|"
    if cells[0] not in KINDS:
        return f"{cells[0]!r} is no kind; there are: {', '.join(sorted(KINDS))}"
    if _NAME.fullmatch(cells[1]) is None:
        return f"the name {cells[1]!r} is not one name in backticks"
    empty = [column for column, cell in zip(COLUMNS, cells, strict=True) if not cell]
    return f"{' and '.join(empty)} is empty: no row is left open" if empty else None


def complaints_of(row: Row) -> Iterator[str]:
    """Yield what a row names that is not there, or is otherwise than it says."""
    problems = [*_here_problems(row), *_proof_problems(row)]
    if row.is_another_way:
        problems += _other_problems(row)
    elif row.kind in _CHECKS:
        problems += _CHECKS[row.kind](row)
    yield from (f"{row.place}: {problem}" for problem in problems)


def _here_problems(row: Row) -> Iterator[str]:
    if row.is_another_way and not row.here.removeprefix(ANOTHER_WAY).strip():
        yield "it does not say which other way, and why"
    for path in _PATH.findall(row.here):
        if not any((base / path).exists() for base in _BASES):
            yield f"{path} is not there"


def _other_problems(row: Row) -> Iterator[str]:
    """Yield what is wrong with a row of another way: what serves instead must be there, too."""
    modules = re.findall(r"[\w/]+\.py", row.here)
    if row.kind == "metric" and modules:
        if not any(metric.name == row.name for metric in metrics_of(row.system)):
            yield f"{' and '.join(modules)} makes no such metric"
    elif row.kind in _NAMES:
        there = _NAMES[row.kind](row.system)
        if not there & {row.name, *re.findall(r"[\w-]+", row.here)}:
            yield f"neither its name nor what it says is the name of a {row.kind} that there is"


def _proof_problems(row: Row) -> Iterator[str]:
    proofs = list(_PROOF.finditer(row.proof))
    if not proofs and row.kind != "later":
        yield f"{row.proof!r} is no proof: name a test, as tests/a/test_b.py::test_c"
    for proof in proofs:
        path = SOURCE_ROOT / proof["path"]
        if not path.is_file():
            yield f"its proof {proof['path']} is not there"
        elif proof["test"] and proof["test"] not in _functions(path):
            yield f"{proof['path']} has no {proof['test']}"
        elif path.suffix == ".py" and not proof["test"]:
            yield f"{proof['path']} is many tests: name the one that proves it"
        elif _is_proven_by_case(row, proof["path"]):
            names = {case.name for case in cases([path])}
            if FIRES.format(row.name) not in names:
                yield f"{proof['path']} has no case {FIRES.format(row.name)!r}"


def _is_proven_by_case(row: Row, path: str) -> bool:
    is_here = row.kind == "alert" and not row.is_another_way
    return is_here and path.startswith("config/prometheus/tests/")


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.name.startswith("test_")
    )


def _metric_problems(row: Row) -> Iterator[str]:
    facts = _FACTS.fullmatch(row.says)
    if facts is None:
        yield (
            f"{row.says!r} is not of the form `Histogram{{a,b}} buckets 1 2 5`, `Counter{{}}`;"
            f" where it can't be, `{ANOTHER_WAY}` says why"
        )
        return
    labels = tuple(label.strip() for label in facts["labels"].split(",") if label.strip())
    buckets = tuple(float(bound) for bound in (facts["buckets"] or "").split())
    modules = re.findall(r"[\w/]+\.py", row.here)
    named = [metric for metric in metrics_of(row.system) if metric.name == row.name]
    there = [
        metric
        for metric in named
        if not modules or any(metric.module.endswith(module) for module in modules)
    ]
    if not there:
        elsewhere = ", ".join(metric.module for metric in named) or "no module"
        yield f"{' and '.join(modules) or 'the floor'} makes no such metric; {elsewhere} does"
    elif not any(_is(metric, facts["type"], labels, buckets) for metric in there):
        yield f"it is {' or '.join(metric.facts for metric in there)}"


def _is(metric: Metric, kind: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> bool:
    return (
        metric.type == kind
        and sorted(metric.labels) == sorted(labels)
        and (kind != "Histogram" or metric.buckets == buckets)
    )


@cache
def metrics_of(system: str) -> tuple[Metric, ...]:
    """Return the metrics that the services of a system make, with the module that makes each."""
    folder = SOURCE_ROOT / "processors" / "tapeline" / "floor" / system
    found: list[Metric] = []
    for path in sorted(folder.glob("*metrics.py")):
        module = import_module(f"tapeline.floor.{system}.{path.stem}")
        makers = [name for name in vars(module) if re.fullmatch(r"make_(\w+_)?metrics", name)]
        for maker in makers:
            registry = CollectorRegistry()
            getattr(module, maker)(registry)
            place = f"floor/{system}/{path.name}"
            for collector in list(registry._collector_to_names):
                found += _described(collector, place)
    return tuple(found)


def _described(collector: Any, module: str) -> Iterator[Metric]:
    if isinstance(collector, MetricWrapperBase):
        kind = str(collector._type)
        suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
        bounds = getattr(collector, "_upper_bounds", ())
        yield Metric(
            module,
            collector._name + suffix,
            kind.title(),
            tuple(collector._labelnames),
            tuple(float(bound) for bound in bounds if bound != float("inf")),
        )
        return
    for family in collector.collect():
        suffix = "_total" if family.type == "counter" else ""
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        kind = "Gauge" if family.type in {"unknown", "untyped"} else family.type.title()
        yield Metric(module, family.name + suffix, kind, tuple(sorted(labels)), ())


def _alert_problems(row: Row) -> Iterator[str]:
    rule = _alerts().get(row.name)
    if rule is None:
        yield "there is no such alert, in Prometheus' rules or in Loki's"
    elif "slo" not in rule["labels"]:
        yield from fact_problems(row.system, row.says, row.here, rule)


@cache
def _alerts() -> Mapping[str, Mapping[str, Any]]:
    loki = sorted((SOURCE_ROOT / "config" / "loki" / "rules").rglob("*.yaml"))
    return {alert["alert"]: alert for alert in [*alerts(), *alerts(loki)]}


def _recording_problems(row: Row) -> Iterator[str]:
    folder = SOURCE_ROOT / "config" / "prometheus" / "rules"
    recorded = {rule.get("record") for path in folder.glob("*.yml") for rule in rules(path)}
    if row.name not in recorded:
        yield "no rule records it"
    path = SOURCE_ROOT / row.proof
    if path.suffix == ".yml" and path.is_file():
        asked = " ".join(query for case in cases([path]) for query in case.queries)
        if row.name not in re.findall(r"[\w:]+", asked):
            yield f"{row.proof} asks for no value of it"


def _slo_names(system: str) -> frozenset[str]:
    return frozenset(slo.name for slo in load_slos(SOURCE_ROOT).get(system, ()))


def _slo_problems(row: Row) -> Iterator[str]:
    names = _slo_names(row.system)
    if row.name not in names:
        yield f"config/slo/{row.system}.yaml has {', '.join(sorted(names)) or 'nothing'}"


@cache
def _dashboards() -> Mapping[str, frozenset[str]]:
    folder = SOURCE_ROOT / "config" / "grafana" / "dashboards"
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json")]
    return {
        document["uid"]: frozenset(
            panel["title"]
            for shown in document["panels"]
            for panel in (shown, *shown.get("panels", ()))
            if panel.get("type") != "row"
        )
        for document in documents
    }


def _dashboard_problems(row: Row) -> Iterator[str]:
    if row.name not in _dashboards():
        yield "no dashboard has this uid"


def _panel_problems(row: Row) -> Iterator[str]:
    uid, _, title = row.name.partition(" / ")
    if uid not in _dashboards():
        yield f"no dashboard has the uid {uid!r}; a panel is named `uid / title`"
    elif title not in _dashboards()[uid]:
        yield f"{uid} has no panel {title!r}"


def _query_names(system: str) -> frozenset[str]:
    path = SOURCE_ROOT / "config" / "loki" / "queries" / f"{system}.yaml"
    queries = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else []
    return frozenset(query["name"] for query in queries)


def _query_problems(row: Row) -> Iterator[str]:
    if row.name not in _query_names(row.system):
        yield f"config/loki/queries/{row.system}.yaml has no query of this name"


def _runbook_problems(row: Row) -> Iterator[str]:
    # A row may be about what all of them have.
    is_page = _PAGE_NAME.fullmatch(row.name) is not None
    if is_page and not (SOURCE_ROOT / "docs" / "runbooks" / f"{row.name}.md").is_file():
        yield f"docs/runbooks/{row.name}.md is not there"


@cache
def _receivers() -> frozenset[str]:
    path = SOURCE_ROOT / "config" / "alertmanager" / "alertmanager.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return frozenset(receiver["name"] for receiver in document["receivers"])


def _route_problems(row: Row) -> Iterator[str]:
    if row.name not in _receivers():
        yield f"no receiver has this name; there are {', '.join(sorted(_receivers()))}"


_CHECKS: Final = {
    "metric": _metric_problems,
    "alert": _alert_problems,
    "recording rule": _recording_problems,
    "slo": _slo_problems,
    "dashboard": _dashboard_problems,
    "panel": _panel_problems,
    "log query": _query_problems,
    "runbook": _runbook_problems,
    "route": _route_problems,
}

# What a row of another way may name instead; a panel's row, the dashboard that shows it.
_NAMES: Final[Mapping[str, Callable[[str], frozenset[str]]]] = {
    "alert": lambda _: frozenset(_alerts()),
    "slo": _slo_names,
    "dashboard": lambda _: frozenset(_dashboards()),
    "panel": lambda _: frozenset(
        name
        for uid, titles in _dashboards().items()
        for name in (uid, *(f"{uid} / {title}" for title in titles))
    ),
    "log query": _query_names,
    "route": lambda _: _receivers(),
}
