"""Says how many seconds the redaction's default rules take to load and compile in this process.

Run by `measure_compile`, in a process of its own: `python -m bench.pack_compile`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ROOT, BenchError, Cores, pinned
from prometheus_client import CollectorRegistry

from tapeline.pipeline.registry import ProcessorContext
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.processor import CACHE_VARIABLES, FACTORY

__all__ = ["PackCompile", "measure_compile"]


@dataclass(frozen=True, slots=True)
class PackCompile:
    """Medians in seconds: with an empty cache, and with what the first start left there."""

    cold_s: float
    warm_s: float


def measure_compile(cores: Cores, times: int) -> PackCompile:
    """Build the redaction several times, each time in two new processes one after the other."""
    cold_s, warm_s = [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="tapeline-bench-cache-") as cache:
            cold_s.append(_build_s(Path(cache), cores))
            warm_s.append(_build_s(Path(cache), cores))
    return PackCompile(statistics.median(cold_s), statistics.median(warm_s))


def _build_s(cache: Path, cores: Cores) -> float:
    done = subprocess.run(
        pinned([sys.executable, "-m", "bench.pack_compile"], cores.subject),
        cwd=ROOT,
        env={**os.environ, CACHE_VARIABLES[0]: str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the rules don't compile: {done.stderr[-500:]}")
    return float(json.loads(done.stdout))


def main() -> None:
    """Build the redaction once and print the seconds that it took."""
    context = ProcessorContext(registry=CollectorRegistry(), live=False)
    config = RedactionConfig()
    began = time.perf_counter()
    FACTORY.build(config, context)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
