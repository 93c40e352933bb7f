"""`tapeline record`: a gate whose downstream is a recording, over gRPC and HTTP."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, disable_created_metrics

from tapeline.otlp.signals import Signal
from tapeline.pipeline.addresses import Address
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recorded.metadata import Policy
from tapeline.recording.http_intake import HttpIntake
from tapeline.recording.recorder import Recorder
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.enforced import enforced, version_of
from tapeline.redaction.processor import build
from tapeline.transport.answers import Answer, Event
from tapeline.transport.config import ServerConfig
from tapeline.transport.gate import ChainSlot, Gate
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.server import OtlpServer

__all__ = ["Listening", "policy_of", "serving"]

_MAX_ATTEMPTS: Final = 5
_WRITE_TIMEOUT_S: Final = 8.0  # Below the timeout of the collector's exporters, which is 10 s.
_DRAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it takes OTLP; None where it does not."""

    grpc: Address | None
    http: Address | None

    def __str__(self) -> str:
        """Return the addresses for people."""
        places = ((self.grpc, "gRPC"), (self.http, "HTTP"))
        return " and ".join(f"{place} ({name})" for place, name in places if place is not None)


def policy_of(redaction: RedactionConfig | None) -> Policy:
    """Return what the metadata says of the rules; None: the recording is raw.

    Raises ValueError where the rules can't be used.
    """
    if redaction is None:
        return Policy(raw=True)
    config_sha256, rules = version_of(enforced(redaction))
    return Policy(raw=False, config_sha256=config_sha256, rules=rules)


def _chain(redaction: RedactionConfig | None, registry: CollectorRegistry) -> Chain:
    if redaction is None:
        processors = []
    else:
        processors = [build(enforced(redaction), ProcessorContext(registry))]
    # What is recorded is not cut: limits on values are those of backends.
    return Chain({signal: list(processors) for signal in Signal}, max_value_bytes=0)


@contextmanager
def serving(
    recorder: Recorder, listening: Listening, redaction: RedactionConfig | None
) -> Iterator[Listening]:
    """Take OTLP and hand it to the recorder; yield where.

    At the end what is new is refused, and what is in flight is finished. Raises ListenError and
    HttpListenError (OSErrors) for taken ports, and ValueError where the rules can't be used.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    metrics = TransportMetrics(registry)
    slot = ChainSlot(metrics)
    slot.swap(_chain(redaction, registry), time.time_ns())
    gate = Gate(
        slot,
        recorder,
        metrics,
        max_attempts=_MAX_ATTEMPTS,
        forward_timeout_s=_WRITE_TIMEOUT_S,
    )
    config = ServerConfig(listen=str(listening.grpc or Address("127.0.0.1", 0)))
    server = OtlpServer(config, config.worker_address(0), gate, metrics)
    http = None if listening.http is None else _http(listening.http, gate, config)
    recorder.start()
    try:
        at = None if listening.grpc is None else server.start()
        server.accept()
        server.set_serving(serving=True)
        if http is not None:
            http.start()
        yield Listening(at, None if http is None else http.address)
    finally:
        server.refuse(Event.DRAINING)
        if http is not None:
            http.stop()
        server.wait_until_idle(_DRAIN_S)
        server.stop()


def _http(address: Address, gate: Gate, config: ServerConfig) -> HttpIntake:
    def export(signal: Signal, payload: bytes) -> Answer:
        return gate.export(signal, payload)

    return HttpIntake(
        address,
        export,
        max_message_mib=config.max_message_mib,
        max_in_flight=config.max_in_flight,
    )
