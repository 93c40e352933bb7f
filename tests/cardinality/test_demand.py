"""Demand: distinct streams and values, and who asks for most, against exact counts."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from label_streams import ids, pair, streams
from tapeline.cardinality.demand import Demand, DemandLimits
from tapeline.cardinality.sketches import DISTINCT_ERROR, FREQUENT_ERROR

TOLERANCE = 6 * DISTINCT_ERROR  # beyond six standard errors once in 10^9


def test_distinct_values_of_each_label_are_counted_within_the_sketchs_error() -> None:
    """A label with few values is counted exactly beside one with many."""
    demand = Demand()
    for start in range(0, 20_000, 1000):
        demand.note_new(
            "orders",
            streams(
                ("id", [str(number) for number in range(start, start + 1000)]),
                ("side", ["buy", "sell"] * 500),
            ),
        )

    found = demand.of_metric("orders")

    assert [label.key for label in found.labels] == ["id", "side"]
    assert found.labels[0].distinct_values == pytest.approx(20_000, rel=TOLERANCE)
    assert found.labels[1].distinct_values == 2
    assert found.new_streams == 20_000


def test_a_refused_stream_counts_once_however_often_it_comes() -> None:
    """Also with keys of 64 bits that differ in their last ones."""
    demand = Demand()
    keys = [2**64 - 1 - number for number in range(30)]

    for _ in range(5):
        demand.note_refused("orders", keys)

    assert demand.refused_streams("orders") == 30
    assert demand.refused_streams("other") == 0


@given(st.lists(st.integers(0, 40), min_size=1, max_size=300))
def test_offenders_never_claim_more_than_they_have_and_none_is_missed(values: list[int]) -> None:
    """Held to exact counts; the sketch's own error is what may hide one."""
    demand = Demand()
    demand.note_new("orders", streams(("account", [str(value) for value in values])))

    (label,) = demand.of_metric("orders", top=100).labels

    exact = Counter(map(str, values))
    listed = {offender.value: offender.streams for offender in label.offenders}
    assert all(count <= exact[value] for value, count in listed.items())
    assert {v for v, count in exact.items() if count > FREQUENT_ERROR * len(values)} <= set(listed)
    assert [offender.streams for offender in label.offenders] == sorted(
        listed.values(), reverse=True
    )
    assert set(label.samples) <= set(exact)


def test_one_account_among_a_million_ids_is_named() -> None:
    """Bounded memory does not lose the one value that most new streams share."""
    demand = Demand()
    random_ids = random.Random(1)  # noqa: S311 - test data
    for _ in range(20):
        accounts = ["ACC-7" if random_ids.random() < 0.2 else str(i) for i in range(1000)]
        values = [f"{random_ids.getrandbits(128):032x}" for _ in accounts]
        demand.note_new("orders", streams(("account", accounts), ("id", values)))

    labels = {label.key: label for label in demand.of_metric("orders").labels}

    assert labels["account"].offenders[0].value == "ACC-7"
    assert labels["id"].offenders == ()
    assert all(len(sample) == 32 for sample in labels["id"].samples)
    assert labels["id"].samples


any_values = st.one_of(
    st.builds(lambda v: AnyValue(string_value=v), st.text(max_size=200)),
    st.builds(lambda v: AnyValue(int_value=v), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda v: AnyValue(double_value=v), st.floats()),
    st.builds(lambda v: AnyValue(bool_value=v), st.booleans()),
    st.builds(lambda v: AnyValue(bytes_value=v), st.binary(max_size=200)),
    st.just(AnyValue()),
    st.just(AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)]))),
)


@given(
    st.lists(
        st.builds(
            lambda key, value: KeyValue(key=key, value=value), st.text(max_size=150), any_values
        ),
        max_size=20,
    )
)
def test_every_key_value_of_otlp_is_told_apart(pairs: list[KeyValue]) -> None:
    """Any type of value, empty keys, and keys longer than one byte can say."""
    demand = Demand()
    demand.note_new("m", [(one.SerializeToString(),) for one in pairs])

    exact: dict[str, set[bytes]] = {}
    for one in pairs:
        key = one.key
        if len(key.encode()) > 127:
            key = key.encode()[:124].decode(errors="replace") + "…"
        exact.setdefault(key, set()).add(one.value.SerializeToString())
    found = {label.key: label for label in demand.of_metric("m").labels}
    assert {key: label.distinct_values for key, label in found.items()} == {
        key: len(values) for key, values in exact.items()
    }
    assert all(len(s) <= 80 for label in found.values() for s in label.samples)


def test_the_order_of_key_and_value_on_the_wire_makes_no_difference() -> None:
    """SDKs write the key first and the collector's exporter the value: one label, one value."""
    demand = Demand()
    texts = [*ids(20), "x" * 300, ""]
    forward = [pair("id", text) for text in texts]
    backward = [one[4:] + one[:4] for one in forward]  # the key field is of four bytes

    demand.note_new("m", [(one,) for one in forward])
    demand.note_new("m", [(one,) for one in backward])

    (label,) = demand.of_metric("m").labels
    assert (label.key, label.distinct_values) == ("id", len(texts))
    assert {offender.streams for offender in label.offenders} == {2}


@given(st.lists(st.lists(st.binary(max_size=20), max_size=4).map(tuple), max_size=20))
def test_bytes_that_are_no_key_value_raise_nothing(pairs: list[tuple[bytes, ...]]) -> None:
    """They are counted, at most."""
    demand = Demand()

    demand.note_new("m", pairs)

    assert demand.of_metric("m").new_streams == len(pairs)


def test_demand_outlives_one_period_and_falls_after_two() -> None:
    """It neither drops when a period begins nor stays for ever."""
    demand = Demand()
    demand.note_new("orders", streams(("id", ids(500))))
    demand.note_refused("orders", range(500))

    demand.rotate()
    kept = demand.of_metric("orders")
    demand.note_refused("orders", range(7))
    demand.rotate()
    fallen = demand.of_metric("orders")
    demand.rotate()

    assert kept.refused_streams == pytest.approx(500, rel=TOLERANCE)
    assert kept.labels[0].distinct_values == pytest.approx(500, rel=TOLERANCE)
    assert fallen.refused_streams == 7
    assert fallen.labels == ()
    assert demand.metrics == ()


def test_metrics_and_labels_beyond_their_limits_are_counted_not_watched() -> None:
    """New names make room in the next period."""
    demand = Demand(DemandLimits(max_metrics=2, max_labels=3, max_labels_a_metric=2))

    demand.note_new("a", streams(("x", ids(5)), ("y", ids(5)), ("z", ids(5))))
    demand.note_new("b", streams(("x", ids(5)), ("y", ids(5))))
    demand.note_new("c", streams(("x", ids(5))))
    demand.note_refused("c", [1])

    assert demand.metrics == ("a", "b")
    assert [label.key for label in demand.of_metric("a").labels] == ["x", "y"]
    assert [label.key for label in demand.of_metric("b").labels] == ["x"]
    assert demand.streams_not_watched == 5
    assert demand.values_not_watched == 10
    demand.rotate()
    demand.note_new("c", streams(("x", ids(5))))
    assert "c" in demand.metrics


def test_its_size_is_bounded_however_many_values_come() -> None:
    """Ten times the values, the same size."""
    demand = Demand()
    sizes = []
    for turn in range(10):
        for batch in range(5):
            demand.note_new("m", streams(("id", ids(1000, f"{turn}-{batch}" + "x" * 90))))
        sizes.append(demand.size_bytes)

    assert max(sizes) <= 16_384
    assert sizes[-1] <= 2 * sizes[0]
