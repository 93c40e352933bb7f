"""Sends one recorded batch to an OTLP endpoint, and says what became of it: gRPC and HTTP.

Which answers may be tried again is OTLP's: specification 1.11, "Failures" of OTLP/gRPC and
"Retryable Response Codes" of OTLP/HTTP.
"""

import http.client
import ssl
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tapeline.otlp.signals import EXPORT_METHODS, Signal
from tapeline.pipeline.addresses import parse_address
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.token_files import bearer_header, read_tokens
from tapeline.transport.answers import STATUS_DETAILS_HEADER, retry_after_s_in

__all__ = ["GrpcSender", "HttpSender", "Reply", "Sender", "Target", "Verdict", "make_sender"]

_MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024  # OTLP 1.11: the limit of a response
_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
    # gRPC's default grows to two minutes: the replay would sleep long after the endpoint is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),  # They would be invisible to the report.
    ("grpc.use_local_subchannel_pool", 1),
)
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""RESOURCE_EXHAUSTED is one of them only with a RetryInfo."""
_HTTP_OK: Final = 200
_RETRYABLE_STATUS: Final = frozenset({429, 502, 503, 504})
# OTLP has them not tried again. They are of the sender, not of the batch: the next fares no better.
_DENIALS: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_DENIAL_STATUS: Final = frozenset({401, 403})
_PATHS: Final = {
    Signal.LOGS: "/v1/logs",
    Signal.TRACES: "/v1/traces",
    Signal.METRICS: "/v1/metrics",
}
_HTTP_PORT: Final = 4318

_Call: TypeAlias = Callable[..., bytes]


class Verdict(StrEnum):
    """What an attempt came to."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    REFUSED = "refused"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Reply:
    """The endpoint's answer. `rejected` counts records of a partial success; `reason` is a code."""

    verdict: Verdict
    rejected: int = 0
    reason: str = ""
    retry_after_s: float | None = None


class Sender(Protocol):
    """Where batches go. Thread-safe."""

    def send(self, batch: Batch, timeout_s: float) -> Reply:
        """Make one attempt. Raises nothing that the endpoint could be the cause of."""

    def close(self) -> None:
        """Disconnect."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint: HOST:PORT for gRPC, http:// or https:// for HTTP; what it wants to see of us.

    `tls` is for gRPC; with https it goes without saying. Files are PEM.
    """

    endpoint: str
    token_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    @property
    def uses_tls(self) -> bool:
        """Whether anything asks for TLS."""
        files = (self.ca_file, self.cert_file, self.server_name)
        return self.tls or any(each is not None for each in files)


def make_sender(target: Target) -> Sender:
    """Return the sender of an endpoint; raises ValueError or OSError that says what is wrong."""
    token = None
    if target.token_file is not None:
        token = bearer_header(read_tokens(target.token_file)[0])
    if (target.cert_file is None) != (target.key_file is None):
        raise ValueError("a client certificate and its key belong together: give both")
    scheme, separator, _ = target.endpoint.partition("://")
    if not separator:
        return GrpcSender(target, token)
    if scheme in {"http", "https"}:
        return HttpSender(target, token)
    raise ValueError(f"{target.endpoint!r}: write HOST:PORT for gRPC, http:// or https:// for HTTP")


