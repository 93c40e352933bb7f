"""Sums and histograms that only ever add: exact totals, and the events behind their samples.

A series is asked for once and held by who adds to it: an addition looks nothing up. Totals are
decimals without rounding, so they do not depend on the order of what is added. Pure.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tapeline.signals.decimals import EXACT, ZERO
from tapeline.signals.metric_table import METRICS, Kind, Metric
from tapeline.signals.points import Attributes, Exemplar, pair_of

__all__ = ["DEFAULT_MAX_SERIES", "Faults", "Histogram", "SeriesSet", "Shown", "Sum"]

DEFAULT_MAX_SERIES: Final = 100_000
_EXACT_SUM: Final = EXACT.add

Shown = tuple[Decimal, Exemplar]
"""A sample and the event behind it, whose own `value` is not looked at."""


class Faults:
    """What was kept out of all series of a set."""

    __slots__ = ("negative_count", "refused_count")

    def __init__(self) -> None:
        self.negative_count = 0
        """Amounts below 0 for monotonic sums."""
        self.refused_count = 0
        """How often a series was asked for that found no room."""


class Sum:
    """A series of a sum.

    An amount of 0 changes nothing. A monotonic one takes no amount below 0: it is counted instead.
    """

    __slots__ = (
        "_event",
        "_faults",
        "_sample",
        "attributes",
        "is_changed",
        "is_monotonic",
        "total",
    )

    def __init__(self, attributes: Attributes, faults: Faults, *, is_monotonic: bool) -> None:
        self.attributes = attributes
        self.is_monotonic = is_monotonic
        self._faults = faults
        self.total = ZERO
        self.is_changed = True
        """Since it was last emitted; a new series is."""
        self._event: Exemplar | None = None
        self._sample = ZERO

    @property
    def exemplar(self) -> Shown | None:
        """The latest event, by its key, since it was last emitted."""
        return None if self._event is None else (self._sample, self._event)

    def add(self, amount: Decimal, exemplar: Exemplar | None = None) -> None:
        """Add an amount; one exemplar, or none, may serve for all samples of an event."""
        if amount > ZERO or (amount and not self.is_monotonic):
            self.total = _EXACT_SUM(self.total, amount)
            self.is_changed = True
            if exemplar is not None:
                held = self._event
                if held is None or held.key <= exemplar.key:
                    self._event = exemplar
                    self._sample = amount
        elif amount:
            self._faults.negative_count += 1

    def settle(self) -> None:
        """Count all that was added as emitted."""
        self.is_changed = False
        self._event = None


class Histogram:
    """A series of a histogram: each sample is in the first bucket whose bound it does not exceed.

    Source: OTLP's HistogramDataPoint, `explicit_bounds`.
    """

    __slots__ = ("attributes", "bounds", "counts", "exemplars", "is_changed", "total")

    def __init__(self, attributes: Attributes, bounds: tuple[Decimal, ...]) -> None:
        self.attributes = attributes
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = ZERO
        self.is_changed = True
        """Since it was last emitted; a new series is."""
        self.exemplars: dict[int, Shown] = {}
        """The latest event since then, by bucket."""

    def observe(self, value: Decimal, exemplar: Exemplar | None = None) -> None:
        """Add a sample; one exemplar, or none, may serve for all samples of an event."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.total = _EXACT_SUM(self.total, value)
        self.is_changed = True
        if exemplar is not None:
            held = self.exemplars.get(bucket)
            if held is None or held[1].key <= exemplar.key:
                self.exemplars[bucket] = (value, exemplar)

    def settle(self) -> None:
        """Count all that was observed as emitted."""
        self.is_changed = False
        if self.exemplars:
            self.exemplars = {}


