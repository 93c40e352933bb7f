"""Readers of a gate's tap, each in a thread of its own, and a gate that has one."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from gate_process import GateProcess, gate_config
from waiting import eventually

TOKEN = "0123456789abcdef" * 2


@dataclass
class Looking:
    """A reader that takes what comes, in a thread of its own."""

    response: HTTPResponse
    records: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    text: str = ""
    has_ended: bool = False

    def run(self) -> None:
        """Read to the end."""
        kind = ""
        try:
            while line := self.response.readline().decode():
                self.text += line
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ").strip()
                elif line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
                    if kind == "record":
                        self.records.append(told)
                    else:
                        self.counts = told
        except (OSError, ValueError, AttributeError):
            pass  # The test has closed it.
        self.has_ended = True

    def bodies(self) -> set[str]:
        """Return the bodies of logs that showed."""
        return {record["fields"].get("body", "") for record in self.records}


@contextmanager
def looking(admin_port: int, query: str = "") -> Iterator[Looking]:
    """Look at a gate's tap."""
    connection = HTTPConnection("127.0.0.1", admin_port, timeout=20)
    connection.request("GET", f"/tap/events?{query}", headers={"Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    reader = Looking(response)
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    eventually(lambda: reader.counts, timeout_s=20, poll_s=0.02)
    try:
        yield reader
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
        response.close()
        connection.close()
        thread.join(10)


def tapped(folder: Path, downstream: str = "discard", **more: Any) -> dict[str, object]:
    """Return the configuration of a gate with a tap."""
    tokens = folder / "tokens"
    tokens.write_text(TOKEN, encoding="ascii")
    tap = {"token_file": str(tokens), "max_records_per_s": more.pop("rate", 50)}
    return {**gate_config(downstream, more.pop("server", {})), "admin": {"tap": tap}, **more}


def everything_of(gate: GateProcess, *readers: Looking) -> str:
    """Return all that a tap may have told: its streams, its pages, its metrics, its log."""
    pages = [gate.get(path)[1].decode() for path in ("/tap", "/metrics", "/health")]
    return "".join((*pages, *(reader.text for reader in readers), gate.log.read_text()))


def asked(gate: GateProcess, token: str) -> int:
    """Return the status that a token gets."""
    connection = HTTPConnection("127.0.0.1", gate.admin_port, timeout=10)
    connection.request("GET", "/tap/events", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status
