"""Sends batches downstream, and tells how that ended.

There is no queue here: the sender's persistent queue is the queue, and its retry is the retry. So
only what never left is tried again (a connection that could not be made), a few times within the
deadline: downstream may be restarting. After anything else the data may have been delivered, and
the sender decides.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tapeline.otlp.signals import EXPORT_METHODS, Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.token_files import bearer_header, read_tokens
from tapeline.transport.answers import (
    STATUS_DETAILS_HEADER,
    Code,
    Failure,
    retry_after_s_in,
)
from tapeline.transport.config import DownstreamConfig
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.tls import PemFiles, downstream_credentials, read_downstream

__all__ = ["DiscardForwarder", "Forwarder", "GrpcForwarder", "make_forwarder"]

logger = logging.getLogger(__name__)

MAX_CONNECT_ATTEMPTS: Final = 3
"""Attempts at a batch in all, as long as no connection could be made."""

MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024  # OTLP 1.11: the limit of a response
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.4
_NEVER_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed")
"""How the details of gRPC's own UNAVAILABLE begin where there was no connection to send on. The
text is no contract: where it changes, what never left is answered UNAVAILABLE at once."""

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_send_message_length", -1),  # The server has limited it already.
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # gRPC's default grows to two minutes, so a short outage downstream would last that long here.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),  # They would be invisible to the counters.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Tests and reloads make several channels to one address; each has a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
)

_Call: TypeAlias = Callable[..., bytes]


class Forwarder(Protocol):
    """Where processed batches go."""

    @property
    def problem(self) -> str | None:
        """Why nothing can be sent now; None where it can."""

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Send one batch; None once downstream has acknowledged it."""

    def tick(self) -> None:
        """Do what is due every second."""

    def reload(self) -> None:
        """Read tokens and certificates again; raises ValueError and keeps the old."""

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""


