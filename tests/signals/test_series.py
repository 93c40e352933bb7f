"""Sums and histograms against plain ones of fractions and lists."""

import json
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.metric_table import BPS_BOUNDS
from tapeline.signals.points import Attributes, Exemplar, attributes_of
from tapeline.signals.series import Histogram, SeriesSet, Sum

COST = "trading.slippage.cost"
FEES = "trading.fees"
BPS = "trading.slippage_bps"
LATENCY = "trading.order.latency"
ACCOUNTS = tuple(attributes_of(account=account) for account in ("a", "b", "c"))
NUMBERS = st.one_of(
    st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=20),
    st.sampled_from([*BPS_BOUNDS, Decimal("1E-57"), Decimal("-1E+50"), Decimal("0.00")]),
)


class Sample(NamedTuple):
    """One addition, and the key of its event where it has a trace."""

    name: str
    attributes: Attributes
    value: Decimal
    event: int | None


SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from([COST, FEES, BPS, LATENCY]),
        st.sampled_from(ACCOUNTS),
        NUMBERS,
        st.none() | st.integers(0, 9),
    ),
    max_size=40,
)


def event(number: int) -> Exemplar:
    """Return the event of a number."""
    return Exemplar((number, 4), number, Decimal(-1), bytes([number + 1]) * 16, b"\x01" * 8)


def fill(series: SeriesSet, samples: list[Sample]) -> None:
    """Add samples, each through a series that is asked for anew."""
    for sample in samples:
        exemplar = None if sample.event is None else event(sample.event)
        add = series.observe if sample.name in (BPS, LATENCY) else series.add
        add(sample.name, sample.attributes, sample.value, exemplar)


def changed(total: Sum, histogram: Histogram) -> tuple[bool, bool]:
    """Return what is to be emitted."""
    return total.is_changed, histogram.is_changed


def bucket_of(value: Decimal, bounds: tuple[Decimal, ...]) -> int:
    """Return the bucket of a value by OTLP's words: (bound before, bound]."""
    return sum(value > bound for bound in bounds)


@given(SAMPLES)
def test_totals_are_those_of_fractions(samples: list[Sample]) -> None:
    """No digit is lost; a monotonic sum leaves negative amounts out and counts them."""
    series = SeriesSet()
    fill(series, samples)

    for name in (COST, FEES):
        for attributes, found in series.sums[name].items():
            amounts = [each.value for each in samples if each[:2] == (name, attributes)]
            expected = [value for value in amounts if name == FEES or value > 0]
            assert Fraction(found.total) == sum(map(Fraction, expected), Fraction(0))
    for name in (BPS, LATENCY):
        for attributes, histogram in series.histograms[name].items():
            values = [each.value for each in samples if each[:2] == (name, attributes)]
            assert Fraction(histogram.total) == sum(map(Fraction, values), Fraction(0))
            buckets = [bucket_of(value, histogram.bounds) for value in values]
            assert histogram.counts == [
                buckets.count(number) for number in range(len(histogram.bounds) + 1)
            ]
    assert series.faults.negative_count == sum(
        each.name == COST and each.value < 0 for each in samples
    )
    assert len(series) == len({each[:2] for each in samples})


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_additions_decides_nothing(samples: list[Sample], random: Random) -> None:
    """The same dump, whatever came first."""
    shuffled = list(samples)
    random.shuffle(shuffled)
    first, second = SeriesSet(), SeriesSet()
    fill(first, samples)
    fill(second, shuffled)

    assert first.dump() == second.dump()


@given(SAMPLES)
def test_the_latest_event_is_shown(samples: list[Sample]) -> None:
    """Of each sum and each bucket, by its key; of equal keys the one that came last."""
    series = SeriesSet()
    fill(series, samples)

    expected: dict[tuple[object, ...], tuple[int, Decimal]] = {}
    for name, attributes, value, number in samples:
        is_histogram = name in (BPS, LATENCY)
        taken = is_histogram or value > 0 or (name == FEES and value != 0)
        if number is None or not taken:
            continue
        bounds = series.histograms[name][attributes].bounds if is_histogram else ()
        place = (name, attributes, bucket_of(value, bounds))
        if place not in expected or expected[place][0] <= number:
            expected[place] = (number, value)
    found = {
        (name, attributes, bucket): (shown[1].time_ns, shown[0])
        for name, of_metric in series.histograms.items()
        for attributes, histogram in of_metric.items()
        for bucket, shown in histogram.exemplars.items()
    }
    for name, sums in series.sums.items():
        for attributes, each in sums.items():
            if each.exemplar is not None:
                found[name, attributes, 0] = (each.exemplar[1].time_ns, each.exemplar[0])
    assert found == expected


