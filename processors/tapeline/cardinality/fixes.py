"""The configuration that would fix a label with too many values, as YAML to paste.

What is suggested depends on what the values look like: ids with a known shape are rewritten, a
label that has another value in nearly every stream is taken out, and any other gets a limit. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tapeline.cardinality.config import OVERFLOW_ATTRIBUTE, LabelPolicy
from tapeline.cardinality.label_text import CUT_MARK
from tapeline.cardinality.normalise import Named, Normaliser

__all__ = ["Fix", "WideLabel", "fix_of"]

_LONGEST_NAME: Final = 256  # of metrics and labels in the configuration
_SHARE_OF_IDS: Final = 0.6
_SHARE_OF_STREAMS: Final = 0.8
"""A label with so many values a stream identifies the stream, rather than describes it."""
_MIN_LIMIT: Final = 10
_LIMIT_SHARE: Final = 20
"""A label gets a twentieth of its metric's series: room for its values beside other labels'."""
_GLOB_CHARACTERS: Final = re.compile(r"[*?\[]")
_NORMALISERS: Final = tuple((name, Normaliser([name])) for name in Named)
_ALL: Final = Normaliser(list(Named))


@dataclass(frozen=True, slots=True)
class WideLabel:
    """What is known of a label that has many values.

    `limit` is that of the metric's series; `has_rule` says that a rule gives it, not the default.
    """

    metric: str
    name: str
    distinct_values: int
    new_streams: int
    samples: Sequence[str]
    limit: int
    has_rule: bool = False


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do (`normalize`, `drop_label` or `replace_value`), why, and the YAML that does it."""

    kind: str
    why: str
    yaml: str


def fix_of(label: WideLabel) -> Fix | None:
    """Return what would bound a label; None where no configuration can name it.

    The YAML is a rule for this metric alone, with the limit that a rule gives it now. The first
    rule that matches counts, so it must stand before others, and take over what they say of the
    metric.
    """
    if not 0 < len(label.metric) <= _LONGEST_NAME or not 0 < len(label.name) <= _LONGEST_NAME:
        return None
    if label.name == OVERFLOW_ATTRIBUTE or label.name.endswith(CUT_MARK):
        return None
    if "\ufffd" in label.name + label.metric:
        return None
    shapes = _shapes(label.samples)
    if shapes:
        return Fix(
            "normalize",
            f"its values hold ids ({', '.join(shapes)}): rewrite them, and the rest remains",
            _rule(label, {"normalize": {label.name: list(shapes)}}),
        )
    if label.new_streams and label.distinct_values >= _SHARE_OF_STREAMS * label.new_streams:
        return Fix(
            LabelPolicy.DROP_LABEL.value,
            "nearly every stream has a value of its own: without the label they add up",
            _rule(label, _limited(label.name, 0, LabelPolicy.DROP_LABEL)),
        )
    limit = max(_MIN_LIMIT, label.limit // _LIMIT_SHARE)
    return Fix(
        LabelPolicy.REPLACE_VALUE.value,
        f"the first {limit} values keep their series, and all others share one",
        _rule(label, _limited(label.name, limit, LabelPolicy.REPLACE_VALUE)),
    )


def _shapes(samples: Sequence[str]) -> tuple[str, ...]:
    """Return the shapes of the ids that most samples hold; empty where most hold none.

    Every shape that applies to what earlier ones left is listed: a path may hold several.
    """
    rewritten = [text for text in samples if _ALL.rewrite(text) is not text]
    if not samples or len(rewritten) < _SHARE_OF_IDS * len(samples):
        return ()
    found = []
    for name, normaliser in _NORMALISERS:
        left = [normaliser.rewrite(text) for text in rewritten]
        if left != rewritten:
            found.append(name.value)
        rewritten = left
    return tuple(found)


def _limited(label: str, limit: int, policy: LabelPolicy) -> dict[str, Any]:
    return {"labels": {label: {"limit": limit, "policy": policy.value}}}


def _rule(label: WideLabel, rule: dict[str, Any]) -> str:
    name = _GLOB_CHARACTERS.sub(lambda match: f"[{match.group()}]", label.metric)
    limit = {"limit": label.limit} if label.has_rule else {}
    section = {"cardinality": {"metrics": [{"match": name, **limit, **rule}]}}
    return yaml.safe_dump(section, sort_keys=False, default_flow_style=None, width=90)
