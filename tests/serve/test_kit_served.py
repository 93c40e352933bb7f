"""A plugin file in a running gate: what it drops, and what a reload makes of a changed file."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from gate_process import GateProcess, gate_config, running_gate
from kit_records import logs
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from waiting import eventually

PLUGIN = """\
from tapeline.kit import LogRecord, processor


@processor(name="drop")
def drop(record: LogRecord) -> None:
    record.derive.count("seen")
    if record.body_text == "one":
        record.drop()
    if record.body_text == "broken":
        raise ValueError("hunter" + "2")
"""
DROPPED = "tapeline_kit_records_dropped_total"


@dataclass
class Served:
    """A gate with the plugin in its chain of logs."""

    gate: GateProcess
    plugin: Path
    export: Callable[..., bytes]

    def send(self, *bodies: str) -> None:
        """Send log records; raises grpc.RpcError where they are refused."""
        self.export(logs(*bodies).payload, timeout=20)

    def reload(self, text: str) -> None:
        """Change the plugin and tell the gate."""
        self.plugin.write_text(text, encoding="utf-8")
        self.gate.process.send_signal(signal.SIGHUP)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a gate that is ready, with a client."""
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    config = gate_config("discard", {}, plugins=["plugin.py"])
    config["chain"] = {"logs": ["drop"], "traces": [], "metrics": []}
    with (
        running_gate(tmp_path, config) as gate,
        grpc.insecure_channel(gate.address) as channel,
    ):
        yield Served(gate, plugin, channel.unary_unary(EXPORT_METHODS[Signal.LOGS]))


def test_a_changed_file_is_taken_by_a_reload_and_a_broken_one_refused(served: Served) -> None:
    """The old one works on; nothing that it says names data."""
    gate = served.gate
    served.send("one", "two")
    assert gate.count(DROPPED) == 1

    served.reload(PLUGIN.replace('"one"', '"two"'))
    eventually(lambda: gate.count("tapeline_reloads_total") == 1)
    served.send("one", "two", "two")
    assert gate.count(DROPPED) == 2  # a chain's counters begin with it

    served.reload(PLUGIN.replace("record: LogRecord", "record: str"))
    eventually(lambda: gate.count("tapeline_reloads_total") == 2)
    served.send("two")
    assert gate.count(DROPPED) == 3
    told = gate.log.read_text(encoding="utf-8")
    assert f"plugins[0]: {served.plugin}:4: drop: the record's annotation must be" in told


def test_what_a_plugin_fails_on_is_retried_and_never_told(served: Served) -> None:
    """UNAVAILABLE, so that the collector sends it again; the log has the place, not the text."""
    with pytest.raises(grpc.RpcError) as caught:
        served.send("two", "broken")

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    told = served.gate.log.read_text(encoding="utf-8")
    assert f"the processor 'drop' failed with ValueError at {served.plugin}:10" in told
    assert "hunter" + "2" not in told
    served.send("two")
    assert served.gate.count("tapeline_kit_derived_total") == 1


def test_derived_metrics_leave_the_gate(served: Served) -> None:
    """Acknowledged by downstream like any other batch."""
    served.send("two", "two")

    assert served.gate.count("tapeline_forwarded_records_total") == 3
