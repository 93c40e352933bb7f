"""Batches under way at once: which of them a replay that ends has to begin with."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recording.delivery import Delivery, Patience
from tapeline.recording.replay import Plan, Position, Replay
from tapeline.recording.senders import Reply, Verdict


def log(number: int) -> Batch:
    """Return a batch with a log record of its own."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=number).body.string_value = str(number)
    return Batch(Signal.LOGS, request.SerializeToString())


@dataclass
class StuckSender:
    """Takes every batch but one, which it refuses for now when so many others have passed."""

    stuck: bytes
    others: int
    taken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    have_passed: threading.Event = field(default_factory=threading.Event)

    def send(self, batch: Batch, timeout_s: float) -> Reply:
        """Answer at once, or when the others have passed."""
        if batch.payload == self.stuck:
            assert self.have_passed.wait(timeout_s)
            return Reply(Verdict.RETRY, reason="UNAVAILABLE")
        with self.lock:
            self.taken += 1
            if self.taken >= self.others:
                self.have_passed.set()
        return Reply(Verdict.ACCEPTED)

    def close(self) -> None:
        """There is nothing to close."""


def test_however_many_pass_by_the_one_that_is_stuck_is_where_to_go_on(tmp_path: Path) -> None:
    """A batch may be tried for a minute, in which the others go on by tens of thousands."""
    batches = [log(number) for number in range(1, 6_001)]
    file = tmp_path / "recording"
    encode = encoder(Format.PROTO, Compression.NONE)
    file.write_bytes(b"".join(encode(batch) for batch in batches))
    sender = StuckSender(batches[2].payload, others=5_000)
    patience = Patience(timeout_s=60, give_up_after_s=0, in_flight=4)

    outcome = Replay(Plan((file,), speed=None), Delivery(sender, patience), time.time_ns).run()

    assert outcome.resume_at == Position(file, 3)
    assert outcome.totals.accepted >= 5_000