class SeriesSet:
    """All sums and histograms, at most `max_series` of them.

    What is added to a series beyond those is lost; `faults` counts how often one was asked for.
    """

    def __init__(
        self, max_series: int = DEFAULT_MAX_SERIES, metrics: Mapping[str, Metric] = METRICS
    ) -> None:
        self._max_series = max_series
        self._metrics = metrics
        self._count = 0
        self.faults = Faults()
        self.sums: dict[str, dict[Attributes, Sum]] = {}
        """By metric and attributes, as they were made. `restore` puts others in their place."""
        self.histograms: dict[str, dict[Attributes, Histogram]] = {}
        self._lost_sum = Sum((), Faults(), is_monotonic=False)
        self._lost_histogram = Histogram((), ())
        self._clear()

    def __len__(self) -> int:
        """Return how many series there are."""
        return self._count

    def sum(self, name: str, attributes: Attributes) -> Sum:
        """Return the series of a sum; raises KeyError where the table has no sum of that name."""
        of_metric = self.sums[name]
        found = of_metric.get(attributes)
        if found is None:
            if not self._has_room():
                return self._lost_sum
            is_monotonic = self._metrics[name].kind is Kind.COUNTER
            found = of_metric[attributes] = Sum(attributes, self.faults, is_monotonic=is_monotonic)
        return found

    def sums_together(self, wanted: Sequence[tuple[str, Attributes]]) -> tuple[Sum, ...]:
        """Return sums that mean something together alone: there is room for all, or for none."""
        missing = sum(attributes not in self.sums[name] for name, attributes in wanted)
        if missing and self._count + missing > self._max_series:
            self.faults.refused_count += 1
            return (self._lost_sum,) * len(wanted)
        return tuple(self.sum(name, attributes) for name, attributes in wanted)

    def histogram(self, name: str, attributes: Attributes) -> Histogram:
        """Return the series of a histogram; raises KeyError where the table has none."""
        of_metric = self.histograms[name]
        found = of_metric.get(attributes)
        if found is None:
            if not self._has_room():
                return self._lost_histogram
            found = of_metric[attributes] = Histogram(attributes, self._metrics[name].bounds)
        return found

    def add(
        self, name: str, attributes: Attributes, amount: Decimal, exemplar: Exemplar | None = None
    ) -> None:
        """Add to a sum that is not held."""
        self.sum(name, attributes).add(amount, exemplar)

    def observe(
        self, name: str, attributes: Attributes, value: Decimal, exemplar: Exemplar | None = None
    ) -> None:
        """Add a sample to a histogram that is not held."""
        self.histogram(name, attributes).observe(value, exemplar)

    def dump(self) -> dict[str, Any]:
        """Return what `restore` takes, as plain values in the order of names and attributes.

        What depends on emissions or on who holds a series is not in it: exemplars, what has changed
        since, what found no room.
        """
        histograms = [
            [name, _flat(each.attributes), str(each.total), list(each.counts)]
            for name, each in _all(self.histograms)
        ]
        return {
            "sums": [
                [name, _flat(each.attributes), str(each.total)] for name, each in _all(self.sums)
            ],
            "histograms": histograms,
            "bounds": {
                name: list(map(str, self._metrics[name].bounds)) for name in self.histograms
            },
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Become what was dumped; series that were held before are no longer part of it.

        Raises ValueError, and is empty then, where it was dumped with metrics or bounds that are
        not those of now: such totals can't go on.
        """
        self._clear()
        self._check(plain)
        for name, flat, total in plain["sums"]:
            attributes = _paired(flat)
            is_monotonic = self._metrics[name].kind is Kind.COUNTER
            series = Sum(attributes, self.faults, is_monotonic=is_monotonic)
            series.total = Decimal(total)
            self.sums[name][attributes] = series
        for name, flat, total, counts in plain["histograms"]:
            attributes = _paired(flat)
            histogram = Histogram(attributes, self._metrics[name].bounds)
            histogram.counts[:] = counts
            histogram.total = Decimal(total)
            self.histograms[name][attributes] = histogram
        self._count = len(plain["sums"]) + len(plain["histograms"])

    def _check(self, plain: Mapping[str, Any]) -> None:
        unknown = {name for name, *_ in plain["sums"]} - self.sums.keys()
        unknown |= {name for name, *_ in plain["histograms"]} - self.histograms.keys()
        if unknown:
            raise ValueError(f"the kept series {sorted(unknown)} are of no metric of this version")
        bounds = plain["bounds"]
        for name in {name for name, *_ in plain["histograms"]}:
            if tuple(map(Decimal, bounds[name])) != self._metrics[name].bounds:
                raise ValueError(f"the kept histograms {name!r} have the bounds of another version")

    def _has_room(self) -> bool:
        if self._count >= self._max_series:
            self.faults.refused_count += 1
            return False
        self._count += 1
        return True

    def _clear(self) -> None:
        self._count = 0
        metrics = self._metrics.values()
        self.sums = {each.name: {} for each in metrics if each.kind in (Kind.COUNTER, Kind.SUM)}
        self.histograms = {each.name: {} for each in metrics if each.kind is Kind.HISTOGRAM}


def _all(by_name: Mapping[str, Mapping[Attributes, Any]]) -> Iterator[tuple[str, Any]]:
    for name in sorted(by_name):
        of_metric = by_name[name]
        for attributes in sorted(of_metric):
            yield name, of_metric[attributes]


def _flat(attributes: Attributes) -> list[str]:
    return [text for pair in attributes for text in pair]


def _paired(flat: list[str]) -> Attributes:
    return tuple(map(pair_of, flat[::2], flat[1::2]))