@given(SAMPLES, SAMPLES)
def test_a_set_goes_on_from_its_dump(before: list[Sample], after: list[Sample]) -> None:
    """Through JSON, to the same totals as without a stop."""
    whole, first, second = SeriesSet(), SeriesSet(), SeriesSet()
    fill(whole, before + after)
    fill(first, before)
    second.restore(json.loads(json.dumps(first.dump())))
    assert second.dump() == first.dump()
    fill(second, after)

    assert second.dump() == whole.dump()
    assert len(second) == len(whole)


def test_what_was_emitted_is_no_longer_changed() -> None:
    """A series is changed when it is new, and by what it takes; not by an amount of 0."""
    series = SeriesSet()
    total = series.sum(COST, ACCOUNTS[0])
    histogram = series.histogram(BPS, ACCOUNTS[0])
    assert changed(total, histogram) == (True, True)
    total.add(Decimal(1), event(1))
    histogram.observe(Decimal(1), event(1))
    total.settle()
    histogram.settle()
    assert changed(total, histogram) == (False, False)
    assert (total.exemplar, histogram.exemplars) == (None, {})

    for amount in ("0.00", "-5"):
        total.add(Decimal(amount), event(2))
    histogram.observe(Decimal(0), event(0))
    assert changed(total, histogram) == (False, True)
    assert total.exemplar is None
    assert histogram.exemplars == {bucket_of(Decimal(0), BPS_BOUNDS): (Decimal(0), event(0))}


def test_a_series_without_room_takes_nothing_and_is_counted() -> None:
    """Those that are there go on; the metric of a series without room plays no role."""
    series = SeriesSet(max_series=2)
    kept = series.sum(COST, ACCOUNTS[0])
    series.observe(BPS, ACCOUNTS[0], Decimal(3))
    before = series.dump()

    for _ in range(2):
        series.add(COST, ACCOUNTS[1], Decimal(5), event(1))
        series.observe(LATENCY, ACCOUNTS[1], Decimal(5), event(1))
    assert series.faults.refused_count == 4
    assert series.dump() == before
    assert len(series) == 2

    series.add(COST, ACCOUNTS[0], Decimal(7))
    assert series.sum(COST, ACCOUNTS[0]) is kept
    assert kept.total == 7


def test_a_sum_is_no_histogram() -> None:
    """And a metric that is in no table is neither."""
    series = SeriesSet()
    for name in (BPS, "trading.pnl.net", "trading.other"):
        with pytest.raises(KeyError):
            series.sum(name, ACCOUNTS[0])
    with pytest.raises(KeyError):
        series.histogram(COST, ACCOUNTS[0])


def test_a_dump_of_other_metrics_is_refused() -> None:
    """Totals of other bounds can't go on; the set is empty then."""
    series = SeriesSet()
    series.add(COST, ACCOUNTS[0], Decimal(1))
    series.observe(BPS, ACCOUNTS[0], Decimal(1))
    dumped = series.dump()
    other_bounds = {**dumped, "bounds": {**dumped["bounds"], BPS: ["1", "2"]}}
    other_sum = {**dumped, "sums": [["trading.gone", ["trading.account", "a"], "1"]]}

    for plain, named in ((other_bounds, BPS), (other_sum, "trading.gone")):
        with pytest.raises(ValueError, match=named):
            series.restore(plain)
        assert len(series) == 0
        assert series.dump()["sums"] == []


def test_of_samples_of_one_event_the_last_is_shown() -> None:
    """A trade that is reversed and booked again leaves the later amount; an older event none."""
    series = SeriesSet()
    total, histogram = series.sum(COST, ACCOUNTS[0]), series.histogram(BPS, ACCOUNTS[0])
    for value, number in ((3, 5), (4, 5), (5, 2)):
        total.add(Decimal(value), event(number))
        histogram.observe(Decimal(value), event(number))

    assert total.exemplar == (Decimal(4), event(5))
    assert list(histogram.exemplars.values()) == [(Decimal(4), event(5))]
