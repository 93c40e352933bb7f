"""What `tapeline process` promises: bounded memory, the same result everywhere, however batched."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from fake_secrets import SHAPES, secret_text, seeded
from metric_requests import Series, at, attribute, batch_of, counted, points_by_labels
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recorded.reader import RecordedBatch
from tapeline.recording.comparison import compare
from tapeline.recording.process import Counts, Refusal, process_batches
from tapeline.settings import build_chain, load_settings

GATE = Path(__file__).parents[2] / "config" / "gate.yaml"
METRICS = ("orders.sent", "orders.filled")
MEBIBYTE = 1024 * 1024
MEMORY_MAX_BYTES = 150 * MEBIBYTE
# Another clock of the day, before anything of Tapeline is imported: nothing that reads one may
# show in the output. And the most memory that was resident, since VmHWM is of this program alone.
RUN = """
import sys, time
shift_s = float(sys.argv.pop(1))
for name, unit in (("time", 1), ("time_ns", 10**9)):
    real = getattr(time, name)
    setattr(time, name, lambda real=real, unit=unit: real() + type(real())(shift_s * unit))
from tapeline.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    sys.stderr.write(next(line for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""


def log(random: Random, number: int) -> Batch:
    """Return a batch of one log record with a secret in it."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.append(attribute("service.name", random.choice(("a", "b"))))
    record = group.scope_logs.add().log_records.add(time_unix_nano=at(number))
    text, make = random.choice(list(SHAPES.values()))
    record.body.string_value = f"login {number} {text.format(make(random))}"
    record.attributes.append(attribute("password", secret_text(random)))
    return Batch(Signal.LOGS, request.SerializeToString())


def span(random: Random, number: int) -> Batch:
    """Return a batch of one span with a secret in it."""
    request = ExportTraceServiceRequest()
    found = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(name="GET", trace_id=random.randbytes(16), span_id=random.randbytes(8))
    )
    found.end_time_unix_nano = at(number)
    found.attributes.append(attribute("http.url", f"/?api_key={secret_text(random)}"))
    return Batch(Signal.TRACES, request.SerializeToString())


def point(random: Random, number: int, totals: dict[int, int]) -> Batch:
    """Return a batch of the next value of one of some cumulative series, more than the limit."""
    key = random.randrange(24)
    totals[key] = totals.get(key, 0) + random.randrange(1, 9)
    labels = {"session": f"s{key // 2}", "venue": "x"}
    name = METRICS[key % 2]
    return batch_of(Series(name, [counted(labels, totals[key], number, start=-1.0)]))


def singles(seed: int, count: int) -> list[Batch]:
    """Return batches of one record each, of all signals."""
    random = seeded(seed)
    totals: dict[int, int] = {}
    made = []
    for number in range(count):
        kind = random.randrange(3)
        if kind == 0:
            made.append(log(random, number))
        elif kind == 1:
            made.append(span(random, number))
        else:
            made.append(point(random, number, totals))
    return made


def regrouped(batches: Sequence[Batch], sizes: Sequence[int]) -> list[Batch]:
    """Return the same records in batches of these sizes, over and over, one of each signal.

    Protobuf merges what is concatenated, so joined requests are one request.
    """
    found: list[Batch] = []
    left = iter(batches)
    for size in cycle(sizes):
        group = list(islice(left, size))
        if not group:
            return found
        for signal in Signal:
            payload = b"".join(each.payload for each in group if each.signal is signal)
            if payload:
                found.append(Batch(signal, payload))
    return found


def late_points(seed: int, count: int) -> list[Batch]:
    """Return batches of one point each, over half an hour at most, of series that begin any time.

    They say that they began long before, shortly before, or not when.
    """
    random = seeded(seed)
    totals: dict[int, int] = {}
    starts: dict[int, float] = {}
    made = []
    time = 0.0
    for number in range(count):
        time += random.uniform(1, 30)
        key = random.randrange(number + 2)
        totals[key] = totals.get(key, 0) + random.randrange(1, 9)
        start = starts.setdefault(key, random.choice((-1.0, time - random.uniform(0, 200), time)))
        labels = {"session": f"s{key}"}
        made.append(batch_of(Series(METRICS[0], [counted(labels, totals[key], time, start=start)])))
    return made


def chain_of(
    folder: Path, worker: int = 0, workers: int = 1, limits: str = "default_limit: 4"
) -> Chain:
    """Return the default chain of a worker, with room for a few series of a metric only."""
    config = folder / "gate.yaml"
    config.write_text(f"cardinality: {{{limits}}}\n", encoding="utf-8")
    context = ProcessorContext(CollectorRegistry(), worker, workers, live=False)
    return build_chain(load_settings(config), context)


def processed(chain: Chain, batches: Sequence[Batch]) -> list[Batch]:
    """Return what comes out of a chain, all of it."""
    items = (RecordedBatch(batch, number, 0) for number, batch in enumerate(batches, start=1))
    results = list(process_batches(items, chain, Counts()))
    assert not any(isinstance(result, Refusal) for result in results)
    return [result for result in results if isinstance(result, Batch)]


def last_values(batches: Sequence[Batch]) -> dict[Any, int]:
    """Return the last value of every series."""
    found: dict[Any, int] = {}
    for batch in batches:
        if batch.signal is Signal.METRICS:
            found |= {key: each.as_int for key, each in points_by_labels(batch).items()}
    return found


def of_records(batches: Sequence[Batch]) -> list[Batch]:
    """Return the batches of logs and spans."""
    return [batch for batch in batches if batch.signal is not Signal.METRICS]


@settings(max_examples=8)
@given(st.integers(0, 1000), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_other_batches_give_the_same_records_and_the_same_last_values(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: list[int]
) -> None:
    """Redacted alike, and folded to the same sums: also those of the overflow."""
    folder = tmp_path_factory.mktemp("splits")
    alone = singles(seed, 60)

    one_by_one = processed(chain_of(folder), alone)
    grouped = processed(chain_of(folder), regrouped(alone, sizes))

    assert compare(of_records(one_by_one), of_records(grouped)).is_same
    assert last_values(one_by_one) == last_values(grouped)
    assert len(last_values(one_by_one)) <= 5 * len(METRICS)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_without_a_warm_up_sums_beyond_a_limit_are_the_same_in_other_batches(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: list[int]
) -> None:
    """Whenever their series began, and whenever these say that they did."""
    folder = tmp_path_factory.mktemp("splits")
    alone = late_points(seed, 60)
    limits = "default_limit: 4, warmup: 0s"

    one_by_one = last_values(processed(chain_of(folder, limits=limits), alone))
    grouped = last_values(processed(chain_of(folder, limits=limits), regrouped(alone, sizes)))

    assert one_by_one == grouped
    assert len(one_by_one) == 5
    assert max(one_by_one.values()) > 0


def test_workers_give_what_one_gives(tmp_path: Path) -> None:
    """Each metric to one worker, as the collector routes them; logs and spans to any."""
    alone = singles(3, 300)
    workers = len(METRICS)
    shares: list[list[Batch]] = [[] for _ in range(workers)]
    for number, batch in enumerate(alone):
        worker = number % workers
        if batch.signal is Signal.METRICS:
            worker = next(
                each for each, name in enumerate(METRICS) if name.encode() in batch.payload
            )
        shares[worker].append(batch)

    one = processed(chain_of(tmp_path), alone)
    several = [
        output
        for worker, share in enumerate(shares)
        for output in processed(chain_of(tmp_path, worker, workers), share)
    ]

    assert compare(of_records(one), of_records(several)).is_same
    assert last_values(one) == last_values(several)
    assert len(last_values(one)) == 5 * len(METRICS) < len(last_values(alone))


def run(*arguments: object, seed: str = "0", shift_s: float = 0.0) -> tuple[bytes, int]:
    """Run the command in a process of its own; return its output and its peak of memory, bytes."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(shift_s), "process", *(str(each) for each in arguments)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        timeout=300,
        check=True,
    )
    peak = next(line for line in done.stderr.splitlines() if line.startswith(b"VmHWM"))
    return done.stdout, int(peak.split()[1]) * 1024


@pytest.mark.parametrize("form", Format)
def test_the_same_bytes_whatever_the_hash_seed_and_the_clock(form: Format, tmp_path: Path) -> None:
    """In all signals, with secrets and with series beyond the limit."""
    config = tmp_path / "gate.yaml"
    config.write_text("cardinality: {default_limit: 4}\n", encoding="utf-8")
    recording = tmp_path / "in"
    encode = encoder(Format.PROTO, Compression.NONE)
    batches = regrouped(singles(7, 200), (1, 5, 20))
    recording.write_bytes(b"".join(encode(batch) for batch in batches))
    command = ("--config", config, recording, "--format", form)

    outputs = {
        run(*command, seed=seed, shift_s=shift_s)[0]
        for seed, shift_s in (("0", 0.0), ("1", 86_400.0 * 400), ("2", -86_400.0 * 400))
    }

    (output,) = outputs
    assert b"otel.metric.overflow" in output
    assert b"[REDACTED" in output


def thousand_records() -> Batch:
    """Return a thousand log records, one in a hundred with a secret."""
    random = seeded(1)
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(1000):
        record = scope.log_records.add(time_unix_nano=at(number))
        secret = f" password={secret_text(random)}" if number % 100 == 0 else ""
        record.body.string_value = f"order {random.randbytes(60).hex()} acknowledged{secret}"
    return Batch(Signal.LOGS, request.SerializeToString())


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """At most 150 MB in all, and as much for a file of 64 MiB as for one of 8."""
    message = encoder(Format.PROTO, Compression.NONE)(thousand_records())
    peaks = []
    for size_bytes in (8 * MEBIBYTE, 64 * MEBIBYTE):
        recording = tmp_path / f"{size_bytes}"
        with recording.open("wb") as file:
            for _ in range(size_bytes // len(message)):
                file.write(message)
        output = tmp_path / "out"
        _, peak_bytes = run("--config", GATE, recording, "-o", output, "--format", "proto")
        assert output.stat().st_size > size_bytes // 2
        peaks.append(peak_bytes)

    assert max(peaks) < MEMORY_MAX_BYTES
    assert peaks[1] - peaks[0] < 8 * MEBIBYTE
