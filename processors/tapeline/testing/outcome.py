"""What came of a recording: outputs, derived telemetry, counters, and questions about them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Any

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.comparison import Difference, compare_records
from tapeline.recording.difference_text import describe
from tapeline.recording.ignoring import Ignored, ignoring
from tapeline.recording.records import Record, records_of
from tapeline.testing.audit import Audit
from tapeline.testing.golden_files import GoldenFolder
from tapeline.testing.golden_text import sections_of, write_text
from tapeline.testing.leaks import given_secrets_in, secrets_by_rules_in
from tapeline.testing.matching import check_expectation, mismatches
from tapeline.testing.series import Series, series_of
from tapeline.testing.session import Refused
from tapeline.testing.views import whole_view

__all__ = ["GoldenOptions", "Outcome", "Where", "golden_of"]

Where = Callable[[Record], bool] | Mapping[str, Any] | None
"""Which records: a function that says so, what they must say (see `matching`), or all."""


class Outcome:
    """The result of a session.

    `outputs` are the batches that came out, in order; `derived` those that processors made
    besides; `refused` what the chain would not take; `audit` what processors counted.
    """

    def __init__(
        self,
        outputs: Sequence[Batch],
        derived: Sequence[Batch],
        refused: Sequence[Refused],
        audit: Audit,
        goldens: GoldenFolder | None = None,
    ) -> None:
        self.outputs = tuple(outputs)
        self.derived = tuple(derived)
        self.refused = tuple(refused)
        self.audit = audit
        self._goldens = goldens

    def __repr__(self) -> str:
        logs, spans, points = len(self.logs), len(self.spans), len(self.metrics)
        refused = f", {len(self.refused)} batches refused" if self.refused else ""
        return f"<Outcome: {logs} logs, {spans} spans, {points} points{refused}>"

    @cached_property
    def all_records(self) -> tuple[Record, ...]:
        """Every record that came out, derived ones last."""
        return tuple(record for batch in self.batches for record in records_of(batch))

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Everything that came out, derived batches last."""
        return self.outputs + self.derived

    @property
    def logs(self) -> list[Record]:
        """The log records."""
        return self.records(signal="logs")

    @property
    def spans(self) -> list[Record]:
        """The spans."""
        return self.records(signal="traces")

    @property
    def metrics(self) -> list[Record]:
        """The data points of all metrics."""
        return self.records(signal="metrics")

    def records(self, where: Where = None, signal: str | None = None) -> list[Record]:
        """Return the records of a signal (logs, traces, metrics; None: of all) that are so."""
        wanted = None if signal is None else Signal(signal)
        holds = _condition(where)
        return [
            record
            for record in self.all_records
            if (wanted is None or record.signal is wanted) and holds(record)
        ]

    def series(
        self, name: str | None = None, where: Where = None, *, ended: bool = False
    ) -> list[Series]:
        """Return the series of the metrics, or of one, each with what its points make.

        Those that have ended (`Series.has_ended`) are left out unless `ended`.
        """
        found = series_of(self.records(where, "metrics"))
        return [
            series
            for series in found
            if (name is None or series.name == name) and (ended or not series.has_ended)
        ]

    def sums(self, where: Where = None) -> dict[str, int | float]:
        """Return the total of each metric that is a sum, over all its series."""
        values: defaultdict[str, list[int | float]] = defaultdict(list)
        for series in self.series(where=where):
            if series.type == "sum" and series.value is not None:
                values[series.name].append(series.value)
        return {name: _total(found) for name, found in sorted(values.items())}

    def assert_no_secret(self, *secrets: str | bytes) -> None:
        """Fail where one of these stands in what came out, in any usual spelling.

        Without any, fail where the built-in rules of the redaction still find something. The
        message never has the secret.
        """
        __tracebackhide__ = True
        if secrets:
            leaks = given_secrets_in(self.batches, secrets)
        else:
            leaks = secrets_by_rules_in(self.batches)
        if leaks:
            lines = "\n".join(f"  {leak.text}" for leak in leaks[:20])
            raise AssertionError(f"{len(leaks)} places hold a secret:\n{lines}")

    def assert_golden(  # noqa: PLR0913 - what a golden shows is named where it is asserted.
        self,
        name: str,
        *,
        ignore: Sequence[str] = (),
        ignore_fields: Sequence[str] = (),
        exemplars: bool = False,
        starts: bool = False,
        every_point: bool = False,
        ended: bool = False,
        audit: Sequence[str] = (),
    ) -> None:
        """Fail where the golden of this name says something else; see GoldenOptions.

        `pytest --tapeline-update` writes it.
        """
        __tracebackhide__ = True
        if self._goldens is None:
            raise RuntimeError(
                "goldens need the fixtures of pytest: tapeline_replay and the others"
            )
        options = GoldenOptions(ignore, ignore_fields, exemplars, starts, every_point, ended, audit)
        self._goldens.check(name, golden_of(self, options))

    def difference(
        self,
        other: "Outcome | Iterable[Batch]",
        ignore: Iterable[str] = (),
        ignore_fields: Iterable[str] = (),
    ) -> Difference:
        """Compare with another outcome, or with batches.

        `ignore` names groups of fields (times, ids), `ignore_fields` paths: see `tapeline diff`.
        """
        batches = other.batches if isinstance(other, Outcome) else other
        ignored = ignoring(ignore, ignore_fields)
        return compare_records(_records(self.batches, ignored), _records(batches, ignored))

    def assert_same_as(
        self,
        other: "Outcome | Iterable[Batch]",
        ignore: Iterable[str] = (),
        ignore_fields: Iterable[str] = (),
    ) -> None:
        """Fail where the other says something else; what is ignored is as in `difference`."""
        __tracebackhide__ = True
        difference = self.difference(other, ignore, ignore_fields)
        if not difference.is_same:
            lines = "\n".join(line.text for line in describe(difference))
            raise AssertionError(f"the two say different things:\n{lines}")


