"""Network addresses as people write them in YAML: `127.0.0.1:4319`, `[::1]:4319`."""

import re
import socket
from dataclasses import dataclass
from typing import Final

__all__ = ["Address", "listen_on", "parse_address"]

MAX_PORT: Final = 65535
_ADDRESS: Final[re.Pattern[str]] = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the spelling that `parse_address` reads, which is also gRPC's."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return self.host in _LOOPBACK_HOSTS or self.host.startswith("127.")

    def shifted(self, count: int) -> "Address":
        """Return the address `count` ports further; port 0 stays 0. Raises ValueError at the end.

        Worker i of a sidecar listens on the port of worker 0 plus i.
        """
        if self.port == 0:
            return self
        port = self.port + count
        if port > MAX_PORT:
            raise ValueError(f"{self} plus {count} is beyond port {MAX_PORT}; choose a lower port")
        return Address(self.host, port)


def parse_address(text: object) -> Address:
    """Return the address that a text spells; raises ValueError that says how to write one."""
    if not isinstance(text, str):
        raise TypeError(f"an address is a text, not {type(text).__name__}")
    if "://" in text:
        raise ValueError(f"{text!r} has a scheme; write only HOST:PORT, as 127.0.0.1:4317")
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an address: {text!r}; write HOST:PORT, as 127.0.0.1:4317")
    port = int(match["port"])
    if port > MAX_PORT:
        raise ValueError(f"{text!r}: a port is at most {MAX_PORT}")
    return Address(match["ip6"] or match["host"], port)


def listen_on(address: Address, backlog: int) -> socket.socket:
    """Return a socket that listens there; raises OSError, whose `strerror` says what to do."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        told = (
            f"{error.strerror}; stop what listens there (`ss -ltnp 'sport = :{address.port}'`"
            " names it) or choose another port"
        )
        raise OSError(error.errno, told) from error
    return listener
