"""Series that a selector takes, and such that it does not: the input of generated tests."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["ExampleError", "Matcher", "Selector", "labels_for", "parse_selector", "series_text"]

_SELECTOR: Final = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][\w:]*)?\s*(?:\{(?P<inner>.*)\})?\s*", re.DOTALL
)
_MATCHER: Final = re.compile(
    r'\s*(?P<label>\w+)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>"(?:[^"\\\n]|\\.)*")\s*,?'
)
_OTHER: Final = "other"
# What a part of a regular expression may stand for; the result is checked, so a guess may be wrong.
_GUESSES: Final = (
    (re.compile(r"\\d|\[0-9\]"), "5"),
    (re.compile(r"\[\^[^\]]*\]"), "x"),
    (re.compile(r"\[([^\]])[^\]]*\]"), r"\1"),
    (re.compile(r"(?<!\\)\.[*+]?"), "0"),
    (re.compile(r"[*+?^$]|\(\?:|\{\d+(?:,\d*)?\}"), ""),
    (re.compile(r"\(([^|()]*)(?:\|[^()]*)?\)"), r"\1"),
    (re.compile(r"\\(.)"), r"\1"),
)


class ExampleError(ValueError):
    """A selector that no example was found for; the message says what to write."""


@dataclass(frozen=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str

    def takes(self, given: str) -> bool:
        """Tell whether a value of the label passes; a label that is not there is empty."""
        if self.operator in {"=", "!="}:
            return (given == self.value) is (self.operator == "=")
        found = re.fullmatch(self.value, given) is not None
        return found is (self.operator == "=~")

    def candidates(self) -> Iterator[str]:
        """Yield values of the label that may pass, or fail, this condition."""
        if self.operator in {"=", "!="}:
            yield self.value
        else:
            text = self.value.partition("|")[0] if "(" not in self.value else self.value
            for pattern, replacement in _GUESSES:
                text = pattern.sub(replacement, text)
            yield text
            yield f"{text}1"
        yield from (_OTHER, "", "0", "200", "500")


@dataclass(frozen=True)
class Selector:
    """A metric's name and conditions on its labels."""

    name: str
    matchers: tuple[Matcher, ...]


def parse_selector(text: str) -> Selector:
    """Return the parts of `name{label="value"}`; raises ExampleError where it is none."""
    whole = _SELECTOR.fullmatch(text)
    if whole is None or not whole["name"]:
        raise ExampleError(f"not a selector: {text}")
    inner = whole["inner"] or ""
    matchers = []
    position = 0
    for match in _MATCHER.finditer(inner):
        if match.start() != position:
            break
        position = match.end()
        matchers.append(Matcher(match["label"], match["operator"], json.loads(match["value"])))
    if inner[position:].strip():
        raise ExampleError(f"not a selector: {text}")
    return Selector(whole["name"], tuple(matchers))


def labels_for(taken: Sequence[Matcher], *, refused: Sequence[Matcher] = ()) -> Mapping[str, str]:
    """Return labels that every one of `taken` takes, and at least one of `refused` does not.

    Raises ExampleError where none were found.
    """
    chosen = {
        label: _value([matcher for matcher in taken if matcher.label == label])
        for label in sorted({matcher.label for matcher in taken})
    }
    if not refused:
        return _present(chosen)
    for matcher in refused:
        own = [other for other in taken if other.label == matcher.label]
        for value in [*matcher.candidates(), *(c for other in own for c in other.candidates())]:
            if not matcher.takes(value) and all(other.takes(value) for other in own):
                return _present({**chosen, matcher.label: value})
    raise ExampleError(
        f"no series is found that is counted and not {', '.join(map(str, refused))}: errors (or"
        " good ones) must be a part of the total"
    )


def _value(matchers: Sequence[Matcher]) -> str:
    for matcher in matchers:
        for value in matcher.candidates():
            if all(other.takes(value) for other in matchers):
                return value
    wanted = " and ".join(f"{m.label}{m.operator}{m.value!r}" for m in matchers)
    raise ExampleError(f"no value is found for {wanted}: name the values, as a|b, one of which is")


def _present(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def series_text(name: str, labels: Mapping[str, str]) -> str:
    """Return a series as promtool reads it."""
    inner = ",".join(f"{label}={json.dumps(value)}" for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"
