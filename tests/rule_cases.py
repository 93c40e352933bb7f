"""The promtool cases of the committed rules, run so that they cost little.

promtool evaluates every rule of a file in every test of it. Here each alert's tests get a rule file
with that alert alone and the recording rules that it reads, and all of them go through one process.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from promtool import promtool_result
from tapeline.stack.binaries import SOURCE_ROOT

__all__ = [
    "RULES",
    "RULE_FILES",
    "TESTS",
    "TEST_FILES",
    "Change",
    "alerts",
    "cases",
    "failing",
    "rules",
]

RULES: Final = SOURCE_ROOT / "config" / "prometheus" / "rules"
TESTS: Final = SOURCE_ROOT / "config" / "prometheus" / "tests"
RULE_FILES: Final = sorted(RULES.glob("*.yml"))
TEST_FILES: Final = sorted(TESTS.glob("*.yml"))


class _Loader(yaml.CSafeLoader):
    """Reads `0x20` as the text that it is to Go: promtool expands it to zeros."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile(r"[-+]?\d+$") if tag.endswith(":int") else pattern)
        for tag, pattern in resolvers
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_FAILED: Final = re.compile(r"^ +name: (.*),$", re.MULTILINE)
_BATCH: Final = 400

Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What is done to each alert before it is tested."""


@dataclass(frozen=True)
class Case:
    """One entry of a test file, with the header of that file."""

    path: Path
    header: Mapping[str, Any]
    entry: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name: for an alert `<alert> fires`, or `<alert> is silent just below`."""
        return str(self.entry.get("name", ""))

    @property
    def alerts(self) -> frozenset[str]:
        """The alerts that it asks for."""
        return frozenset(each["alertname"] for each in self.entry.get("alert_rule_test", ()))

    @property
    def queries(self) -> Iterator[str]:
        """Yield the queries that it runs besides."""
        return (each["expr"] for each in self.entry.get("promql_expr_test", ()))

    @property
    def rule_files(self) -> list[Path]:
        """The rule files that it reads."""
        return [(self.path.parent / name).resolve() for name in self.header["rule_files"]]


def rules(path: Path) -> list[dict[str, Any]]:
    """Return every rule of a file."""
    document = _document(path)
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts(paths: Sequence[Path] = RULE_FILES) -> list[dict[str, Any]]:
    """Return every alert of some files."""
    return [rule for path in paths for rule in rules(path) if "alert" in rule]


def cases(paths: Sequence[Path] = TEST_FILES) -> list[Case]:
    """Return every entry of some test files."""
    found = []
    for path in paths:
        document = _document(path)
        header = {key: value for key, value in document.items() if key != "tests"}
        found += [Case(path, header, entry) for entry in document["tests"]]
    return found


def failing(some: Sequence[Case], folder: Path, change: Change = dict) -> tuple[set[str], str]:
    """Run cases with their alerts changed; return the names of those that fail, and what is told.

    `folder` is for the files that promtool reads.
    """
    documents = {path: _document(path) for case in some for path in case.rule_files}
    files = [
        _written(case, documents, folder / f"{number}.yml", change)
        for number, case in enumerate(some)
    ]
    names: set[str] = set()
    told = ""
    for start in range(0, len(files), _BATCH):
        code, output = promtool_result("test", "rules", *files[start : start + _BATCH])
        found = set(_FAILED.findall(output))
        assert (code != 0) == bool(found), output
        names |= found
        told += output
    return names, re.sub(r"\n{2,}", "\n", told)


@cache
def _document(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe one


def _written(case: Case, documents: Mapping[Path, Any], place: Path, change: Change) -> Path:
    groups = [group for path in case.rule_files for group in documents[path]["groups"]]
    needed = _needed(case, [rule for group in groups for rule in group["rules"]])
    slos = {
        _slo(rule)
        for group in groups
        for rule in group["rules"]
        if rule.get("alert") in case.alerts
    }
    kept = []
    for group in groups:
        rules = [
            change(rule) if "alert" in rule else rule
            for rule in group["rules"]
            if rule.get("alert") in case.alerts
            or (rule.get("record") in needed and _slo(rule) in slos | {None})
        ]
        if rules:
            kept.append({**group, "rules": rules})
    rule_file = place.with_suffix(".rules.yml")
    rule_file.write_text(_text({"groups": kept}), encoding="utf-8")
    header = {**case.header, "rule_files": [rule_file.name]}
    order = {group["name"] for group in kept}
    if "group_eval_order" in header:
        header["group_eval_order"] = [n for n in header["group_eval_order"] if n in order]
    place.write_text(_text({**header, "tests": [case.entry]}), encoding="utf-8")
    return place


def _slo(rule: Mapping[str, Any]) -> str | None:
    """Return the SLO that a rule was made of: all of them record series of the same names."""
    name: str | None = rule.get("labels", {}).get("slo")
    return name


def _needed(case: Case, all_rules: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the recorded series that a case's alerts and queries read, and those that these do."""
    asked = list(case.queries)
    asked += [rule["expr"] for rule in all_rules if rule.get("alert") in case.alerts]
    recorded: dict[str, list[str]] = {}
    for rule in all_rules:
        if "record" in rule:
            recorded.setdefault(rule["record"], []).append(rule["expr"])
    needed: set[str] = set()
    while asked:
        new = set(_METRIC.findall(asked.pop())) & recorded.keys() - needed
        needed |= new
        asked += [expression for name in new for expression in recorded[name]]
    return needed


def _text(document: Any) -> str:
    text: str = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000)
    return text
