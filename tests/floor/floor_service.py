"""A service of the floor as a process by itself, for tests of what it answers."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ports import HOST, ports_in_a_row
from tapeline.floor.catalog import SERVICES
from tapeline.floor.faults import write_faults
from tapeline.floor.place import Place, place_argument
from waiting import eventually

__all__ = ["FloorProcesses", "running_services"]


@dataclass(frozen=True)
class FloorProcesses:
    """Services that run: where each is, and the file that says which faults are on."""

    urls: Mapping[str, str]
    fault_path: Path
    logs: Path

    def fault(self, *names: str) -> None:
        """Say which faults are on from now."""
        write_faults(self.fault_path, names)

    def get(self, service: str, path: str) -> tuple[int, bytes]:
        """Return status and body of what a service answers; OSError where nobody listens."""
        try:
            url = f"{self.urls[service]}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def sample(self, service: str, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels; LookupError without any."""
        text = self.get(service, "/metrics")[1].decode()
        values = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        if not values:
            raise LookupError(f"{service} has no {name} with {labels}")
        return sum(values)


@contextmanager
def running_services(
    folder: Path,
    *names: str,
    rate_per_s: float = 5.0,
    seed: int = 1,
    otlp_port: int = 1,
    otlp_timeout_s: int = 1,
) -> Iterator[FloorProcesses]:
    """Run services of the catalog until the test ends; their telemetry reaches nobody.

    Nobody is at the port: by the timeout the end does not wait for it.
    """
    services = [each for each in SERVICES if each.name in names]
    first = ports_in_a_row(len(services))
    urls = {each.name: f"http://{HOST}:{first + at}" for at, each in enumerate(services)}
    fault_path, logs = folder / "faults.json", folder / "logs"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for at, service in enumerate(services):
            place = Place(
                name=service.name,
                port=first + at,
                peers=urls,
                otlp_endpoint=f"http://{HOST}:{otlp_port}",
                log_path=logs / f"{service.name}.log",
                fault_path=fault_path,
                seed=seed,
                rate_per_s=rate_per_s,
                tape_path=None,
                run="t",
            )
            module = f"tapeline.floor.{service.system}.{service.module}"
            with (folder / f"{service.name}.out").open("wb") as output:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", module, place_argument(place)],
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env={
                            **os.environ,
                            "OTEL_EXPORTER_OTLP_ENDPOINT": place.otlp_endpoint,
                            "OTEL_EXPORTER_OTLP_TIMEOUT": str(otlp_timeout_s),
                        },
                    )
                )
        running = FloorProcesses(urls, fault_path, logs)
        for name in urls:
            # Eight processes import for a minute where others keep the machine busy.
            eventually(
                lambda name=name: running.get(name, "/health")[0] == 200,  # type: ignore[misc]
                timeout_s=120,
            )
        yield running
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
