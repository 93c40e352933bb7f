"""Processes on pinned cores: start, wait until they answer, read what they cost, stop."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "BenchError",
    "CoreUse",
    "Cores",
    "Cost",
    "choose_cores",
    "core_use",
    "cost_of",
    "free_port",
    "pinned",
    "running",
    "wait_for_answer",
    "wait_for_port",
]

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
CORES_MIN: Final = 2
HTTP_OK: Final = 200
ROOT: Final = Path(__file__).resolve().parents[1]
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0
PROBE_TIMEOUT_S: Final = 1.0


class BenchError(Exception):
    """The bench can't go on, or its result would not be true; the message says why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core what is measured runs on, and which the load and the sink."""

    subject: int
    load: int
    sink: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children have used so far: CPU seconds, and peak memory in bytes."""

    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class CoreUse:
    """CPU seconds of a core: in processes, and in interrupts, which belong to no process."""

    processes_s: float
    interrupts_s: float


def choose_cores() -> Cores:
    """Pick cores from those this process may use; raises BenchError with fewer than two."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < CORES_MIN:
        raise BenchError(
            f"the bench needs two cores, one for what is measured and one for the load; "
            f"this process may use {len(allowed)}. See `taskset -p $$`."
        )
    return Cores(subject=allowed[0], load=allowed[1], sink=allowed[min(2, len(allowed) - 1)])


def free_port() -> int:
    """Return a port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(command: Sequence[str], core: int) -> list[str]:
    """Return the command line that runs a command on one core."""
    taskset = shutil.which("taskset")
    if taskset is None:
        raise BenchError("taskset is not there: install the Debian package util-linux")
    return [taskset, "--cpu-list", str(core), *command]


@contextmanager
def running(
    command: Sequence[str], core: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on one core, its output in `log`; end it when the context ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(command, core),
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when something listens on the port; raises BenchError where it never does."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        _check_alive(process, log)
        with socket.socket() as probe:
            probe.settimeout(PROBE_TIMEOUT_S)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on port {port} after {START_TIMEOUT_S:g} s: {_tail(log)}")


def wait_for_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when the URL answers 200; raises BenchError where it never does."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        _check_alive(process, log)
        if _answers(url):
            return
        time.sleep(0.002)
    raise BenchError(f"{url} does not answer 200 after {START_TIMEOUT_S:g} s: {_tail(log)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310 - our URL
            return bool(answer.status == HTTP_OK)
    except (urllib.error.URLError, OSError):
        return False


def _check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    code = process.poll()
    if code is not None:
        raise BenchError(f"{process.args!r} ended with {code}: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1500:]


def cost_of(process_id: int) -> Cost:
    """Return what a process and all its descendants have used."""
    members = _tree(process_id)
    return Cost(
        cpu_s=sum(_cpu_s(member) for member in members),
        peak_bytes=sum(_peak_bytes(member) for member in members),
    )


def core_use(core: int) -> CoreUse:
    """Return what one core has done so far."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            # proc(5), in this order; what follows is counted in these already.
            user, nice, system, _idle, _waiting, interrupt, softirq = (int(t) for t in ticks[:7])
            return CoreUse(
                processes_s=(user + nice + system) / TICKS_PER_S,
                interrupts_s=(interrupt + softirq) / TICKS_PER_S,
            )
    raise BenchError(f"/proc/stat does not know core {core}")


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(_stat_fields(int(entry.name))[1])
    members = [root]
    for member in members:  # grows while it is walked: children of children
        members += [child for child, parent in parents.items() if parent == member]
    return members


def _stat_fields(process_id: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command name, which may hold anything."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(process_id: int) -> float:
    fields = _stat_fields(process_id)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S  # utime and stime, proc(5)


def _peak_bytes(process_id: int) -> int:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
