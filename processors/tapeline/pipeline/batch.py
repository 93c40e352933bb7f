"""One Export request on its way through the chain."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.framing import Framing, MalformedRequestError, check_framing
from tapeline.otlp.index import RecordIndex, index_records
from tapeline.otlp.signals import Signal
from tapeline.pipeline.watch import Sighting

__all__ = ["REQUEST_TYPES", "Batch"]

REQUEST_TYPES: Final[dict[Signal, type[Message]]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}


@dataclass(frozen=True)
class Batch:
    """An Export request: its signal, its wire bytes, and the client metadata that goes with it.

    The views (`framing`, `index`, `request`) are made when first asked for. They describe
    `payload` and are read-only: a processor that changes something makes a new batch.
    """

    signal: Signal
    payload: bytes
    metadata: tuple[tuple[str, str], ...] = ()
    known_framing: Framing | None = field(default=None, repr=False, compare=False)
    """What whoever made the bytes knows of them; None: it is found out when asked for."""
    sighting: Sighting | None = field(default=None, repr=False, compare=False)
    """How it stood behind the redaction, of what left a chain while somebody looked."""

    @cached_property
    def framing(self) -> Framing:
        """How many records there are; raises MalformedRequestError on broken framing."""
        return self.known_framing or check_framing(self.signal, self.payload)

    @cached_property
    def index(self) -> RecordIndex:
        """Where each record begins and ends; raises MalformedRequestError on broken framing."""
        return index_records(self.signal, self.payload)

    @cached_property
    def request(self) -> Message:
        """The parsed request; raises MalformedRequestError where the bytes don't parse."""
        try:
            return REQUEST_TYPES[self.signal].FromString(self.payload)
        except DecodeError as error:
            raise MalformedRequestError(
                f"the {self.signal} request does not parse as OTLP: {error}"
            ) from error

    def with_payload(self, payload: bytes, framing: Framing | None = None) -> "Batch":
        """Return a batch of the same signal and metadata with other bytes.

        `framing` is that of these bytes, for who knows it: to check them takes time. In it,
        `longest_bytes` may be more than the size of the largest slice, but not less.
        """
        return replace(self, payload=payload, known_framing=framing)
