"""The machine, the versions and the command of a run: what its figures belong to."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.processes import ROOT, Cores

from tapeline.pipeline.form import Form
from tapeline.stack import binaries

__all__ = ["facts"]


def facts(arguments: Sequence[str], cores: Cores, form: Form) -> dict[str, Any]:
    """Return what a reader needs to judge the figures, or to repeat them."""
    return {
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "command": " ".join(["bench/run.py", *arguments]),
        "form": form,
        "git_revision": _output("git", "rev-parse", "HEAD"),
        "git_changed_files": len((_output("git", "status", "--porcelain") or "").splitlines()),
        "cpu_model": _cpu_model(),
        "cores_total": os.cpu_count(),
        "cores_used": {"subject": cores.subject, "load": cores.load, "sink": cores.sink},
        "load_average_before": [round(each, 2) for each in os.getloadavg()],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {
            **{name: _version(name) for name in ("tapeline", "grpcio", "protobuf")},
            "collector": _collector_version(),
            "rotel": _rotel_version(),
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _collector_version() -> str | None:
    program = binaries.find("collector")
    return None if program is None else _output(str(program), "--version")


def _rotel_version() -> str | None:
    for line in (ROOT / "requirements" / "bench.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("rotel=="):
            return line.partition("==")[2].split()[0]
    return None
