"""The parent of several workers: starts them, restarts the dead, and joins their metrics.

One process uses one core, so `server.workers: N` is N processes, each the same command on a port
of its own, with its own chain and state. The parent touches no telemetry.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tapeline.admin.exposition import merge_expositions
from tapeline.admin.server import Health
from tapeline.pipeline.processor import Report
from tapeline.transport.worker_seat import WorkerSeat

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Worker", "Workers"]

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0  # a worker that lived so long is restarted at once
_ASK_TIMEOUT_S: Final = 2.0
_KILL_AFTER_DRAIN_S: Final = 2.0
_MAX_REPLY_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Worker:
    """One worker's process. `pause_s` is how long the next restart will wait."""

    seat: WorkerSeat
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float = FIRST_PAUSE_S
    restart_at_s: float | None = None


class Workers:
    """The worker processes. Started, looked after and stopped from one thread."""

    def __init__(self, command: Sequence[str], count: int, registry: CollectorRegistry) -> None:
        """Start nothing yet. `command` is what each worker's process runs."""
        self._command = tuple(command)
        self._count = count
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._registry = registry
        self._up = Gauge(
            "tapeline_worker_up",
            "1 where the worker's process runs.",
            ["worker"],
            registry=registry,
        )
        self._restarts = Counter(
            "tapeline_worker_restarts",
            "Worker processes started again after they had died.",
            ["worker"],
            registry=registry,
        )

    def start(self) -> None:
        """Start every worker."""
        self._folder = tempfile.TemporaryDirectory(prefix="tapeline-")
        for index in range(self._count):
            path = Path(self._folder.name) / f"worker-{index}.sock"
            seat = WorkerSeat(index, str(path))
            self._restarts.labels(str(index))
            self._workers.append(Worker(seat, self._spawn(seat), time.monotonic()))

    def look_after(self) -> None:
        """Restart what has died, each after a pause that grows while it keeps dying."""
        now = time.monotonic()
        for worker in self._workers:
            alive = worker.process.poll() is None
            self._up.labels(str(worker.seat.index)).set(alive)
            if alive or self._stopping:
                continue
            if worker.restart_at_s is None:
                self._plan_restart(worker, now)
            elif now >= worker.restart_at_s:
                worker.process = self._spawn(worker.seat)
                worker.started_s, worker.restart_at_s = now, None
                self._restarts.labels(str(worker.seat.index)).inc()

    def failed_at_start(self, within_s: float) -> int | None:
        """Return the exit status of a worker that failed on its own within its first moments.

        Then the configuration or a port is wrong, and the parent should end with that status.
        """
        for worker in self._workers:
            status = worker.process.poll()
            if status is not None and status > 0 and worker.pause_s == FIRST_PAUSE_S:
                lived_s = time.monotonic() - worker.started_s
                if lived_s < within_s:
                    return status
        return None

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on to every worker."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.send_signal(number)

    def stop(self, drain_timeout_s: float) -> bool:
        """Drain every worker; kill those that are not done in time. False where one was."""
        self._stopping = True
        self.send(signal.SIGTERM)
        deadline = time.monotonic() + drain_timeout_s + _KILL_AFTER_DRAIN_S
        clean = True
        for worker in self._workers:
            try:
                worker.process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                logger.error("worker %d did not drain in time, killing it", worker.seat.index)  # noqa: TRY400
                worker.process.kill()
                worker.process.wait()
                clean = False
            if worker.process.stdin is not None:
                worker.process.stdin.close()
        if self._folder is not None:
            self._folder.cleanup()
        return clean

    async def health(self) -> Health:
        """Return every worker's health in one."""
        replies = await asyncio.gather(*(self._ask(w, "/health") for w in self._workers))
        problems: list[str] = []
        details: list[object] = []
        for worker, reply in zip(self._workers, replies, strict=True):
            if reply is None:
                problems.append(f"worker {worker.seat.index}: does not run, or does not answer")
                continue
            of_worker = json.loads(reply)
            problems.extend(f"worker {worker.seat.index}: {p}" for p in of_worker["problems"])
            details.append({"worker": worker.seat.index, "pid": worker.process.pid, **of_worker})
        return Health(tuple(problems), {"workers": details})

    async def exposition(self) -> bytes:
        """Return the parent's metrics and, labelled, every worker's."""
        replies = await asyncio.gather(*(self._ask(w, "/metrics") for w in self._workers))
        texts = {
            str(worker.seat.index): reply.decode()
            for worker, reply in zip(self._workers, replies, strict=True)
            if reply is not None
        }
        return generate_latest(self._registry) + merge_expositions(texts).encode()

    async def reports(self, name: str) -> Sequence[Report | None]:
        """Return what the processor of that name reports in each worker; None for no answer."""
        replies = await asyncio.gather(
            *(self._ask(w, f"/{name}?format=json") for w in self._workers)
        )
        return [None if reply is None else json.loads(reply) for reply in replies]

    @property
    def sockets(self) -> dict[int, str]:
        """The Unix socket of each worker's admin server, by the worker's index."""
        return {worker.seat.index: worker.seat.socket_path for worker in self._workers}

    def _spawn(self, seat: WorkerSeat) -> subprocess.Popen[bytes]:
        path = Path(seat.socket_path)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        # The command is our own; standard input is how the worker notices that we are gone.
        return subprocess.Popen(  # noqa: S603
            self._command, env=seat.environment(os.environ), stdin=subprocess.PIPE
        )

    def _plan_restart(self, worker: Worker, now: float) -> None:
        if now - worker.started_s >= _STEADY_S:
            worker.pause_s = FIRST_PAUSE_S
        worker.restart_at_s = now + worker.pause_s
        logger.error(
            "worker %d (pid %d) ended with status %s, restarting in %.1f s",
            worker.seat.index,
            worker.process.pid,
            worker.process.returncode,
            worker.pause_s,
        )
        worker.pause_s = min(worker.pause_s * 2, LONGEST_PAUSE_S)
        if worker.process.stdin is not None:
            worker.process.stdin.close()

    @staticmethod
    async def _ask(worker: Worker, path: str) -> bytes | None:
        """Return the body that a worker's admin server answers; None where it has none to give."""
        import aiohttp  # noqa: PLC0415 - the admin server's thread has loaded it; others don't need it

        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(worker.seat.socket_path),
                    timeout=aiohttp.ClientTimeout(total=_ASK_TIMEOUT_S),
                ) as session,
                session.get(f"http://worker{path}") as response,
            ):
                if response.status != HTTPStatus.OK:
                    return None
                return await _whole(response.content)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


async def _whole(content: "aiohttp.StreamReader") -> bytes | None:
    """Return all that comes, which is more than one read gives; None where it is too much."""
    chunks = []
    size_bytes = 0
    async for chunk in content.iter_any():
        size_bytes += len(chunk)
        if size_bytes > _MAX_REPLY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
