"""Admitted values of a label: exact, sticky, forgotten when idle."""

from hypothesis import given
from hypothesis import strategies as st

from tapeline.cardinality.label_values import KEPT_GENERATIONS, LabelValues, ValueBudget

STEPS = st.lists(
    st.tuples(st.sampled_from(["admit", "touch", "forget"]), st.integers(0, 6), st.integers(0, 2)),
    max_size=60,
)


@given(STEPS, st.integers(0, 4), st.integers(0, 5))
def test_values_are_as_a_plain_list_of_sights_says(
    steps: list[tuple[str, int, int]], limit: int, room: int
) -> None:
    """Every answer is that of a model which remembers every sight."""
    budget = ValueBudget(room)
    values = LabelValues(limit, budget)
    model: dict[bytes, int] = {}
    generation = 0
    for step, number, passed in steps:
        generation += passed
        value = b"v%d" % number * 20
        if step != "forget" and passed:
            model = {key: seen for key, seen in model.items() if generation - seen <= 4}
        if step == "admit":
            expected = value in model or len(model) < min(limit, room)
            if expected:
                model[value] = generation
            assert values.admit(value, generation) is expected
        elif step == "touch":
            values.touch(value, generation)
            if value in model:
                model[value] = generation
        else:
            values.forget(value)
            model.pop(value, None)
        if step == "forget":
            values.rotate(generation)
            model = {key: seen for key, seen in model.items() if generation - seen <= 4}

        assert len(values) == len(model)
        assert all(map(values.holds, model))
        assert budget.free == room - len(model)


def test_an_admitted_value_stays_while_it_is_seen() -> None:
    """Others find no room, however long it takes."""
    values = LabelValues(1, ValueBudget(10))

    for generation in range(20):
        assert values.admit(b"a", generation)
        assert not values.admit(b"b", generation)


def test_an_idle_value_makes_room() -> None:
    """It goes after four whole generations without a sight, not before."""
    budget = ValueBudget(10)
    values = LabelValues(1, budget)
    values.admit(b"a", 5)

    assert not values.admit(b"b", 5 + KEPT_GENERATIONS)
    assert values.admit(b"b", 6 + KEPT_GENERATIONS)
    assert budget.evicted == 1


def test_a_clock_that_goes_back_evicts_nothing() -> None:
    """A value seen in a later generation counts as seen now."""
    values = LabelValues(2, ValueBudget(10))
    values.admit(b"a", 9)
    values.admit(b"b", 1)

    values.rotate(9 + KEPT_GENERATIONS)

    assert values.holds(b"a")
    assert values.holds(b"b")


def test_labels_share_what_room_there_is() -> None:
    """Beyond the budget no label has room; a value that goes gives its place to any."""
    budget = ValueBudget(1)
    first, second = LabelValues(5, budget), LabelValues(5, budget)
    first.admit(b"a", 1)

    assert not second.admit(b"b", 1)
    first.forget(b"a")
    assert second.admit(b"b", 1)


def test_a_long_value_takes_no_more_than_a_short_one() -> None:
    """What is kept of a value is bounded, and tells it from others still."""
    values = LabelValues(2, ValueBudget(10))
    long, other = b"a" * 100_000 + b"1", b"a" * 100_000 + b"2"

    assert values.admit(long, 1)
    assert values.holds(long)
    assert not values.holds(other)
    assert max(map(len, values.dump()[0])) < 50


def test_a_dump_restores_values_and_their_age() -> None:
    """What was idle before goes when its time has come; what has no room is left out."""
    values = LabelValues(3, ValueBudget(10))
    for number, value in enumerate([b"a", b"b" * 99, b"c"]):
        values.admit(value, number)
    again, less = LabelValues(3, ValueBudget(10)), LabelValues(3, ValueBudget(1))
    again.load(*values.dump())
    less.load(*values.dump())

    assert again.dump() == values.dump()
    assert again.holds(b"b" * 99)
    assert len(less) == 1
    again.rotate(6)
    assert [again.holds(value) for value in (b"a", b"b" * 99, b"c")] == [False, False, True]
