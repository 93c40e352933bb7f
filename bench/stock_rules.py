"""The gate's default rules in the form that the stock `redaction` processor takes: one a rule.

A rule of a shape is its own pattern, since Go's regular expressions are RE2's too. A rule of names
becomes the nearest that a pattern of values can say: one of the names, `=` or `:`, and a value.
Entropy, required words, check digits, stop words and the reading of encodings have no counterpart.
"""

import re
from typing import Final

from tapeline.redaction.pack import Pack, load_pack
from tapeline.redaction.rule import NameRule

__all__ = ["STOCK_KEYS", "stock_values"]

STOCK_KEYS: Final = (
    r"(?i)(?:password|passwd|secret|token|api[._-]?key|authorization|cookie|credential)",
)
"""The one pattern of keys: it hides whole attributes, as the gate's names do."""

_MARK_AND_VALUE: Final = r"""["']?\s*[=:]\s*["']?[^\s"',;&]+"""


def stock_values(pack: Pack | None = None) -> tuple[str, ...]:
    """Return a `blocked_values` pattern for each rule in force, by default of the built-in pack."""
    pack = pack or load_pack()
    by_shape = [rule.pattern for rule in pack.value_rules]
    return (*by_shape, *(_names(rule) for rule in pack.name_rules))


def _names(rule: NameRule) -> str:
    spelled = [r"[._ -]?".join(map(re.escape, name.split())) for name in rule.names]
    if rule.vendors:
        vendors = "|".join(r"[._ -]?".join(map(re.escape, each.split())) for each in rule.vendors)
        spelled.append(rf"(?:{vendors})[._ -]?(?:api[._ -]?)?(?:key|secret|token|password)")
    return rf"(?i)\b(?:{'|'.join(spelled)}){_MARK_AND_VALUE}"
