"""Which ports the servers of a stack listen on, and who holds one that is taken."""

import random
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

__all__ = ["HOST", "PortError", "Ports", "holder_of", "is_free"]

# The stack is for one machine, and nothing in it is protected for more than that.
HOST: Final = "127.0.0.1"
_HIGHEST_PORT: Final = 65535
# Below the range that Linux hands out to clients (32768 and up), so that no connection takes one.
_FREE_RANGE: Final = (20_000, 32_000)
_FREE_ATTEMPTS: Final = 50
_STATE_LISTEN: Final = "0A"


class PortError(Exception):
    """A port is taken or out of range; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """One TCP port for each listener of the stack, all on 127.0.0.1."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    gate: int = 4319
    gate_admin: int = 8090
    signals: int = 4329
    signals_admin: int = 8091
    egress: int = 14317
    collector_health: int = 13133
    collector_metrics: int = 8888
    # Of the second collector process, where the two halves run apart.
    egress_health: int = 13134
    egress_metrics: int = 8887
    prometheus_exporter: int = 8889
    prometheus: int = 9090
    loki: int = 3100
    loki_grpc: int = 3195
    jaeger: int = 16686
    jaeger_grpc: int = 16685
    jaeger_otlp: int = 24317
    jaeger_health: int = 23133
    jaeger_metrics: int = 18888
    node_exporter: int = 9100
    alertmanager: int = 9093
    inbox: int = 8092

    @classmethod
    def from_base(cls, base: int) -> Self:
        """Return consecutive ports from `base` on; raises PortError where they don't fit."""
        names = [field.name for field in fields(cls)]
        if not 1 <= base <= _HIGHEST_PORT - len(names):
            raise PortError(
                f"port base {base} is out of range: {len(names)} ports are needed, so take one "
                f"from 1 to {_HIGHEST_PORT - len(names)}."
            )
        return cls(**{name: base + position for position, name in enumerate(names)})

    @classmethod
    def free(cls) -> Self:
        """Return a block of ports that are free right now, for stacks that run side by side."""
        count = len(fields(cls))
        for _ in range(_FREE_ATTEMPTS):
            base = random.randrange(_FREE_RANGE[0], _FREE_RANGE[1] - count)  # noqa: S311 - no secret
            if all(is_free(base + position) for position in range(count)):
                return cls.from_base(base)
        raise PortError(
            f"no {count} free ports in a row were found between {_FREE_RANGE[0]} and "
            f"{_FREE_RANGE[1]}; give a base with --port-base."
        )


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str | None:
    """Return `name (pid N)` of the process that listens on a port, where /proc lets us see it."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if _holds(process, wanted):
            name = _read(process / "comm").strip() or "a process"
            return f"{name} (pid {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    """Columns of /proc/net/tcp, after the header: 1 local address, 3 state, 9 inode (proc(5))."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(Path(table)).splitlines()[1:]:
            columns = line.split()
            if columns[3] == _STATE_LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def _holds(process: Path, wanted: set[str]) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False  # It ended meanwhile, or is another user's.
    return any(_link(descriptor) in wanted for descriptor in descriptors)


def _link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
