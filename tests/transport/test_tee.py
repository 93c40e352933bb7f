"""Recordings of what passes the gate: after the acknowledgement, and never in its way."""

import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from otlp_client import Span as SpanToSend
from otlp_client import logs, traces
from recorded_files import metadata_of
from recording_process import bodies_in
from small_disk import MIB, fill, mounted
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.recorded.folder import RecordingFolder
from tapeline.recorded.metadata import Policy, read_metadata
from tapeline.transport.answers import Code, Failure
from tapeline.transport.emissions import Emissions
from tapeline.transport.forwarder import DiscardForwarder
from tapeline.transport.gate import ChainSlot, Gate
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.record_config import RecordConfig
from tapeline.transport.tee import Tee
from waiting import eventually

REDACTED = Policy(raw=False, config_sha256="c", rules="r")


class Doubtful(DiscardForwarder):
    """Fails as often as it is told to."""

    failures = 0

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Refuse, or take it."""
        if self.failures:
            self.failures -= 1
            return Failure(Code.UNAVAILABLE)
        return super().forward(batch, timeout_s)


class Setup:
    """A gate with an empty chain and a tee."""

    def __init__(self, folder: Path, **section: object) -> None:
        self.folder = folder
        self.metrics = TransportMetrics(CollectorRegistry())
        self.policy = REDACTED
        config = RecordConfig.model_validate(
            {"folder": folder, "format": "proto", "compression": "none", **section}
        )
        self.tee = Tee(config, self.metrics.record, lambda: self.policy)
        slot = ChainSlot(self.metrics)
        slot.swap(Chain({}), 0)
        self.forwarder = Doubtful(self.metrics)
        self.gate = Gate(
            slot, self.forwarder, self.metrics, max_attempts=5, forward_timeout_s=8, tee=self.tee
        )

    def send(self, body: str, service: str = "orders") -> Code:
        """Send one log record; return the gate's answer."""
        payload = logs([body], {"service.name": service}).SerializeToString()
        return self.gate.export(Signal.LOGS, payload).code

    def files(self) -> list[Path]:
        """Return the recordings, oldest first."""
        return sorted(self.folder.glob("gate*.otlp.pb"))

    def end(self) -> list[str]:
        """End the recording and return the bodies in it."""
        self.tee.close(10)
        return bodies_in(*self.files())


def test_what_was_acknowledged_is_recorded_once(tmp_path: Path) -> None:
    """What downstream refused is sent again, and is in the recording only once."""
    setup = Setup(tmp_path)
    setup.forwarder.failures = 2

    assert [setup.send("a") for _ in range(3)] == [Code.UNAVAILABLE, Code.UNAVAILABLE, Code.OK]
    assert setup.send("b") is Code.OK
    assert setup.end() == ["a", "b"]
    assert metadata_of(setup.files()[0])["source"] == "gate"


def test_what_processors_emit_is_recorded_when_it_left(tmp_path: Path) -> None:
    """Emissions go the same way, and only once downstream took them."""
    setup = Setup(tmp_path)
    emissions = Emissions(setup.forwarder, setup.metrics, tee=setup.tee)
    emissions.add([Batch(Signal.LOGS, logs(["emitted"]).SerializeToString())])
    setup.forwarder.failures = 1
    emissions.forward(5)
    emissions.forward(5)

    assert setup.end() == ["emitted"]


def test_signals_and_services_are_selected(tmp_path: Path) -> None:
    """The rest passes the gate, and is in no recording."""
    setup = Setup(tmp_path, signals=["logs"], services=["orders"])
    setup.send("wanted")
    setup.send("other", "risk")
    span = traces([SpanToSend(b"t" * 16)], {"service.name": "orders"}).SerializeToString()
    assert setup.gate.export(Signal.TRACES, span).code is Code.OK

    assert setup.end() == ["wanted"]
    metadata = read_metadata(setup.files()[0])
    assert metadata is not None
    assert metadata.records == {Signal.LOGS: 1}


def test_a_full_queue_costs_the_recording_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The gate answers OK while the disk hangs; what is missing is counted, and said once."""
    hanging = threading.Event()
    flush = RecordingFolder.flush

    def slow(folder: RecordingFolder) -> None:
        hanging.wait(20)
        flush(folder)

    monkeypatch.setattr(RecordingFolder, "flush", slow)
    setup = Setup(tmp_path, max_waiting_mib=1)
    large = "x" * 400_000
    assert {setup.send(large) for _ in range(12)} == {Code.OK}
    dropped = setup.metrics.record.dropped["queue_full"]._value.get()
    hanging.set()
    recorded = setup.end()

    assert 7 <= dropped <= 11
    assert len(recorded) + dropped == 12
    assert setup.metrics.record.records[Signal.LOGS]._value.get() == len(recorded)
    assert caplog.text.count("the recording lacks batches") == 1


def test_a_full_disk_costs_the_recording_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The gate answers OK; when there is room the recording goes on, with whole messages."""
    disk = tmp_path / "disk"
    with mounted(disk, 2 * MIB):
        setup = Setup(disk / "recordings")
        setup.send("before")
        recorded = setup.metrics.record.records[Signal.LOGS]._value
        eventually(lambda: recorded.get() == 1)
        fill(disk / "filler")
        assert {setup.send("x" * 100_000) for _ in range(5)} == {Code.OK}
        dropped = setup.metrics.record.dropped["disk"]._value
        eventually(lambda: dropped.get() == 5)
        (disk / "filler").unlink()
        setup.send("after")

        assert setup.end() == ["before", "after"]
    assert caplog.text.count("the recording lacks batches (No space left on device)") == 1
    assert caplog.text.count("the recording goes on") == 1


def test_another_policy_begins_another_file(tmp_path: Path) -> None:
    """After a reload with other rules, the metadata of what follows says so."""
    setup = Setup(tmp_path)
    setup.send("a")
    eventually(setup.files)
    setup.policy = Policy(raw=False, config_sha256="d", rules="s")
    first = setup.files()[0]
    eventually(lambda: metadata_of(first)["closed"])
    setup.send("b")

    assert setup.end() == ["a", "b"]
    found = [read_metadata(path) for path in setup.files()]
    assert [each.policy.rules for each in found if each] == ["r", "s"]


def test_raw_is_what_came_in(tmp_path: Path) -> None:
    """Not what the chain made of it, nor what it emitted; only where it is meant."""
    with pytest.raises(ValidationError, match="raw_acknowledged: recordings hold secrets"):
        RecordConfig(folder=tmp_path, raw=True)
    setup = Setup(
        tmp_path, raw=True, raw_acknowledged="recordings hold secrets", services=["orders"]
    )
    setup.tee.emitted([Batch(Signal.LOGS, logs(["emitted"]).SerializeToString())])
    setup.send("came in")

    assert setup.end() == ["came in"]
    assert setup.files()[-1].stat().st_mode & 0o777 == 0o600


def test_a_folder_in_use_is_refused_at_start(tmp_path: Path) -> None:
    """Two gates do not remove each other's files."""
    setup = Setup(tmp_path)
    with pytest.raises(OSError, match="another process records here"):
        Setup(tmp_path)
    setup.end()


def test_nothing_is_offered_for_an_empty_request(tmp_path: Path) -> None:
    """A request without records has nothing to record, and no signal to be told by."""
    setup = Setup(tmp_path)
    assert setup.gate.export(Signal.TRACES, b"\x0a\x00").code is Code.OK

    assert setup.end() == []
    assert setup.metrics.record.offered._value.get() == 0
