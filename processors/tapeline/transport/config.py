"""The `server` and `downstream` sections of the configuration.

Paths are relative to the working directory of the process, as the collector's are.
"""

import re
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tapeline.pipeline.addresses import Address, parse_address
from tapeline.pipeline.durations import Duration

__all__ = [
    "DISCARD",
    "AuthConfig",
    "DownstreamConfig",
    "DownstreamTlsConfig",
    "QuarantineConfig",
    "ServerConfig",
    "ServerTlsConfig",
]

DISCARD: Final = "discard"
"""The endpoint that acknowledges and drops: for benchmarks and dry runs."""

MAX_WORKERS: Final = 64
MAX_MESSAGE_MIB: Final = 1024
MAX_IN_FLIGHT: Final = 512
MAX_FORWARDED_HEADERS: Final = 32
_HEADER: Final[re.Pattern[str]] = re.compile(r"[a-z0-9_.-]{1,128}")
# Names that gRPC and HTTP/2 own; copying them across would break the outgoing call.
_OWNED_HEADERS: Final = frozenset({"te", "content-type", "user-agent", "host", "connection"})


class ServerTlsConfig(BaseModel):
    """TLS of the OTLP server, and with `client_ca_file` mutual TLS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # PEM: the server's certificate, followed by intermediate certificates if there are any.
    cert_file: Path
    # PEM: the private key that belongs to it, without a passphrase.
    key_file: Path
    # PEM: the authorities of client certificates. null: no client certificate is asked for.
    client_ca_file: Path | None = None
    # Client names (subject common name or DNS alternative name) that may send. Empty: every name
    # whose certificate `client_ca_file` vouches for.
    client_names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_need_certificates(self) -> Self:
        if self.client_names and self.client_ca_file is None:
            raise ValueError("client_names needs client_ca_file: without it no client has a name")
        return self


class DownstreamTlsConfig(BaseModel):
    """TLS towards downstream, and with a certificate of our own mutual TLS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # PEM: the authorities of downstream's certificate. null: those that gRPC ships.
    ca_file: Path | None = None
    # PEM: our own certificate and key. null: downstream asks for none.
    cert_file: Path | None = None
    key_file: Path | None = None
    # The name that downstream's certificate must carry. null: the host of the endpoint.
    server_name: str | None = None

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; set both or none")
        return self


class AuthConfig(BaseModel):
    """Bearer tokens. They stand in a file, never in the configuration; SIGHUP reads it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # One token a line; empty lines and lines that begin with # are skipped. The server takes every
    # token of the file (so that tokens can be rotated); towards downstream the first one is sent.
    token_file: Path


class QuarantineConfig(BaseModel):
    """Where payloads go that the chain failed on again and again: redacted, or not at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Made with mode 0700 where absent; its files have mode 0600.
    folder: Path
    # Files in the folder; beyond it nothing more is written, and that is counted. 0: write nothing.
    max_files: int = Field(default=100, ge=0, le=100_000)
    # MiB of all files together; as above.
    max_mib: int = Field(default=256, ge=0, le=1024 * 1024)


class ServerConfig(BaseModel):
    """The OTLP/gRPC server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # HOST:PORT of OTLP/gRPC; worker i listens on this port + i. Port 0 takes a free port.
    listen: str = "127.0.0.1:4319"
    # Processes; one process uses one core. 1: no child processes.
    workers: int = Field(default=1, ge=1, le=MAX_WORKERS)
    # MiB of one request, also after decompression; beyond it the client must not retry.
    max_message_mib: int = Field(default=64, ge=1, le=MAX_MESSAGE_MIB)
    # Bytes of one value (an attribute, a log body); longer ones are cut after the chain.
    # 0: no value is cut. Jaeger refuses index keys above 65,000, of which the value is a part.
    max_value_bytes: int = Field(default=60000, ge=0)
    # Times that a payload on which the chain fails is taken back before it is given up.
    max_attempts: int = Field(default=5, ge=1, le=1000)
    # Requests that are worked on at once; those beyond are told to come back.
    max_in_flight: int = Field(default=32, ge=1, le=MAX_IN_FLIGHT)
    # How long a client may take to send one request before the call is cancelled.
    receive_timeout: Duration = Field(default=30.0, gt=0)
    # How long SIGTERM waits for requests in flight and last emissions. 0: cancel them at once.
    drain_timeout: Duration = Field(default=10.0, ge=0)
    # null: what is given up leaves nothing behind but its count.
    quarantine: QuarantineConfig | None = None
    # null: plain text, which is for loopback.
    tls: ServerTlsConfig | None = None
    # null: every client may send.
    auth: AuthConfig | None = None
    # Names of call metadata (headers) that are carried across to downstream.
    forward_metadata: tuple[str, ...] = Field(default=(), max_length=MAX_FORWARDED_HEADERS)

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return str(parse_address(value))

    @field_validator("forward_metadata")
    @classmethod
    def _may_be_forwarded(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(name.lower() for name in names)
        for name in lowered:
            if not _HEADER.fullmatch(name) or name.startswith("grpc-") or name in _OWNED_HEADERS:
                raise ValueError(f"{name!r} is not a header that can be carried across")
            if name.endswith("-bin"):
                raise ValueError(f"{name!r} is binary; only text headers are carried across")
            if name == "authorization":
                raise ValueError(
                    "'authorization' stays on its own hop; set downstream.auth to send a token"
                )
        if len(set(lowered)) != len(lowered):
            raise ValueError("a header stands here twice")
        return lowered

    @model_validator(mode="after")
    def _ports_suffice(self) -> Self:
        self.worker_address(self.workers - 1)
        return self

    @property
    def max_message_bytes(self) -> int:
        """`max_message_mib` in bytes."""
        return self.max_message_mib * 1024 * 1024

    def worker_address(self, index: int) -> Address:
        """Return where worker `index` listens; raises ValueError beyond the last port."""
        return parse_address(self.listen).shifted(index)


class DownstreamConfig(BaseModel):
    """Where processed telemetry goes: the egress half of the collector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # HOST:PORT of OTLP/gRPC, or `discard`: acknowledge and drop, for benchmarks.
    endpoint: str = "127.0.0.1:14317"
    # How long one request may take downstream, retries included. Below the sender's own timeout,
    # or the sender gives up first and sends everything again.
    timeout: Duration = Field(default=8.0, gt=0)
    # null: plain text, which is for loopback.
    tls: DownstreamTlsConfig | None = None
    # null: no token is sent.
    auth: AuthConfig | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        return value if value == DISCARD else str(parse_address(value))

    @property
    def discards(self) -> bool:
        """Tell whether what arrives is dropped instead of forwarded."""
        return self.endpoint == DISCARD
