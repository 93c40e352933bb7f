"""The OTLP/gRPC server: takes raw bytes in, and answers from the table.

The Export calls are taken as request streams of one message. On the wire that is the same as a
unary call; here it means that a call is judged (draining, overloaded, wrong token) before its
message is read, and that a handler hears of a call whose message never arrived.

Limits: gRPC stops reading or decompressing at `grpc.max_receive_message_length` and answers
RESOURCE_EXHAUSTED without RetryInfo, which is the answer that the table wants; but it tells nobody.
So its limit lies a quarter above ours: what is a little too large, as a wrong batch size makes it,
is counted exactly here, and a decompression bomb is counted as `oversize_or_gone`.
"""

import errno
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tapeline.otlp.signals import SERVICES, Signal
from tapeline.pipeline.addresses import Address
from tapeline.pipeline.token_files import read_tokens
from tapeline.transport.answers import (
    ANSWERS,
    STATUS_DETAILS_HEADER,
    Answer,
    Code,
    Event,
    status_details,
)
from tapeline.transport.authentication import Tokens, Verdict, names_of_peer
from tapeline.transport.config import ServerConfig
from tapeline.transport.gate import Gate
from tapeline.transport.metrics import OVERSIZE_OR_GONE, TransportMetrics
from tapeline.transport.tls import ServerCertificates

__all__ = ["ListenError", "OtlpServer"]

logger = logging.getLogger(__name__)

