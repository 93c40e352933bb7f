"""Runs one declarative test, and says what was not as expected, in lines for a person."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from tapeline.pipeline.loader import ConfigError
from tapeline.recording.difference_text import title, value_text
from tapeline.recording.records import Value
from tapeline.testing.audit import Audit, audit_of
from tapeline.testing.case_file import Case, ReadFile
from tapeline.testing.given import BadRecordError, batch_of
from tapeline.testing.inputs import UnusableRecordingError, batches_of
from tapeline.testing.matching import Mismatch, mismatches
from tapeline.testing.outcome import Outcome
from tapeline.testing.pairing import pair_up
from tapeline.testing.session import GateSession, WaitTooLongError
from tapeline.testing.views import place_view, series_view, whole_view

__all__ = ["CaseResult", "run_case"]

_MAX_UNEXPECTED: Final = 10
_METRIC: Final = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="[^"]*",?)*)\})?', re.ASCII)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"', re.ASCII)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a test: what failed, or what kept it from being run; neither is a pass."""

    file: str
    place: str
    name: str
    seconds: float
    failures: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """Something that came out: how it is matched, and how it is shown."""

    view: dict[str, Value]
    text: str


def run_case(read: ReadFile, number: int) -> CaseResult:
    """Run the test of this number; raises nothing but what is a mistake of this program."""
    case = read.content.tests[number]
    begin = perf_counter()
    failures: list[str] = []
    problems: list[str] = []
    try:
        outcome = _outcome(read, number, case)
        failures = list(_failures(read, ("tests", number, "expect"), case, outcome))
    except ConfigError as error:
        problems = error.problems
    except UnusableRecordingError as error:
        problems = [str(error)]
    place = read.place("tests", number)
    seconds = perf_counter() - begin
    return CaseResult(str(read.path), place, case.name, seconds, tuple(failures), tuple(problems))


def _outcome(read: ReadFile, number: int, case: Case) -> Outcome:
    content = read.content
    session = GateSession(
        read.config,
        {**os.environ, **content.environment},
        content.start,
        read.path.parent,
    )
    for position, item in enumerate(case.given):
        keys = ("tests", number, "given", position)
        if item.wait is not None:
            try:
                session.advance(item.wait)
            except WaitTooLongError as error:
                raise ConfigError([f"{read.place(*keys, 'wait')}: {error}"]) from error
        elif item.recording is not None:
            session.feed(batches_of(item.recording, read.path.parent))
        else:
            record = item.model_dump(include=item.model_fields_set)
            try:
                batch = batch_of(record, content.start, content.resource)
            except BadRecordError as error:
                raise ConfigError([f"{read.place(*keys, *error.path)}: {error}"]) from error
            session.feed([batch])
    session.close()
    audit = audit_of(session.registry)
    return Outcome(session.outputs, session.derived, session.refused, audit)


def _failures(
    read: ReadFile, keys: tuple[str | int, ...], case: Case, outcome: Outcome
) -> Iterator[str]:
    expect = case.expect
    found = {
        "logs": [_Found(whole_view(record), title(record)) for record in outcome.logs],
        "spans": [_Found(whole_view(record), title(record)) for record in outcome.spans],
        "metrics": [
            _Found(
                place_view(series.resource, series.scope) | series_view(series),
                f"{series.name} {value_text(series.attributes)} = {value_text(series.value)}",
            )
            for series in outcome.series()
        ],
    }
    for section, items in found.items():
        yield from _unmatched(
            read, (*keys, section), section, getattr(expect, section), items,
            others_allowed=expect.others == "allowed",
        )  # fmt: skip
    for counted, wanted in expect.counts.items():
        place = read.place(*keys, "counts", counted)
        yield from _differing(place, f"number of {counted}", wanted, len(found[counted]))
    for metric, wanted in expect.audit.items():
        yield from _audited(read.place(*keys, "audit", metric), metric, wanted, outcome.audit)
    yield from _refused(read.place(*keys, "refused"), expect.refused, outcome)
    if expect.no_secret is not False:
        secrets = [] if expect.no_secret is True else expect.no_secret
        try:
            outcome.assert_no_secret(*secrets)
        except (AssertionError, ValueError) as error:
            yield f"{read.place(*keys, 'no_secret')}: {error}"


def _unmatched(
    read: ReadFile,
    keys: tuple[str | int, ...],
    section: str,
    wanted: Sequence[dict[str, Any]],
    found: Sequence[_Found],
    *,
    others_allowed: bool,
) -> Iterator[str]:
    """Say which expectation has no record of its own, and which record no expectation."""
    differences = [[mismatches(one, item.view) for item in found] for one in wanted]
    pairs = pair_up([[not several for several in row] for row in differences])
    taken = set(pairs.values())
    noun = section.removesuffix("s")
    for position, row in enumerate(differences):
        if position in pairs:
            continue
        place = read.place(*keys, position)
        free = [number for number in range(len(found)) if number not in taken]
        if not free:
            why = "all that came out are matched by others" if found else f"no {noun} came out"
            yield f"{place}: no {noun} is as expected: {why}"
            continue
        nearest = min(free, key=lambda number: (len(row[number]), number))
        lines = "".join(map(_mismatch_lines, row[nearest]))
        yield f"{place}: no {noun} is as expected; the nearest is {found[nearest].text}{lines}"
    if others_allowed:
        return
    unexpected = [item for number, item in enumerate(found) if number not in taken]
    for item in unexpected[:_MAX_UNEXPECTED]:
        yield f"{read.place(*keys)}: a {noun} that is not expected: {item.text}"
    if len(unexpected) > _MAX_UNEXPECTED:
        rest = len(unexpected) - _MAX_UNEXPECTED
        yield f"{read.place(*keys)}: and {rest} more; others: allowed lets them be"


def _mismatch_lines(mismatch: Mismatch) -> str:
    return (
        f"\n    {mismatch.path}\n      - expected {mismatch.expected}\n      + is {mismatch.actual}"
    )


def _differing(place: str, what: str, wanted: Any, actual: float) -> Iterator[str]:
    for mismatch in mismatches(wanted, actual):
        yield f"{place}: {what}: expected {mismatch.expected}, is {value_text(actual)}"


def _audited(place: str, metric: str, wanted: Any, audit: Audit) -> Iterator[str]:
    match = _METRIC.fullmatch(metric)
    if match is None:
        yield f'{place}: not a metric: write name or name{{label="value"}}'
        return
    try:
        total = audit.total(match[1], **dict(_LABEL.findall(match[2] or "")))
    except KeyError as error:
        yield f"{place}: {error.args[0]}"
        return
    whole = int(total) if total.is_integer() else total
    yield from _differing(place, metric, wanted, whole)


def _refused(place: str, wanted: Sequence[str], outcome: Outcome) -> Iterator[str]:
    fits = [[part in one.reason for one in outcome.refused] for part in wanted]
    pairs = pair_up(fits)
    for position, part in enumerate(wanted):
        if position not in pairs:
            yield f"{place}: no batch was refused for {part!r}"
    taken = set(pairs.values())
    for number, one in enumerate(outcome.refused):
        if number not in taken:
            yield f"{place}: batch {one.number} was refused: {one.reason}"
