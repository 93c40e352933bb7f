"""Joins the metrics of several workers into one exposition, each with its `worker` label.

Prometheus' text format (version 0.0.4) wants all samples of a family together, under one HELP and
one TYPE line. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["merge_expositions"]

_SAMPLE: Final[re.Pattern[str]] = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?(.*)", re.DOTALL)
_COMMENT: Final[re.Pattern[str]] = re.compile(r"# (?:HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)")


@dataclass(slots=True)
class _Family:
    comments: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)


def merge_expositions(of_workers: Mapping[str, str]) -> str:
    """Return one exposition of all workers' samples, labelled `worker="name"`.

    Each text must have HELP and TYPE lines in front of each family's samples, as prometheus_client
    writes them. A line that is no sample is left out.
    """
    families: dict[str, _Family] = {}
    for worker, text in of_workers.items():
        _collect(text, f'worker="{worker}"', families)
    lines = [line for family in families.values() for line in (*family.comments, *family.samples)]
    return "".join(f"{line}\n" for line in lines)


def _collect(text: str, label: str, families: dict[str, _Family]) -> None:
    family = _Family()
    for line in text.split("\n"):
        comment = _COMMENT.match(line)
        if comment is not None:
            family = families.setdefault(comment.group(1), _Family())
            if line not in family.comments:
                family.comments.append(line)
            continue
        sample = _SAMPLE.fullmatch(line)
        if sample is not None:
            family.samples.append(_labelled(sample, label))


def _labelled(sample: re.Match[str], label: str) -> str:
    name, brace, rest = sample.groups()
    if brace is None:
        return f"{name}{{{label}}}{rest}"
    separator = "" if rest.startswith("}") else ","
    return f"{name}{{{label}{separator}{rest}"