_STATUS: Final[dict[Code, grpc.StatusCode]] = {
    Code(status.value[0]): status for status in grpc.StatusCode
}
_SPARE_THREADS: Final = 4  # for refusals and health checks while all others work
_GONE_WAIT_S: Final = 0.2  # how long gRPC may take to say that a call without a message is over
_GONE_POLL_S: Final = 0.005
_STOP_LIMIT_S: Final = 2.0  # for gRPC to end what it has cancelled
_STOP_GRACE_S: Final = 0.2  # for answers on their way; without it clients see an HTTP/2 error
_RESERVED_STREAMS: Final = 64  # beyond max_in_flight, so that a refusal can be heard


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    limit_bytes = config.max_message_bytes
    return [
        ("grpc.max_receive_message_length", limit_bytes + limit_bytes // 4),
        # gRPC's default lets two processes share a port, which hides that it is taken.
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", config.max_in_flight + _RESERVED_STREAMS),
        # A sender that is gone without a word is noticed after 40 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Senders may ping as often as that, in quiet times too; gRPC's default is 5 minutes.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


class ListenError(OSError):
    """An address that can't be listened on; the message says which, why, and what to do."""


class OtlpServer:
    """Serves the three Export methods and gRPC's health service on one address."""

    def __init__(
        self, config: ServerConfig, address: Address, gate: Gate, metrics: TransportMetrics
    ) -> None:
        """Bind nothing yet; raises ValueError where a token or PEM file can't be used."""
        self._config = config
        self._address = address
        self._gate = gate
        self._metrics = metrics
        self._refusal: Answer | None = ANSWERS[Event.STARTING]
        self._in_flight = _InFlight(config.max_in_flight, metrics)
        self._receiving: dict[int, tuple[float, grpc.ServicerContext]] = {}
        self._tokens = self._read_tokens()
        self._certificates = self._read_certificates()
        self._pool = ThreadPoolExecutor(
            config.max_in_flight + _SPARE_THREADS, thread_name_prefix="tapeline-otlp"
        )
        self._server = grpc.server(self._pool, handlers=[_Methods(self)], options=_options(config))
        self._health = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.set_serving(serving=False)

    def start(self) -> Address:
        """Listen, and return where; raises ListenError. Calls are refused until `accept`."""
        address = str(self._address)
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._certificates.credentials)
        except RuntimeError as error:
            raise ListenError(_why_not(self._address)) from error
        self._server.start()
        return Address(self._address.host, port)

    def accept(self) -> None:
        """Take requests from now on."""
        self._refusal = None

    def refuse(self, event: Event) -> None:
        """Refuse new requests with the answer to `event`; those in flight go on."""
        self._refusal = ANSWERS[event]

    def set_serving(self, *, serving: bool) -> None:
        """Say so in gRPC's health service, for the server and for each signal."""
        types = health_pb2.HealthCheckResponse
        status = types.SERVING if serving else types.NOT_SERVING
        for name in ("", *(service.name for service in SERVICES)):
            self._health.set(name, status)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False where the time was over first."""
        return self._in_flight.wait_until_none(timeout_s)

    def stop(self) -> None:
        """Close the port, and cancel what is still in flight after a moment."""
        self._server.stop(_STOP_GRACE_S).wait(_STOP_GRACE_S + _STOP_LIMIT_S)
        self._pool.shutdown(wait=False)

    def reload(self) -> None:
        """Read tokens and certificates again; raises ValueError and keeps the old."""
        tokens = self._read_tokens()
        if self._certificates is not None:
            self._certificates.reload()
        self._tokens = tokens

    def tick(self) -> None:
        """Cancel calls whose message has been arriving for too long."""
        oldest = time.monotonic() - self._config.receive_timeout
        for since, context in list(self._receiving.values()):
            if since < oldest:
                context.cancel()

    def _read_tokens(self) -> Tokens | None:
        auth = self._config.auth
        return None if auth is None else Tokens(read_tokens(auth.token_file))

    def _read_certificates(self) -> ServerCertificates | None:
        tls = self._config.tls
        return (
            None
            if tls is None
            else ServerCertificates(tls, self._metrics.authentication.tls_handshakes.inc)
        )

    def export(
        self, signal: Signal, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> bytes:
        """Handle one Export call: return the response, or abort with the answer's status."""
        answer = self._answer(signal, requests, context)
        if answer is None:
            self._metrics.refused[OVERSIZE_OR_GONE].inc()
            return b""  # The call is over; nobody reads this.
        self._metrics.signals[signal].answers[answer.code].inc()
        if answer.code is Code.OK:
            return b""  # An Export response with partial_success unset.
        self._metrics.refused[answer.event].inc()
        details = status_details(answer)
        if details is not None:
            context.set_trailing_metadata(((STATUS_DETAILS_HEADER, details),))
        context.abort(_STATUS[answer.code], answer.message)
        raise AssertionError("abort returns never")

    def _answer(
        self, signal: Signal, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Answer | None:
        """Return the answer; None where gRPC ended the call before its message was here."""
        try:
            return self._judge(signal, requests, context)
        # The gate has its own net; this one is for what is wrong around it. gRPC would answer
        # UNKNOWN, and the collector would drop the data.
        except Exception as error:  # noqa: BLE001
            # The type alone: a message or a traceback may quote the data.
            logger.error("handling a %s call failed: %s", signal.value, type(error).__name__)  # noqa: TRY400
            return ANSWERS[Event.FAILED]

    def _judge(
        self, signal: Signal, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Answer | None:
        refusal = self._refusal
        if refusal is not None:
            return refusal
        if not self._in_flight.enter():
            return ANSWERS[Event.OVERLOADED]
        try:
            if self._refused_client(context):
                return ANSWERS[Event.UNAUTHENTICATED]
            payload = self._receive(requests, context)
            if payload is None:
                return ANSWERS[Event.NO_MESSAGE] if _still_open(context) else None
            if len(payload) > self._config.max_message_bytes:
                return ANSWERS[Event.OVERSIZE]
            return self._gate.export(
                signal, payload, self._carried(context), context.time_remaining()
            )
        finally:
            self._in_flight.leave()

    def _receive(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        key = id(context)
        self._receiving[key] = (time.monotonic(), context)
        try:
            return next(requests, None)
        except grpc.RpcError:
            return None
        finally:
            del self._receiving[key]

    def _carried(self, context: grpc.ServicerContext) -> tuple[tuple[str, str], ...]:
        names = self._config.forward_metadata
        if not names:
            return ()
        return tuple(
            (name, value)
            for name, value in context.invocation_metadata()
            if name in names and isinstance(value, str)
        )

    def _refused_client(self, context: grpc.ServicerContext) -> bool:
        tls = self._config.tls
        names = () if tls is None else tls.client_names
        if self._tokens is None and not names:
            return False
        self._metrics.authentication.attempts.inc()
        verdict = Verdict.ALLOWED
        # The stubs say bytes where gRPC gives a sequence of them.
        identity = cast("Mapping[str, Sequence[bytes]]", context.auth_context()) if names else {}
        if names and names_of_peer(identity).isdisjoint(names):
            verdict = Verdict.CLIENT_NAME
        elif self._tokens is not None:
            verdict = self._tokens.check(context.invocation_metadata())
        if verdict is Verdict.ALLOWED:
            return False
        self._metrics.authentication.failures[verdict.value].inc()
        return True


class _Methods(grpc.GenericRpcHandler):
    """Finds the handler of a method; those of other services answer for themselves."""

    def __init__(self, server: OtlpServer) -> None:
        self._handlers = {
            service.export_method: _handler(server, service.signal) for service in SERVICES
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)


def _handler(server: OtlpServer, signal: Signal) -> "grpc.RpcMethodHandler[bytes, bytes]":
    def export(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return server.export(signal, requests, context)

    return grpc.stream_unary_rpc_method_handler(export)


class _InFlight:
    """Counts requests in flight, up to a limit."""

    def __init__(self, limit: int, metrics: TransportMetrics) -> None:
        self._limit = limit
        self._gauge = metrics.in_flight
        self._count = 0
        self._changed = threading.Condition()

    def enter(self) -> bool:
        with self._changed:
            if self._count >= self._limit:
                return False
            self._count += 1
            self._gauge.set(self._count)
            return True

    def leave(self) -> None:
        with self._changed:
            self._count -= 1
            self._gauge.set(self._count)
            if self._count == 0:
                self._changed.notify_all()

    def wait_until_none(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout_s)


def _still_open(context: grpc.ServicerContext) -> bool:
    """Tell whether a call without a message is still open: then the client sent none."""
    deadline = time.monotonic() + _GONE_WAIT_S
    while context.is_active():
        if time.monotonic() > deadline:
            return True
        time.sleep(_GONE_POLL_S)
    return False


def _why_not(address: Address) -> str:
    """Return why an address can't be listened on: gRPC does not say, so ask the system."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return (
                f"server.listen {address}: the port is taken; stop what listens there"
                f" (`ss -ltnp 'sport = :{address.port}'` names it) or choose another port"
            )
        return f"server.listen {address}: {error.strerror or error}"
    return f"server.listen {address}: gRPC could not listen there (the port was taken just now)"
