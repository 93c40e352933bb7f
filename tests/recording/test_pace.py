"""When batches of a replay are due: by their own times, from one beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.recording.pace import Pace

SECOND = 1_000_000_000
TIMES = st.lists(st.integers(1, 2**62), min_size=1, max_size=50)


def test_a_batch_is_due_as_long_after_the_first_as_it_was_recorded() -> None:
    """Whatever waits took: nothing is added up."""
    pace = Pace(1.0)

    due = [pace.due_s(5 * SECOND + offset) for offset in (0, SECOND, SECOND + 1, 60 * SECOND)]

    assert due == [0.0, 1.0, 1.000000001, 60.0]


def test_speed_divides() -> None:
    """Ten times as fast is a tenth of the time."""
    pace = Pace(10.0)

    assert [pace.due_s(time * SECOND) for time in (100, 105, 160)] == [0.0, 0.5, 6.0]


def test_what_is_late_or_has_no_time_is_due_at_once() -> None:
    """Its time is over: the greatest one so far counts."""
    pace = Pace(1.0)

    assert [pace.due_s(time * SECOND) for time in (0, 10, 14, 11, 0, 15)] == [0, 0, 4, 4, 4, 5]


def test_a_further_pass_begins_when_the_last_one_ended() -> None:
    """Loops follow each other without a gap."""
    pace = Pace(2.0)
    pace.due_s(10 * SECOND)
    pace.due_s(14 * SECOND)

    pace.begin_pass()

    assert [pace.due_s(time * SECOND) for time in (10, 14)] == [2.0, 4.0]


@given(TIMES, st.floats(0.01, 1000))
def test_due_times_never_go_back_and_span_the_recording(times: list[int], speed: float) -> None:
    """Over any order of times."""
    pace = Pace(speed)

    due = [pace.due_s(time) for time in times]

    assert due == sorted(due)
    assert due[-1] == pytest.approx((max(times) - times[0]) / SECOND / speed)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_must_be_above_zero(speed: float) -> None:
    """Nothing would ever be due."""
    with pytest.raises(ValueError, match="above 0"):
        Pace(speed)
