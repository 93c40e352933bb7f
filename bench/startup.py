"""How long the gate takes from its start to live, and to ready."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Cores, free_port, running, wait_for_answer
from bench.subjects import gate_config, tapeline_program

__all__ = ["Startup", "measure_startup"]


@dataclass(frozen=True, slots=True)
class Startup:
    """Medians of several starts, in seconds from the process's creation."""

    live_s: float
    ready_s: float


def measure_startup(
    chain: tuple[str, ...], sink_port: int, cores: Cores, folder: Path, starts: int
) -> Startup:
    """Start the gate several times, one after the other, with the sink as its downstream."""
    live_s, ready_s = [], []
    log = folder / "start.log"
    for _ in range(starts):
        port, admin_port = free_port(), free_port()
        path = gate_config(
            folder, port=port, sink_port=sink_port, admin_port=admin_port, chain=chain
        )
        command = [tapeline_program(), "serve", "--config", str(path)]
        began = time.monotonic()
        with running(command, cores.subject, log) as process:
            wait_for_answer(process, f"http://127.0.0.1:{admin_port}/health/live", log)
            live_s.append(time.monotonic() - began)
            wait_for_answer(process, f"http://127.0.0.1:{admin_port}/health/ready", log)
            ready_s.append(time.monotonic() - began)
    return Startup(statistics.median(live_s), statistics.median(ready_s))
