"""TLS credentials from PEM files, for the server and towards downstream."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from tapeline.transport.config import DownstreamTlsConfig, ServerTlsConfig

__all__ = [
    "PemFiles",
    "ServerCertificates",
    "TlsFileError",
    "downstream_credentials",
    "read_downstream",
]


class TlsFileError(ValueError):
    """A PEM file that can't be used; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class PemFiles:
    """The content of PEM files, None where one is not set; equal where nothing has changed."""

    roots: bytes | None = None
    key: bytes | None = None
    certificate: bytes | None = None


def _read(path: Path, key: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{key}: {path} can't be read: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise TlsFileError(f"{key}: {path} is not a PEM file")
    return content


class ServerCertificates:
    """The server's certificates; a reload takes effect at the next handshake.

    gRPC takes a new configuration only from a callback that it makes at each handshake, which is
    also the only place where handshakes can be counted: it does not tell how they end.
    """

    def __init__(self, config: ServerTlsConfig, on_handshake: Callable[[], None]) -> None:
        self._config = config
        self._on_handshake = on_handshake
        self._loaded = self._load()
        self._pending: grpc.ServerCertificateConfiguration | None = None
        self.credentials = grpc.dynamic_ssl_server_credentials(
            self._loaded,
            # None is documented and means: as before. The stubs don't know.
            self._next,  # type: ignore[arg-type]
            require_client_authentication=config.client_ca_file is not None,
        )

    def reload(self) -> None:
        """Read the files again; raises TlsFileError and keeps the old where they can't be used."""
        self._pending = self._load()

    def _load(self) -> grpc.ServerCertificateConfiguration:
        config = self._config
        certificate = _read(config.cert_file, "server.tls.cert_file")
        key = _read(config.key_file, "server.tls.key_file")
        roots = None
        if config.client_ca_file is not None:
            roots = _read(config.client_ca_file, "server.tls.client_ca_file")
        return grpc.ssl_server_certificate_configuration([(key, certificate)], roots)

    def _next(self) -> grpc.ServerCertificateConfiguration | None:
        self._on_handshake()
        pending, self._pending = self._pending, None
        return pending


def read_downstream(config: DownstreamTlsConfig) -> PemFiles:
    """Return what the files towards downstream hold; raises TlsFileError."""
    return PemFiles(
        roots=_read_if_set(config.ca_file, "downstream.tls.ca_file"),
        key=_read_if_set(config.key_file, "downstream.tls.key_file"),
        certificate=_read_if_set(config.cert_file, "downstream.tls.cert_file"),
    )


def _read_if_set(path: Path | None, key: str) -> bytes | None:
    return None if path is None else _read(path, key)


def downstream_credentials(files: PemFiles) -> grpc.ChannelCredentials:
    """Return the credentials towards downstream."""
    return grpc.ssl_channel_credentials(files.roots, files.key, files.certificate)
