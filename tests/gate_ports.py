"""Ports for a gate of several workers, and what its admin server answers."""

import random
import socket
from http.client import HTTPConnection

HOST = "127.0.0.1"


def ports_in_a_row(count: int) -> int:
    """Return the first of so many free ports, one after the other."""
    for _ in range(100):
        # Below the range that Linux hands out to clients, so that no connection takes one.
        first = random.randint(20_000, 32_000)  # noqa: S311 - not for security
        probes = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind((HOST, first + offset))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return first
    raise AssertionError("no free ports in a row")


def ask(port: int, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Return status, content type and body of what an admin server of this machine answers."""
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read().decode()
    finally:
        connection.close()
