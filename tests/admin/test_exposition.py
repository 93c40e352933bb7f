"""Several workers' metrics become one valid exposition."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tapeline.admin.exposition import merge_expositions

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Return the samples of an exposition, as Prometheus' own parser sees them."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def exposition(counts: Mapping[str, int], level: float, *, with_extra: bool) -> str:
    """Return what a worker with these values exposes."""
    registry = CollectorRegistry()
    counter = Counter("requests", 'Help with "quotes".', ["reason"], registry=registry)
    for reason, count in counts.items():
        counter.labels(reason).inc(count)
    Gauge("level", "A plain gauge.", registry=registry).set(level)
    Histogram("delay_seconds", "A histogram.", registry=registry, buckets=[1, 2]).observe(level)
    if with_extra:
        Gauge("extra", "Only in some workers.", registry=registry).set(1)
    return generate_latest(registry).decode()


worker_expositions = st.builds(
    exposition,
    st.dictionaries(st.text(alphabet='ab{}"\\ ,=\n#', max_size=5), st.integers(0, 9), max_size=3),
    st.floats(allow_nan=False),
    with_extra=st.booleans(),
)


@given(st.lists(worker_expositions, max_size=3))
def test_the_merged_samples_are_those_of_the_workers_with_their_label(texts: list[str]) -> None:
    """Whatever stands in a label's value; held to Prometheus' parser."""
    merged = merge_expositions({str(index): text for index, text in enumerate(texts)})

    expected = {
        (name, labels | {("worker", str(index))}): value
        for index, text in enumerate(texts)
        for (name, labels), value in samples(text).items()
    }
    assert samples(merged) == expected


@given(st.lists(worker_expositions, min_size=2, max_size=3))
def test_each_family_stands_together_under_one_header(texts: list[str]) -> None:
    """The text format forbids a family in two places."""
    merged = merge_expositions({str(index): text for index, text in enumerate(texts)})

    headers = [line for line in merged.splitlines() if line.startswith("# TYPE")]
    assert len(headers) == len(set(headers))
