"""Admitted series: what counts, what is seen, and what goes."""

from tapeline.cardinality.admission import Admission, Group, Room


def _group(limit: int | None = None) -> tuple[Admission, Group, Room]:
    admission = Admission()
    room = Room(limit)
    return admission, admission.add("fills", "a", [room]), room


def _begin(admission: Admission, generation: int) -> list[tuple[int, int]]:
    """Begin a generation, and return what it evicted: counts and times."""
    admission.begin(generation, generation * 100)
    return [(eviction.count, eviction.until_unix_nano) for eviction in admission.step()]


def test_a_room_without_limit_has_always_place() -> None:
    """None is no limit, and 0 is one."""
    assert Room(None, 10**9).is_left
    assert not Room(0).is_left


def test_there_is_room_where_every_limit_has_some() -> None:
    """A group shares its limits with others."""
    admission = Admission()
    shared, own = Room(2), Room(9)
    group = admission.add("fills", "a", [own, shared])
    other = admission.add("fills", "b", [shared])

    group.admit(1)
    other.admit(1)

    assert not group.has_room
    assert not other.has_room
    assert (own.admitted, shared.admitted) == (1, 2)


def test_a_series_goes_after_four_whole_generations() -> None:
    """Seen in the first, it is there in the fifth and gone in the sixth."""
    admission, group, room = _group()
    group.admit(1)
    for generation in range(1, 5):
        assert _begin(admission, generation) == []
        assert 1 in group

    evicted = _begin(admission, 5)

    assert evicted == [(1, 100)]
    assert 1 not in group
    assert room.admitted == 0


def test_a_series_that_is_seen_stays() -> None:
    """Once a generation is enough, and it takes no second place."""
    admission, group, room = _group()
    group.admit(1)
    group.admit(2)
    for generation in range(1, 20):
        _begin(admission, generation)
        assert group.see({1, 3}) == {1}
        assert group.current == {1}

    assert len(group) == room.admitted == 1


def test_generations_without_any_batch_count_too() -> None:
    """After a long pause all that is old goes at once."""
    admission, group, _ = _group()
    group.admit(1)
    _begin(admission, 1)
    group.admit(2)

    assert _begin(admission, 5) == [(1, 100)]
    assert _begin(admission, 50) == [(1, 500)]


def test_an_eviction_tells_of_points_that_were_ahead_of_the_clock() -> None:
    """So that their series never look as if they had begun later; but not by years."""
    minutes_nano = 60 * 1_000_000_000
    for lead, known in ((7, 7), (3 * minutes_nano, 3 * minutes_nano), (1 << 62, 5 * minutes_nano)):
        admission, group, _ = _group()
        group.admit(1)
        group.note_lead(lead)
        _begin(admission, 1)

        assert _begin(admission, 9) == [(1, 100 + known)]


def test_no_batch_waits_for_a_large_eviction() -> None:
    """Groups change little by little, or when they are asked for."""
    admission = Admission()
    room = Room(None)
    groups = [admission.add(str(number), "", [room]) for number in range(10)]
    for group in groups:
        for key in range(8_000):
            group.admit(key)
    admission.begin(9, 900)

    first = sum(eviction.count for eviction in admission.step())
    asked = sum(eviction.count for eviction in admission.catch_up(groups[-1]))

    assert first == 24_000
    assert asked == 8_000
    assert room.admitted == 48_000


def test_groups_without_series_and_producers_are_forgotten() -> None:
    """Names that nobody sends any more take no memory."""
    admission, group, _ = _group()
    group.admit(1)
    admission.remove_empty(set())
    assert list(admission.groups) == [("fills", "a")]

    _begin(admission, 1)
    _begin(admission, 9)
    admission.remove_empty(set())

    assert not admission.groups