@dataclass(frozen=True, slots=True)
class GoldenOptions:
    """What a golden shows.

    `ignore` names groups of fields (times, ids and so on) and `ignore_fields` paths
    (`attributes.host.name`) that are left out. `every_point` shows each point of a series instead
    of what they make; `starts` shows since when they count, which for derived series is when the
    processor first met them, and so depends on the batches. `ended` shows series that have ended:
    whether a derived one was there for a while depends on the batches, too. `audit` are patterns of
    the names of what processors counted.
    """

    ignore: Sequence[str] = ()
    ignore_fields: Sequence[str] = ()
    exemplars: bool = False
    starts: bool = False
    every_point: bool = False
    ended: bool = False
    audit: Sequence[str] = ()


def golden_of(outcome: Outcome, options: GoldenOptions) -> str:
    """Return an outcome as the text of a golden."""
    ignored = ignoring(options.ignore, options.ignore_fields)

    def sections(batches: Iterable[Batch]) -> dict[str, Any]:
        return sections_of(
            _records(batches, ignored),
            exemplars=options.exemplars,
            starts=options.starts,
            every_point=options.every_point,
            ended=options.ended,
        )

    shown = sections(outcome.outputs)
    if derived := sections(outcome.derived):
        shown["derived"] = derived
    if outcome.refused:
        shown["refused"] = [one.reason for one in outcome.refused]
    counted = [one for pattern in options.audit for one in outcome.audit.matching(pattern)]
    if counted:
        numbers = {one.text: one.value for one in counted}
        shown["audit"] = {name: _whole(numbers[name]) for name in sorted(numbers)}
    return write_text(shown)


def _records(batches: Iterable[Batch], ignored: Ignored) -> Iterable[Record]:
    for batch in batches:
        yield from records_of(batch, ignored)


def _condition(where: Where) -> Callable[[Record], bool]:
    if where is None:
        return lambda _: True
    if isinstance(where, Mapping):
        check_expectation(where)
        return lambda record: not mismatches(where, whole_view(record))
    return where


def _total(values: Sequence[int | float]) -> int | float:
    return sum(values) if all(type(value) is int for value in values) else fsum(values)


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() else value
