"""What happened, and what the client is told: the answer table, as data.

What the collector's otlp_grpc exporter does with a code decides between a retry and lost data: it
retries UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED, DATA_LOSS and CANCELLED, and RESOURCE_EXHAUSTED
only with RetryInfo; anything else it drops after one attempt. So a permanent code stands here only
where sending the same bytes again could never succeed. UNKNOWN is never sent.

Pure: no gRPC here. The numbers are those of google.rpc.Code, which gRPC uses too.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

__all__ = [
    "ANSWERS",
    "PASSED_THROUGH",
    "STATUS_DETAILS_HEADER",
    "Answer",
    "Code",
    "Event",
    "Failure",
    "answer_failures",
    "answer_malformed",
    "retry_after_s_in",
    "status_details",
]

STATUS_DETAILS_HEADER: Final = "grpc-status-details-bin"
MAX_DOWNSTREAM_DELAY_S: Final = 30.0
"""A delay that downstream asks for is passed on up to here."""

_MAX_DETAIL_LENGTH: Final = 200  # characters of an error message that go into an answer


class Code(IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Event(StrEnum):
    """What became of a request. The values are the `reason` label of the refusals' counter."""

    ACKNOWLEDGED = "acknowledged"
    EMPTY = "empty"
    MALFORMED = "malformed"
    OVERSIZE = "oversize"
    NO_MESSAGE = "no_message"
    OVERLOADED = "overloaded"
    STARTING = "starting"
    DRAINING = "draining"
    UNAUTHENTICATED = "unauthenticated"
    DOWNSTREAM_UNAVAILABLE = "downstream_unavailable"
    DOWNSTREAM_REFUSED = "downstream_refused"
    NOT_NOW = "not_now"
    FAILED = "failed"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Answer:
    """A gRPC status. `retry_after_s` is the delay of its RetryInfo; None: it carries none."""

    event: Event
    code: Code
    message: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """How downstream refused one batch. `retry_after_s` is the delay of its RetryInfo, if any."""

    code: Code
    retry_after_s: float | None = None


# The delays: as long as the cause usually lasts. The collector waits at least this long.
ANSWERS: Final[dict[Event, Answer]] = {
    answer.event: answer
    for answer in (
        Answer(Event.ACKNOWLEDGED, Code.OK),
        Answer(Event.EMPTY, Code.OK),
        Answer(
            Event.MALFORMED,
            Code.INVALID_ARGUMENT,
            "the request is not well-formed OTLP; sending it again can't succeed",
        ),
        Answer(
            Event.OVERSIZE,
            Code.RESOURCE_EXHAUSTED,
            "the request is larger than server.max_message_mib; send smaller batches",
        ),
        Answer(
            Event.NO_MESSAGE,
            Code.INVALID_ARGUMENT,
            "the call ended without a request message",
        ),
        Answer(
            Event.OVERLOADED,
            Code.UNAVAILABLE,
            "as many requests are in flight as server.max_in_flight allows; retry",
            retry_after_s=0.2,
        ),
        Answer(Event.STARTING, Code.UNAVAILABLE, "tapeline is starting; retry", retry_after_s=0.5),
        Answer(
            Event.DRAINING, Code.UNAVAILABLE, "tapeline is shutting down; retry", retry_after_s=1.0
        ),
        # A permanent code would be the honest one, and would make the collector destroy the data.
        Answer(
            Event.UNAUTHENTICATED,
            Code.UNAVAILABLE,
            "tapeline refuses this client: its token or certificate is missing or wrong",
            retry_after_s=5.0,
        ),
        Answer(
            Event.DOWNSTREAM_UNAVAILABLE,
            Code.UNAVAILABLE,
            "downstream did not take the request; retry",
            retry_after_s=1.0,
        ),
        Answer(
            Event.NOT_NOW,
            Code.UNAVAILABLE,
            "tapeline can process nothing at the moment, and says in its log why; retry",
            retry_after_s=2.0,
        ),
        Answer(
            Event.FAILED,
            Code.UNAVAILABLE,
            "tapeline failed to process the request; retry",
            retry_after_s=1.0,
        ),
        Answer(
            Event.GIVEN_UP,
            Code.INTERNAL,
            "tapeline failed on this request server.max_attempts times and gives it up",
        ),
    )
}

PASSED_THROUGH: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.OUT_OF_RANGE,
        Code.FAILED_PRECONDITION,
        Code.RESOURCE_EXHAUSTED,  # without RetryInfo; with it, downstream asks for a retry
        Code.INTERNAL,
        Code.UNIMPLEMENTED,
    }
)
"""What downstream says for good. Any other refusal becomes UNAVAILABLE: it may pass, or it is
about us (a token, a route) and not about the data."""


def answer_malformed(detail: str) -> Answer:
    """Return INVALID_ARGUMENT that says where the bytes are broken; `detail` must hold no value."""
    standard = ANSWERS[Event.MALFORMED]
    return Answer(standard.event, standard.code, f"{standard.message}: {_shortened(detail)}")


def answer_failures(failures: tuple[Failure, ...]) -> Answer:
    """Return the answer to a request of which downstream refused at least one batch.

    One that may still succeed decides over those refused for good: the client keeps the data, and
    hears of the permanent refusal on a later attempt.
    """
    if not failures:
        raise ValueError("no failure to answer")
    delays = [_retry_delay_s(failure) for failure in failures]
    retryable = [delay for delay in delays if delay is not None]
    if retryable:
        standard = ANSWERS[Event.DOWNSTREAM_UNAVAILABLE]
        return Answer(standard.event, standard.code, standard.message, max(retryable))
    code = failures[0].code
    return Answer(
        Event.DOWNSTREAM_REFUSED, code, f"downstream refused the request for good: {code.name}"
    )


def _retry_delay_s(failure: Failure) -> float | None:
    """Return after how long to come back, or None where downstream refused for good."""
    if failure.code in PASSED_THROUGH and not (
        failure.code is Code.RESOURCE_EXHAUSTED and failure.retry_after_s is not None
    ):
        return None
    if failure.retry_after_s is None:
        return ANSWERS[Event.DOWNSTREAM_UNAVAILABLE].retry_after_s
    return min(max(failure.retry_after_s, 0.0), MAX_DOWNSTREAM_DELAY_S)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL_LENGTH else f"{text[:_MAX_DETAIL_LENGTH]}…"


@lru_cache(maxsize=64)
def status_details(answer: Answer) -> bytes | None:
    """Return the google.rpc.Status with RetryInfo for the trailing metadata; None without one."""
    if answer.retry_after_s is None:
        return None
    delay = RetryInfo()
    delay.retry_delay.FromNanoseconds(round(answer.retry_after_s * 1e9))
    status = Status(code=answer.code, message=answer.message)
    status.details.add().Pack(delay)
    return bytes(status.SerializeToString())


def retry_after_s_in(details: bytes) -> float | None:
    """Return the delay of the RetryInfo in a `grpc-status-details-bin` value.

    None where there is none, or where the bytes are no google.rpc.Status: they come from a server
    that we don't control, and then say nothing about a retry.
    """
    try:
        status = Status.FromString(details)
        for detail in status.details:
            if detail.Is(RetryInfo.DESCRIPTOR):
                delay = RetryInfo.FromString(detail.value).retry_delay
                return float(delay.seconds) + float(delay.nanos) / 1e9
    except DecodeError:
        return None
    return None
