"""A `tapeline serve` process under a memory limit, and what it costs by the kernel's own count."""

import json
import os
import resource
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ports import ports_in_a_row
from tapeline.otlp.signals import Signal
from waiting import eventually

__all__ = ["GateProcess", "gate_config", "running_gate"]

_RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs: the peak becomes what is resident now


@dataclass(frozen=True)
class GateProcess:
    """A gate that is up: its OTLP port, its admin port, its process and the file of its log."""

    port: int
    admin_port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def address(self) -> str:
        """Where it takes OTLP."""
        return f"127.0.0.1:{self.port}"

    def cpu_ns(self) -> int:
        """Return the processor time of all its threads so far, in nanoseconds."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # a thread that ended meanwhile
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def resident_bytes(self) -> int:
        """Return how much memory is resident now."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Return the most that was resident since the start, or since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak begin anew at what is resident now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text(_RESET_PEAK)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of an admin page; OSError where nobody answers."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def is_ready_or_fails(self) -> bool:
        """Tell whether it is ready; RuntimeError with its log where it ended instead."""
        if self.process.poll() is not None:
            told = self.log.read_text(encoding="utf-8")
            raise RuntimeError(f"the gate ended with {self.process.returncode}:\n{told}")
        return self.get("/health/ready")[0] == 200

    def count(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1].decode())
        return sum(s.value for family in families for s in family.samples if s.name == name)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(f"/proc says nothing of {name}")


def gate_config(downstream: str, server: Mapping[str, object], **more: object) -> dict[str, object]:
    """Return the configuration of a gate that redacts all signals and cuts no values."""
    return {
        "server": {"max_value_bytes": 0, **server},
        "downstream": {"endpoint": downstream, "timeout": "120s"},
        "chain": {signal.value: ["redaction"] for signal in Signal},
        **more,
    }


@contextmanager
def running_gate(
    folder: Path,
    config: Mapping[str, object],
    *,
    data_bytes_max: int = resource.RLIM_INFINITY,
    environment: Mapping[str, str] | None = None,
    wait: bool = True,
) -> Iterator[GateProcess]:
    """Run a gate until the test ends; by default return when it is ready.

    `data_bytes_max` is RLIMIT_DATA: what private memory it may have in all, touched or not. A limit
    of the address space would count the reserve of every thread, and one of what is resident does
    nothing on Linux (getrlimit(2)).
    """
    server = dict(config["server"]) if isinstance(config["server"], dict) else {}
    workers = int(server.get("workers", 1))
    port = ports_in_a_row(workers + 1)
    admin_port = port + workers
    given = config.get("admin")
    admin = dict(given) if isinstance(given, dict) else {}
    document = {
        **config,
        "server": {**server, "listen": f"127.0.0.1:{port}"},
        "admin": {**admin, "listen": f"127.0.0.1:{admin_port}"},
    }
    path, log = folder / "gate.yaml", folder / "gate.log"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(path)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TAPELINE_STATE_DIR": str(folder), **(environment or {})},
        )
    try:
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (data_bytes_max, data_bytes_max))
        gate = GateProcess(port, admin_port, process, log)
        if wait:
            eventually(gate.is_ready_or_fails, poll_s=0.05)
        yield gate
    finally:
        process.kill()
        process.wait(30)
