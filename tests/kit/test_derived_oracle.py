"""Derived counts against a plain sum, however the records come in batches, and batches again."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from kit_records import built, logs
from tapeline.kit import LogRecord, processor
from tapeline.pipeline.batch import Batch

SECOND_NS = 1_000_000_000


@processor(name="words")
def words(record: LogRecord) -> None:
    """Count each word, and its letters."""
    word = record.body_text or ""
    record.derive.count("words", 1, {"word": word})
    record.derive.count("letters", len(word), {"first": word[:1] or None})


def final_values(derived: list[Batch]) -> dict[tuple[str, str], float]:
    """Return the last value of each series, and hold that none ever falls."""
    values: dict[tuple[str, str], float] = {}
    for batch in derived:
        request = ExportMetricsServiceRequest.FromString(batch.payload)
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.sum.data_points:
                label = "".join(pair.value.string_value for pair in point.attributes)
                assert point.as_int >= values.get((metric.name, label), 0)
                assert point.start_time_unix_nano <= point.time_unix_nano
                values[metric.name, label] = point.as_int
    return values


@given(
    batches=st.lists(
        st.lists(st.text(alphabet="ab", max_size=2), min_size=1, max_size=5), max_size=6
    ),
    again=st.sets(st.integers(0, 5)),
)
def test_counts_are_the_plain_sums_also_where_requests_come_again(
    batches: list[list[str]], again: set[int]
) -> None:
    """A request that is sent again counts once; another one of the same words counts."""
    step = built(words)
    derived: list[Batch] = []
    for number, bodies in enumerate(batches):
        # A service that says the same again says it at another time.
        batch = logs(*bodies, number=number)
        for _ in range(2 if number in again else 1):
            derived += step.process(batch, (number + 1) * SECOND_NS).derived

    flat = [body for bodies in batches for body in bodies]
    expected = Counter({("words", word): count for word, count in Counter(flat).items()})
    for word in flat:
        expected["letters", word[:1]] += len(word)
    assert final_values(derived) == dict(expected)
