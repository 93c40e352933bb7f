"""Stacks for the tests: real servers on free ports, in a folder that goes away."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay import Relay
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides

CAPTURE_FILE = Path(__file__).with_name("data") / "capture.yaml"


@dataclass(frozen=True)
class CollectorStack:
    """A collector whose egress half writes to files, with a relay where the gate would be."""

    stack: Stack
    relay: Relay
    folder: Path

    @property
    def otlp(self) -> str:
        """The address that a service sends OTLP to."""
        return f"{HOST}:{self.stack.ports.otlp_grpc}"

    @property
    def log_files(self) -> Path:
        """The folder that `file_log` watches."""
        return self.stack.directory / "log-files"

    def captured(self, signal: str) -> list[dict[str, Any]]:
        """Return what egress handed on so far: whole lines only, each a request."""
        path = self.folder / f"{signal}.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole, _, _ = text.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def spans(self) -> list[dict[str, Any]]:
        """Return every captured span."""
        return [
            span
            for request in self.captured("traces")
            for group in request["resourceSpans"]
            for scoped in group["scopeSpans"]
            for span in scoped["spans"]
        ]

    def log_records(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Return every captured log record with its resource's string attributes."""
        return [
            (string_attributes(group["resource"]), record)
            for request in self.captured("logs")
            for group in request["resourceLogs"]
            for scoped in group["scopeLogs"]
            for record in scoped["logRecords"]
        ]


def string_attributes(owner: Mapping[str, Any]) -> dict[str, str]:
    """Return the string attributes of a captured resource or record."""
    return {
        item["key"]: item["value"]["stringValue"]
        for item in owner.get("attributes", [])
        if "stringValue" in item["value"]
    }


StartCollector = Callable[..., CollectorStack]


@pytest.fixture(scope="module")
def start_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCollector]:
    """Return a function that starts a collector and a relay; all end with the module."""
    with ExitStack() as running:

        def start(
            environment: Mapping[str, str] | None = None,
            ingress_files: Sequence[Path] = (),
            *,
            two_collectors: bool = False,
            with_relay: bool = True,
        ) -> CollectorStack:
            folder = tmp_path_factory.mktemp("collector")
            knobs = {"CAPTURE_DIR": str(folder), "TAPELINE_DECISION_WAIT": "1s"}
            knobs.update(environment or {})
            ports = Ports.free()
            overrides = Overrides(
                ingress_files=tuple(ingress_files),
                egress_files=(CAPTURE_FILE,),
                environment={"collector": knobs, "collector-egress": knobs},
                two_collectors=two_collectors,
            )
            relay = Relay(f"{HOST}:{ports.gate}", f"{HOST}:{ports.egress}")
            if with_relay:
                running.enter_context(relay)
            stack = Stack(folder / "run", ports, servers=("collector",), overrides=overrides)
            running.enter_context(stack)
            return CollectorStack(stack, relay, folder)

        yield start
