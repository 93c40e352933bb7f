"""What the bench's own gRPC ends share: options, and the sink's methods for the bench."""

from typing import Final, TypeAlias

import grpc

__all__ = [
    "AWAIT_METHOD",
    "AWAIT_S",
    "OPTIONS",
    "RESET_METHOD",
    "SINK_SERVICE",
    "STATE_METHOD",
    "RawHandler",
    "raw_method",
]

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)

SINK_SERVICE: Final = "tapeline.bench.Sink"
STATE_METHOD: Final = f"/{SINK_SERVICE}/State"
RESET_METHOD: Final = f"/{SINK_SERVICE}/Reset"
AWAIT_METHOD: Final = f"/{SINK_SERVICE}/Await"
AWAIT_S: Final = 30.0  # how long the sink waits for a marked batch before it says: not there

RawHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


def raw_method(channel: grpc.Channel, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    """Return a callable that sends and returns bytes as they are."""
    return channel.unary_unary(method)
