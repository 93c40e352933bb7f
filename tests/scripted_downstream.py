"""A downstream that answers as a test tells it to, and remembers what it got."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from tapeline.otlp.signals import SERVICES, Signal

STATUS_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True)
class Reply:
    """An answer: a code, and for OK the bytes of the response. `details` is a google.rpc.Status."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    response: bytes = b""
    details: bytes | None = None


@dataclass
class Downstream:
    """An OTLP server under a test's control.

    `reply` decides the answer to each request; `received` has them in their order, also those
    that were refused.
    """

    address: str = ""
    reply: Callable[[Signal, bytes], Reply] = lambda _signal, _payload: Reply()
    received: list[tuple[Signal, bytes]] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)

    def always(self, reply: Reply) -> None:
        """Answer everything with one reply from now on."""
        self.reply = lambda _signal, _payload: reply

    def payloads(self, signal: Signal) -> list[bytes]:
        """Return the payloads of a signal, in their order."""
        return [payload for kind, payload in self.received if kind is signal]

    def handle(self, signal: Signal, payload: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer one Export call as `reply` says."""
        self.received.append((signal, payload))
        self.metadata.append(dict(context.invocation_metadata()))
        reply = self.reply(signal, payload)
        if reply.code is grpc.StatusCode.OK:
            return reply.response
        if reply.details is not None:
            context.set_trailing_metadata(((STATUS_DETAILS, reply.details),))
        context.abort(reply.code, "as the test wants it")
        raise AssertionError("abort returns never")


class _Methods(grpc.GenericRpcHandler):
    def __init__(self, downstream: Downstream) -> None:
        self._handlers = {
            service.export_method: self._handler(downstream, service.signal) for service in SERVICES
        }

    @staticmethod
    def _handler(downstream: Downstream, signal: Signal) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def export(payload: bytes, context: grpc.ServicerContext) -> bytes:
            return downstream.handle(signal, payload, context)

        return grpc.unary_unary_rpc_method_handler(export)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)


@contextmanager
def running_downstream(
    address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[Downstream]:
    """Run a scripted downstream that says OK until it is told otherwise."""
    downstream = Downstream()
    server = grpc.server(
        ThreadPoolExecutor(16),
        handlers=[_Methods(downstream)],
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    downstream.address = f"{address.rpartition(':')[0]}:{port}"
    server.start()
    try:
        yield downstream
    finally:
        server.stop(grace=0.1).wait()
