"""Compares what a row of a coverage table says of an alert with the alert's rule.

Of the document's words these are compared: `for 5m`, the severity, and each comparison with a
number (`> 0.1`). Where the document has no duration and the rule has one, the row must name it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["fact_problems"]

SEVERITIES: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "veloz": {
        "critical": ("critical", "P1"),
        "high": ("warning", "P2"),
        "medium": ("warning", "P3"),
        "warning": ("warning", "P2"),
        "info": ("info", "P3"),
    },
    "py_rt": {"P0": ("critical", "P0"), "P1": ("warning", "P2"), "P2": ("info", "P4")},
    "b25": {
        "critical": ("critical", "P1"),
        "warning": ("warning", "P3"),
        "info": ("info", "P4"),
    },
    "ktrdr": {},
}
"""What each document calls an alert's severity: the severity and the priority here."""

_FOR: Final = re.compile(r"\bfor (\d+[smhd])\b")
_COMPARED: Final = re.compile(r"(==|!=|>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)(?![\w.])")
_QUOTED: Final = re.compile(r'"[^"]*"')


def fact_problems(system: str, says: str, here: str, rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the rule has otherwise than the document, as the row says it."""
    yield from _duration_problems(says, here, str(rule.get("for", "0s")))
    yield from _severity_problems(system, says, rule["labels"])
    compared = set(_COMPARED.findall(_QUOTED.sub("", rule["expr"])))
    for operator, number in _COMPARED.findall(_QUOTED.sub("", says)):
        if (operator, number) not in compared:
            yield f"the rule does not ask for {operator} {number}: {rule['expr']}"


def _duration_problems(says: str, here: str, waits: str) -> Iterator[str]:
    said = _FOR.findall(says)
    if said and waits not in said:
        yield f"the document says for {' and '.join(said)}, the rule for {waits}"
    if not said and waits != "0s" and waits not in _FOR.findall(here):
        yield f"the rule waits for {waits}, of which the document says nothing, nor does the row"


def _severity_problems(system: str, says: str, labels: Mapping[str, str]) -> Iterator[str]:
    known = SEVERITIES[system]
    if not known:
        return
    words = re.findall(rf"\b({'|'.join(known)})\b", _QUOTED.sub("", says))
    has = (labels["severity"], labels["priority"])
    if words and known[words[0]] != has:
        yield f"{words[0]} is {'/'.join(known[words[0]])} here, the rule has {'/'.join(has)}"
