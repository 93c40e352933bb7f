"""The section on recordings: `tapeline process` in all forms of it, `tapeline replay` flat out.

Both are measured as commands, from their start to their end.
"""

import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from bench.payloads import BATCH_RECORDS, Load, load_of
from bench.planted import Share, planted_load
from bench.processes import (
    ROOT,
    BenchError,
    Cores,
    cost_of,
    free_port,
    pinned,
    running,
    wait_for_answer,
)
from bench.subjects import tapeline_program

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder

__all__ = ["ProcessRow", "RecordingResult", "ReplayRow", "measure_recording"]

TIMEOUT_S: Final = 300.0
# What a program of its own had resident at most: VmHWM begins with the program, unlike rusage.
RUN: Final = """
import sys
from tapeline.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    sys.stderr.write(next(line for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""
_PEAK: Final = re.compile(r"VmHWM:\s+(\d+) kB")
_REPLAYED: Final = re.compile(r"(\d+) batches in .* s, ([\d,]+) records/s accepted, (\d+) retries")
GATE_CONFIG: Final = ROOT / "config" / "gate.yaml"


@dataclass(frozen=True, slots=True)
class Effort:
    """Batches of a file for each form, rounds, and batches of the file that is replayed."""

    proto_batches: int
    json_batches: int
    rounds: int
    replay_batches: int


FULL: Final = Effort(proto_batches=2_500, json_batches=500, rounds=3, replay_batches=2_000)
QUICK: Final = Effort(proto_batches=40, json_batches=20, rounds=1, replay_batches=40)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """Records a second: by the clock, by CPU seconds, and by those without the command's start."""

    load: str
    form: str
    records: int
    records_per_s: float
    records_per_cpu_s: float
    started_records_per_cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """Records a second that a gate acknowledged and dropped, and the sender's peak memory."""

    what: str
    records_per_s: float
    cpu_s_per_million_of_gate: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """All rows, and the CPU seconds that `process` takes to start."""

    process: tuple[ProcessRow, ...]
    replay: tuple[ReplayRow, ...]
    start_cpu_s: float


def measure_recording(cores: Cores, folder: Path, *, quick: bool) -> RecordingResult:
    """Measure both commands."""
    effort = QUICK if quick else FULL
    own = folder / "recording"
    own.mkdir()
    empty = own / "empty"
    empty.write_bytes(b"")
    start_cpu_s = min(_processed(empty, Format.PROTO, cores).cpu_s for _ in range(effort.rounds))
    rows = [
        _process_row(name, load, form, (cores, own, effort), start_cpu_s)
        for name, load in _loads()
        for form in Format
    ]
    return RecordingResult(tuple(rows), tuple(_replays(cores, own, effort)), start_cpu_s)


def _loads() -> Iterator[tuple[str, Load]]:
    yield "logs, clean", load_of(Signal.LOGS)
    yield "logs, 1 % with a secret", planted_load(Signal.LOGS, Share.ONE_PERCENT)
    yield "traces, clean", load_of(Signal.TRACES)
    yield "metrics", load_of(Signal.METRICS)


def _write(path: Path, load: Load, form: Format, batches: int) -> int:
    """Write a recording, the batches of the load over and over; return its records."""
    encode = encoder(form, Compression.NONE)
    messages = [encode(Batch(load.signal, payload)) for payload in load.batches]
    with path.open("wb") as file:
        for number in range(batches):
            file.write(messages[number % len(messages)])
    return batches * BATCH_RECORDS


def _process_row(
    name: str, load: Load, form: Format, how: tuple[Cores, Path, Effort], start_cpu_s: float
) -> ProcessRow:
    print(f"recording: process, {name}, {form} …", flush=True)
    cores, folder, effort = how
    recording = folder / "in"
    batches = effort.proto_batches if form is Format.PROTO else effort.json_batches
    records = _write(recording, load, form, batches)
    found = [_processed(recording, form, cores) for _ in range(effort.rounds)]
    recording.unlink()
    cpu_s = statistics.median(each.cpu_s for each in found)
    return ProcessRow(
        load=name,
        form=form.value,
        records=records,
        records_per_s=records / statistics.median(each.seconds for each in found),
        records_per_cpu_s=records / cpu_s,
        started_records_per_cpu_s=records / max(cpu_s - start_cpu_s, 1e-3),
        peak_bytes=max(each.peak_bytes for each in found),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    cpu_s: float
    peak_bytes: int


def _processed(recording: Path, form: Format, cores: Cores) -> _Run:
    """Run `process` once."""
    output = recording.with_name("out")
    arguments = ("process", "--config", str(GATE_CONFIG), str(recording), "-o", str(output))
    began_s, before_s = time.monotonic(), _children_cpu_s()
    said = _run((*arguments, "--format", form.value), cores.subject)
    found = _Run(time.monotonic() - began_s, _children_cpu_s() - before_s, _peak_in(said))
    output.unlink()
    return found


def _children_cpu_s() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(arguments: tuple[str, ...], core: int) -> str:
    done = subprocess.run(
        pinned([sys.executable, "-c", RUN, *arguments], core),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-1500:]}")
    return done.stderr


def _peak_in(said: str) -> int:
    match = _PEAK.search(said)
    if match is None:
        raise BenchError(f"no peak of memory in: {said[-500:]}")
    return int(match[1]) * 1024


def _replays(cores: Cores, folder: Path, effort: Effort) -> Iterator[ReplayRow]:
    recording = folder / "replayed"
    records = _write(recording, load_of(Signal.LOGS), Format.PROTO, effort.replay_batches)
    flat_out = ("--flat-out",)
    restamped = (*flat_out, "--now", "--new-trace-ids")
    cases: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
        ("as recorded, gate with an empty chain", flat_out, []),
        ("new times and ids, gate with an empty chain", restamped, []),
        ("as recorded, gate with the default chain", flat_out, ["redaction", "cardinality"]),
    )
    for what, options, chain in cases:
        print(f"recording: replay, {what} …", flush=True)
        with _gate(chain, cores, folder) as (port, gate):
            arguments = ("replay", str(recording), "--to", f"127.0.0.1:{port}", *options)
            _run(arguments, cores.load)  # The first calls of a connection are slower.
            before_s = cost_of(gate.pid).cpu_s
            said = [_run(arguments, cores.load) for _ in range(effort.rounds)]
            used_s = cost_of(gate.pid).cpu_s - before_s
        yield ReplayRow(
            what=what,
            records_per_s=statistics.median(_rate_in(each, effort) for each in said),
            cpu_s_per_million_of_gate=used_s / (records * effort.rounds) * 1e6,
            peak_bytes=max(map(_peak_in, said)),
        )
    recording.unlink()


def _rate_in(said: str, effort: Effort) -> float:
    match = _REPLAYED.search(said)
    if match is None or int(match[1]) != effort.replay_batches:
        raise BenchError(f"the replay is not whole: {said[-500:]}")
    return float(match[2].replace(",", ""))


@contextmanager
def _gate(
    chain: list[str], cores: Cores, folder: Path
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a gate that acknowledges and drops."""
    port, admin_port = free_port(), free_port()
    path, log = folder / "gate.yaml", folder / "gate.log"
    content = {
        "server": {"listen": f"127.0.0.1:{port}"},
        "downstream": {"endpoint": "discard"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "chain": {signal.value: chain for signal in Signal},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [tapeline_program(), "serve", "--config", str(path)]
    with running(command, cores.subject, log) as process:
        wait_for_answer(process, f"http://127.0.0.1:{admin_port}/health/ready", log)
        yield port, process