class DiscardForwarder:
    """Acknowledges and drops: for benchmarks."""

    problem: str | None = None

    def __init__(self, metrics: TransportMetrics) -> None:
        self._metrics = metrics

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Count the batch as sent."""
        del timeout_s
        self._metrics.signals[batch.signal].forward_attempts.inc()
        return None

    def tick(self) -> None:
        """Nothing is due."""

    def reload(self) -> None:
        """There is nothing to read."""

    def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True, slots=True)
class _Connection:
    """A channel, its three Export calls, and the token that goes with each."""

    channel: grpc.Channel
    calls: dict[Signal, _Call]
    token: tuple[tuple[str, str], ...]
    files: PemFiles | None


class GrpcForwarder:
    """One channel to downstream. Thread-safe."""

    def __init__(
        self,
        config: DownstreamConfig,
        metrics: TransportMetrics,
        on_change: Callable[[], None],
    ) -> None:
        """Connect in the background; raises ValueError where a token or PEM file can't be used.

        `on_change` is called, from a thread of gRPC, when `problem` may have changed.
        """
        self._config = config
        self._metrics = metrics
        self._on_change = on_change
        self._closed = False
        self._state: grpc.ChannelConnectivity | None = None
        self._answered = False
        self._retired: list[tuple[float, grpc.Channel]] = []
        self._connection = self._connect(*self._read())

    @property
    def problem(self) -> str | None:
        """Why nothing can be sent now: downstream has not answered yet, or the connection broke."""
        if self._state is grpc.ChannelConnectivity.READY:
            return None
        was = "does not answer any more" if self._answered else "does not answer"
        return f"downstream.endpoint {self._config.endpoint} {was}"

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Send one batch within `timeout_s`; None once downstream has acknowledged it."""
        started = time.monotonic()
        series = self._metrics.signals[batch.signal]
        try:
            return self._forward(batch, started + timeout_s)
        finally:
            series.forward_seconds.observe(time.monotonic() - started)

    def _forward(self, batch: Batch, deadline: float) -> Failure | None:
        try:
            self._attempt(batch, deadline)
        except ValueError:
            if self._closed:  # That is how gRPC says that the channel was closed.
                return Failure(Code.UNAVAILABLE)
            raise
        except grpc.RpcError as error:
            final = error
            if _never_left(error):
                retried = self._retry(batch, deadline, error)
                if retried is None:
                    return None
                final = retried
            return _failure(final)
        return None

    def _attempt(self, batch: Batch, deadline: float) -> None:
        connection = self._connection
        self._metrics.signals[batch.signal].forward_attempts.inc()
        metadata = (*batch.metadata, *connection.token)
        try:
            response = connection.calls[batch.signal](
                batch.payload,
                timeout=max(deadline - time.monotonic(), 0.0),
                metadata=metadata or None,
            )
        except grpc.RpcError as error:
            self._metrics.forward_failures[_code(error).name].inc()
            raise
        if response:
            self._note_partial_success(batch.signal, response)

    def _retry(self, batch: Batch, deadline: float, first: grpc.RpcError) -> grpc.RpcError | None:
        """Try again while nothing leaves; return the last error, or None once it went through."""
        # Imported here: only a broken connection needs it, and the start must be quick.
        from tenacity import (  # noqa: PLC0415
            Retrying,
            retry_if_exception,
            stop_after_attempt,
            stop_before_delay,
            wait_exponential,
        )

        remaining_s = deadline - time.monotonic()
        if remaining_s <= _FIRST_PAUSE_S:
            return first
        attempts = Retrying(
            stop=stop_after_attempt(MAX_CONNECT_ATTEMPTS - 1) | stop_before_delay(remaining_s),
            wait=wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception(_never_left),
            reraise=True,
        )
        time.sleep(_FIRST_PAUSE_S)
        try:
            for attempt in attempts:
                with attempt:
                    self._metrics.forward_retries.inc()
                    self._attempt(batch, deadline)
        except grpc.RpcError as error:
            return error
        return None

    def _note_partial_success(self, signal: Signal, response: bytes) -> None:
        """Count what downstream took and rejected: OTLP forbids sending it again."""
        try:
            # The three responses have the same shape: partial_success {rejected, error_message}.
            partial = ExportLogsServiceResponse.FromString(response).partial_success
        except DecodeError:
            logger.warning("downstream answered OK with a response that is not OTLP")
            return
        if partial.rejected_log_records > 0:
            # Its message is not logged: it may quote what it rejects.
            self._metrics.signals[signal].rejected_records.inc(partial.rejected_log_records)

    def tick(self) -> None:
        """Reconnect an idle channel, and close those that a reload replaced long ago."""
        if self._state is grpc.ChannelConnectivity.IDLE:
            # gRPC leaves a lost connection alone until the next call; readiness should not.
            self._connection.channel.subscribe(_ignore, try_to_connect=True)
            self._connection.channel.unsubscribe(_ignore)
        now = time.monotonic()
        for due, channel in list(self._retired):
            if now >= due:
                self._retired.remove((due, channel))
                channel.close()

    def reload(self) -> None:
        """Read token and certificates again; connect anew where they changed.

        Calls in flight end on the old connection. Raises ValueError and keeps it otherwise.
        """
        old = self._connection
        token, files = self._read()
        if (token, files) == (old.token, old.files):
            return
        self._connection = self._connect(token, files)
        old.channel.unsubscribe(self._note_state)
        self._retired.append((time.monotonic() + self._config.timeout, old.channel))

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        self._closed = True
        self._connection.channel.unsubscribe(self._note_state)
        self._connection.channel.close()
        for _, channel in self._retired:
            channel.close()
        self._retired.clear()

    def _read(self) -> tuple[tuple[tuple[str, str], ...], PemFiles | None]:
        """Return the metadata that carries the token, and the PEM files."""
        config = self._config
        token: tuple[tuple[str, str], ...] = ()
        if config.auth is not None:
            token = (bearer_header(read_tokens(config.auth.token_file)[0]),)
        return token, None if config.tls is None else read_downstream(config.tls)

    def _connect(self, token: tuple[tuple[str, str], ...], files: PemFiles | None) -> _Connection:
        config = self._config
        options = list(_OPTIONS)
        if config.tls is None or files is None:
            channel = grpc.insecure_channel(config.endpoint, options=options)
        else:
            if config.tls.server_name is not None:
                options.append(("grpc.ssl_target_name_override", config.tls.server_name))
                options.append(("grpc.default_authority", config.tls.server_name))
            credentials = downstream_credentials(files)
            channel = grpc.secure_channel(config.endpoint, credentials, options=options)
        calls: dict[Signal, _Call] = {
            signal: channel.unary_unary(method) for signal, method in EXPORT_METHODS.items()
        }
        channel.subscribe(self._note_state, try_to_connect=True)
        return _Connection(channel, calls, token, files)

    def _note_state(self, state: grpc.ChannelConnectivity) -> None:
        self._state = state
        if state is grpc.ChannelConnectivity.READY:
            self._answered = True
        self._on_change()


def make_forwarder(
    config: DownstreamConfig, metrics: TransportMetrics, on_change: Callable[[], None]
) -> Forwarder:
    """Return what the configuration asks for; raises ValueError for a bad token or PEM file."""
    if config.discards:
        return DiscardForwarder(metrics)
    return GrpcForwarder(config, metrics, on_change)


def _ignore(state: grpc.ChannelConnectivity) -> None:
    """Take no note; `GrpcForwarder.tick` subscribes only to make the channel connect."""


def _code(error: grpc.RpcError) -> Code:
    return Code(_ended(error).code().value[0])


def _ended(error: grpc.RpcError) -> grpc.Call:
    """Return the call that an error is, at the same time, in the synchronous client."""
    return cast("grpc.Call", error)


def _never_left(error: BaseException) -> bool:
    """Tell whether gRPC had no connection, so that nothing of the request was sent."""
    if not isinstance(error, grpc.RpcError) or _code(error) is not Code.UNAVAILABLE:
        return False
    return (_ended(error).details() or "").startswith(_NEVER_SENT)


def _failure(error: grpc.RpcError) -> Failure:
    for name, value in _ended(error).trailing_metadata() or ():
        if name == STATUS_DETAILS_HEADER and isinstance(value, bytes):
            return Failure(_code(error), retry_after_s_in(value))
    return Failure(_code(error))
