"""A `tapeline record` process, and how to send to it."""

import gzip
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from recorded_files import read_all
from tapeline.recorded.reader import Flaw
from waiting import eventually

__all__ = ["Recording", "bodies_in", "files_in", "post", "recording"]

_LISTENING = re.compile(r"taking OTLP on (\S+) \(gRPC\) and (\S+) \(HTTP\)")


@dataclass(frozen=True)
class Recording:
    """A recording under way: its process, its addresses, and the file of what it says."""

    process: "subprocess.Popen[bytes]"
    grpc: str
    http: str
    said_file: Path

    @property
    def said(self) -> str:
        """What it wrote on standard error so far."""
        return self.said_file.read_text(encoding="utf-8")

    def end(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        return self.process.wait(30)


@contextmanager
def recording(out: Path, said_file: Path, *options: str) -> Iterator[Recording]:
    """Run `tapeline record` on free ports, and kill what is left of it at the end."""
    command = [sys.executable, "-m", "tapeline.cli", "record", str(out)]
    ports = ["--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]
    with (
        said_file.open("wb") as said,
        subprocess.Popen([*command, *ports, *options], stderr=said) as process,
    ):
        try:

            def listening() -> "re.Match[str] | None":
                return _LISTENING.search(said_file.read_text(encoding="utf-8"))

            found = eventually(listening)
            yield Recording(process, found[1], found[2], said_file)
        finally:
            process.kill()


def post(
    address: str, path: str, body: bytes, content_type: str, *, zipped: bool = False
) -> tuple[int, bytes, dict[str, str]]:
    """Send a body over HTTP; return status, body and headers of the answer."""
    headers = {"Content-Type": content_type}
    if zipped:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    request = urllib.request.Request(f"http://{address}{path}", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def files_in(folder: Path) -> list[Path]:
    """Return the recordings of a folder, oldest first."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(("recording-", "worker-")) and path.suffix != ".json"
    )


def requests_in(path: Path) -> tuple[list[Message], list[Flaw]]:
    """Return the requests of a recording and its flaws."""
    found, flaws = read_all(path.read_bytes())
    return [item.batch.request for item in found], flaws


def bodies_in(*paths: Path) -> list[str]:
    """Return the bodies of all log records, in order; damaged ends are passed over."""
    requests: list[Any] = [request for path in paths for request in requests_in(path)[0]]
    return [
        record.body.string_value
        for request in requests
        if isinstance(request, ExportLogsServiceRequest)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def status_of(body: bytes) -> dict[str, Any]:
    """Return the status in a JSON answer."""
    document: dict[str, Any] = json.loads(body)
    return document
