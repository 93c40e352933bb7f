"""The answer table by itself: what no server is needed for."""

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from tapeline.transport.answers import (
    ANSWERS,
    MAX_DOWNSTREAM_DELAY_S,
    PASSED_THROUGH,
    Answer,
    Code,
    Event,
    Failure,
    answer_failures,
    answer_malformed,
    retry_after_s_in,
    status_details,
)

# exporter/otlpexporter of the collector, shouldRetry; RESOURCE_EXHAUSTED only with RetryInfo.
COLLECTOR_RETRIES = {
    Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE,
    Code.DATA_LOSS,
}  # fmt: skip
failures = st.builds(
    Failure,
    st.sampled_from([code for code in Code if code is not Code.OK]),
    st.none() | st.floats(-10, 1e6),
)


def test_unknown_is_never_answered() -> None:
    """The collector drops a batch for it, whatever it meant."""
    assert Code.UNKNOWN not in {answer.code for answer in ANSWERS.values()} | PASSED_THROUGH


def test_retry_info_goes_with_unavailable_and_with_nothing_else() -> None:
    """With RESOURCE_EXHAUSTED it would mean retry; with others it would mean nothing."""
    for answer in ANSWERS.values():
        assert (answer.retry_after_s is not None) == (answer.code is Code.UNAVAILABLE)


def test_every_event_but_downstreams_own_refusal_has_its_answer() -> None:
    """That one's code is downstream's."""
    assert set(Event) - set(ANSWERS) == {Event.DOWNSTREAM_REFUSED}


@given(st.lists(failures, min_size=1, max_size=4))
def test_an_answer_to_failures_is_either_a_retry_or_final_for_all(found: list[Failure]) -> None:
    """As long as one batch may still arrive, the sender keeps the data."""
    answer = answer_failures(tuple(found))
    final = [
        failure.code in PASSED_THROUGH
        and not (failure.code is Code.RESOURCE_EXHAUSTED and failure.retry_after_s is not None)
        for failure in found
    ]

    if all(final):
        assert (answer.code, answer.retry_after_s) == (found[0].code, None)
    else:
        assert answer.code is Code.UNAVAILABLE
        assert answer.retry_after_s is not None
        assert 0.0 <= answer.retry_after_s <= MAX_DOWNSTREAM_DELAY_S


@given(failures)
def test_nothing_that_the_collector_would_retry_is_made_final(failure: Failure) -> None:
    """Through the gate, data lives at least as long as without it."""
    answer = answer_failures((failure,))

    if failure.code in COLLECTOR_RETRIES:
        assert answer.code in COLLECTOR_RETRIES


def test_no_failure_has_no_answer() -> None:
    """A caller's mistake must not become an OK."""
    with pytest.raises(ValueError, match="no failure"):
        answer_failures(())


@given(st.floats(0, 1000), st.text(max_size=20))
def test_the_delay_survives_the_wire(delay_s: float, message: str) -> None:
    """To a nanosecond, which is what RetryInfo holds."""
    details = status_details(Answer(Event.DRAINING, Code.UNAVAILABLE, message, delay_s))

    assert details is not None
    assert retry_after_s_in(details) == pytest.approx(delay_s, abs=1e-9)
    assert Status.FromString(details).message == message


def test_an_answer_without_a_delay_has_no_details() -> None:
    """A permanent code with RetryInfo would be a contradiction."""
    assert status_details(ANSWERS[Event.OVERSIZE]) is None


@given(st.binary(max_size=100))
def test_strange_details_say_nothing(details: bytes) -> None:
    """They come from a server that we don't control."""
    delay_s = retry_after_s_in(details)

    assert delay_s is None or isinstance(delay_s, float)


def test_a_long_reason_is_cut() -> None:
    """GRPC's headers have a size limit of their own."""
    answer = answer_malformed("x" * 10_000)

    assert answer.code is Code.INVALID_ARGUMENT
    assert len(answer.message) < 400
