"""The bench of the signals' series measures what it says."""

from bench.signals_series import gauges_of, histograms_of, measure

from tapeline.signals.series import SeriesSet


def test_every_gauge_of_every_position_is_another_series_that_changes() -> None:
    """Or an emission would leave some out."""
    first, second = gauges_of(20, 0), gauges_of(20, 1)

    assert len({point[:2] for point in first}) == 120
    assert [point[:2] for point in first] == [point[:2] for point in second]
    assert all(one.value != other.value for one, other in zip(first, second, strict=True))
    series = SeriesSet()
    histograms_of(series, 40)
    assert len(series) == 40


def test_it_gives_every_figure() -> None:
    """Of few positions here."""
    found = measure(20)

    assert set(found) == {
        "add_ns",
        "observe_ns",
        "positions",
        "gauges",
        "histograms",
        "histograms_with_exemplars",
    }
    assert all(found[name] > 0 for name in ("add_ns", "observe_ns"))