class GrpcSender:
    """OTLP/gRPC over one channel."""

    def __init__(self, target: Target, token: tuple[str, str] | None) -> None:
        address = str(parse_address(target.endpoint))
        self._metadata = None if token is None else (token,)
        options = list(_OPTIONS)
        if target.uses_tls:
            # gRPC takes any file, and then no connection comes about.
            _tls_context(target)
            if target.server_name is not None:
                options.append(("grpc.ssl_target_name_override", target.server_name))
            credentials = grpc.ssl_channel_credentials(
                _content(target.ca_file), _content(target.key_file), _content(target.cert_file)
            )
            self._channel = grpc.secure_channel(address, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(address, options=options)
        self._calls: dict[Signal, _Call] = {
            signal: self._channel.unary_unary(method) for signal, method in EXPORT_METHODS.items()
        }

    def send(self, batch: Batch, timeout_s: float) -> Reply:
        """Make one Export call."""
        try:
            response = self._calls[batch.signal](
                batch.payload, timeout=timeout_s, metadata=self._metadata
            )
        except grpc.RpcError as error:
            return _refusal(cast("grpc.Call", error))
        return Reply(Verdict.ACCEPTED, rejected=_rejected(response))

    def close(self) -> None:
        """Cancel what is in flight and disconnect."""
        self._channel.close()


def _tls_context(target: Target) -> ssl.SSLContext:
    """Return what verifies the endpoint; raises OSError or a ValueError that names the file."""
    for file in filter(None, (target.ca_file, target.cert_file, target.key_file)):
        with file.open("rb"):
            pass
    try:
        context = ssl.create_default_context(
            cafile=None if target.ca_file is None else str(target.ca_file)
        )
    except ssl.SSLError as error:
        raise ValueError(f"{target.ca_file}: holds no authority as PEM") from error
    if target.cert_file is not None:
        try:
            context.load_cert_chain(target.cert_file, target.key_file, password="")
        except ssl.SSLError as error:
            raise ValueError(
                f"{target.cert_file}, {target.key_file}: not a certificate and its key as PEM,"
                " the key without a passphrase"
            ) from error
    return context


def _content(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _refusal(ended: grpc.Call) -> Reply:
    code = ended.code()
    delay_s = None
    for name, value in ended.trailing_metadata() or ():
        if name == STATUS_DETAILS_HEADER and isinstance(value, bytes):
            delay_s = retry_after_s_in(value)
    again = code in _RETRYABLE or (
        code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is not None
    )
    # Its message is not passed on: it may quote what it refuses.
    verdict = Verdict.RETRY if again else Verdict.REFUSED
    if code in _DENIALS:
        verdict = Verdict.DENIED
    return Reply(verdict, reason=code.name, retry_after_s=delay_s)


def _rejected(response: bytes) -> int:
    if not response:
        return 0
    try:
        # The three responses have the same shape: partial_success {rejected, error_message}.
        partial = ExportLogsServiceResponse.FromString(response).partial_success
    except DecodeError:
        return 0
    return max(partial.rejected_log_records, 0)


class HttpSender:
    """OTLP/HTTP with protobuf bodies; each thread has a connection of its own."""

    def __init__(self, target: Target, token: tuple[str, str] | None) -> None:
        url = urllib.parse.urlsplit(target.endpoint)
        if "@" in url.netloc:
            # Not quoted: what stands before it is a password.
            raise ValueError("the endpoint's URL takes no user and password; use a token file")
        if not url.hostname or url.query or url.fragment:
            raise ValueError(f"{target.endpoint!r} is no base URL, as http://127.0.0.1:4318")
        if url.scheme == "http" and target.uses_tls:
            raise ValueError(f"{target.endpoint!r} has no TLS: write https://")
        if target.server_name is not None:
            raise ValueError("a server name goes with gRPC alone; over HTTP it is the URL's host")
        self._host = url.hostname
        self._port = url.port or _HTTP_PORT
        self._base = url.path.rstrip("/")
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "tapeline"}
        if token is not None:
            self._headers["Authorization"] = token[1]
        self._context: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._context = _tls_context(target)
        self._of_thread = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def send(self, batch: Batch, timeout_s: float) -> Reply:
        """Make one POST."""
        connection = self._connection(timeout_s)
        try:
            connection.request(
                "POST", self._base + _PATHS[batch.signal], batch.payload, self._headers
            )
            response = connection.getresponse()
            body = response.read(_MAX_RESPONSE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Reply(Verdict.RETRY, reason=type(error).__name__)
        if response.status == _HTTP_OK:
            return Reply(Verdict.ACCEPTED, rejected=_rejected(body))
        verdict = Verdict.RETRY if response.status in _RETRYABLE_STATUS else Verdict.REFUSED
        if response.status in _DENIAL_STATUS:
            verdict = Verdict.DENIED
        return Reply(
            verdict,
            reason=f"HTTP {response.status}",
            retry_after_s=_seconds(response.headers.get("Retry-After")),
        )

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        known: http.client.HTTPConnection | None = getattr(self._of_thread, "connection", None)
        if known is None:
            if self._context is None:
                known = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
            else:
                known = http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout_s, context=self._context
                )
            self._of_thread.connection = known
            self._all.append(known)
        return known

    def close(self) -> None:
        """Disconnect; nothing may be in flight any more."""
        for connection in self._all:
            connection.close()


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After in seconds; its other form, a date, counts as none."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
