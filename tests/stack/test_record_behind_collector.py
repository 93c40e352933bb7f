"""`tapeline record` behind the real collector: its exporters' gRPC, HTTP with protobuf and JSON."""

import json
import subprocess
from pathlib import Path

import grpc
import pytest

from otlp_client import logs, send
from ports import free_port
from recorded_files import read_all
from recording_process import files_in, recording
from sdk_requests import sdk_request
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recording.comparison import compare
from tapeline.stack.binaries import require
from waiting import eventually

pytestmark = pytest.mark.stack

EXPORTERS: dict[str, dict[str, object]] = {
    "otlp_grpc/gzip": {"tls": {"insecure": True}},
    "otlp_http/protobuf": {"encoding": "proto"},
    "otlp_http/json": {"encoding": "json"},
    "otlp_http/plain": {"encoding": "json", "compression": "none"},
}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_what_the_collector_sends_is_recorded(exporter: str, tmp_path: Path) -> None:
    """All three signals, exponential histograms and exemplars among them, say what was sent."""
    sent = [Batch(each, sdk_request(each).SerializeToString()) for each in Signal]
    with recording(tmp_path / "out", tmp_path / "said", "--raw", "--format", "proto") as running:
        port = free_port()
        is_grpc = exporter.startswith("otlp_grpc")
        endpoint = running.grpc if is_grpc else f"http://{running.http}"
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {exporter: {"endpoint": endpoint, **EXPORTERS[exporter]}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    each.value: {"receivers": ["otlp"], "exporters": [exporter]} for each in Signal
                },
            },
        }
        path = tmp_path / "collector.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        command = [str(require("collector")), "--config", str(path)]
        with (
            (tmp_path / "collector.log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as collector,
        ):
            try:
                eventually(lambda: _answers(f"127.0.0.1:{port}"))
                for batch in sent:
                    send(f"127.0.0.1:{port}", batch.request)
                out = tmp_path / "out"
                eventually(lambda: len(read_all(files_in(out)[0].read_bytes())[0]) == len(sent))
            finally:
                collector.terminate()
                collector.wait(20)
        assert running.end() == 0

    found, flaws = read_all(files_in(tmp_path / "out")[0].read_bytes())
    assert flaws == []
    assert compare(sent, [item.batch for item in found]).is_same


def _answers(address: str) -> bool:
    """Tell whether the collector takes OTLP: a request without records leaves no trace."""
    try:
        send(address, logs([]), timeout_s=1)
    except grpc.RpcError:
        return False
    return True
