"""A trivial OTLP relay: raw bytes in, raw bytes on, the next hop's answer back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc

from tapeline.otlp.signals import EXPORT_METHODS, SERVICES

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)


class Relay:
    """A gate that does nothing. `seen` has every request that it was sent, in order."""

    def __init__(self, listen: str, downstream: str) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._listen = listen
        self._channel = grpc.insecure_channel(downstream, options=OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(8), options=OPTIONS)
        for service in SERVICES:
            handler = grpc.method_handlers_generic_handler(
                service.name,
                {"Export": grpc.unary_unary_rpc_method_handler(self._forward(service.signal))},
            )
            self._server.add_generic_rpc_handlers((handler,))

    def __enter__(self) -> Self:
        # Only now: a port that is bound but not served would let callers hang.
        self._server.add_insecure_port(self._listen)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=2).wait()
        self._channel.close()

    def _forward(self, signal: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        call: Callable[..., bytes] = self._channel.unary_unary(
            next(method for name, method in EXPORT_METHODS.items() if name == signal)
        )

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.seen.append((signal, request))
            try:
                return call(request, timeout=8)
            except grpc.RpcError as error:
                context.abort(grpc.StatusCode.UNAVAILABLE, f"downstream: {error}")
                raise  # abort has raised already; this is for the type checker

        return handle
