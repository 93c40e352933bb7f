"""Samples that wait for their horizon."""

from decimal import Decimal
from random import Random

import pytest

from tapeline.signals.events import BUY, SELL
from tapeline.signals.horizons import Horizons, WaitingExecution


def execution(name: str, time_ns: int) -> WaitingExecution:
    """Return an execution of which only name and time matter."""
    return WaitingExecution(("a", "v", "X", name), time_ns, "v", "X", BUY, Decimal(1), None)


def taken(horizons: Horizons, watermark_ns: int, *, is_end: bool = False) -> list[tuple[str, int]]:
    """Return names and horizons of what is due."""
    samples = horizons.due(watermark_ns, is_end=is_end)
    return [(str(sample.execution.identity[3]), sample.horizon_ns) for sample in samples]


def test_each_horizon_is_due_once_when_the_watermark_has_passed_it() -> None:
    """Not at the horizon's own time, at which a quote may still come."""
    horizons = Horizons([10, 1])
    horizons.add(execution("e", 100))
    assert taken(horizons, 101) == []
    assert taken(horizons, 102) == [("e", 1)]
    assert taken(horizons, 110) == []
    assert taken(horizons, 500) == [("e", 10)]
    assert (taken(horizons, 900), len(horizons)) == ([], 0)


def test_beyond_the_end_of_data_there_is_no_sample() -> None:
    """At the end what is due then is taken, too, and nothing that is due later."""
    horizons = Horizons([1, 10, 11])
    horizons.add(execution("e", 100))
    assert taken(horizons, 110, is_end=True) == [("e", 1), ("e", 10)]


def test_order_of_samples_does_not_depend_on_arrival() -> None:
    """By time, then identity."""
    executions = [execution(f"e{number}", 100 + number % 3) for number in range(9)]
    results = []
    for seed in range(5):
        Random(seed).shuffle(executions)  # noqa: S311  # An order of arrival, no secret.
        horizons = Horizons([1, 2])
        for item in executions:
            assert horizons.add(item)
            assert horizons.add(item)
        results.append(taken(horizons, 1000))
    assert len(results[0]) == 18
    assert all(result == results[0] for result in results)


def test_a_bust_withdraws_what_is_still_to_come_and_a_correction_revises_it() -> None:
    """Samples that were taken stay; later ones follow what is known by then."""
    horizons = Horizons([1, 10])
    for name in ("busted", "corrected"):
        horizons.add(execution(name, 0))
    assert len(taken(horizons, 5)) == 2
    assert horizons.withdraw(("a", "v", "X", "busted"))
    assert horizons.revise(("a", "v", "X", "corrected"), SELL, Decimal(7))
    (sample,) = horizons.due(100)
    assert (sample.execution.side, sample.time_ns) == (SELL, 10)
    assert sample.execution.price == 7
    assert not horizons.withdraw(("a", "v", "X", "busted"))
    assert not horizons.revise(("a", "v", "X", "corrected"), SELL, Decimal(7))
    assert horizons.withdrawn_count == 1


def test_the_queue_is_bounded_also_when_all_is_withdrawn() -> None:
    """What doesn't fit is refused and counted by samples; what was withdrawn takes no room."""
    horizons = Horizons([1, 10], max_waiting=100)
    for number in range(1000):
        assert horizons.add(execution(f"{number}", number))
        horizons.withdraw(("a", "v", "X", f"{number}"))
    assert horizons.entry_count <= 65
    for number in range(101):
        horizons.add(execution(f"{number}", number))
    assert (len(horizons), horizons.refused_count) == (100, 2)


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    """Restored, the samples that are left are the same."""
    horizons = Horizons([1, 10])
    for number in range(5):
        horizons.add(execution(f"{number}", number))
    taken(horizons, 4)
    again = Horizons([1, 10])
    for item, horizon_ns in horizons.waiting():
        again.restore(item, horizon_ns)
    assert taken(again, 100) == taken(horizons, 100) != []


def test_a_horizon_of_nothing_is_refused() -> None:
    """The markout at once is the effective spread, and not asked for here."""
    with pytest.raises(ValueError, match="longer than 0"):
        Horizons([0])
