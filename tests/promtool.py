"""Prometheus' own tool, run by the tests of rules."""

import subprocess
from pathlib import Path

from tapeline.stack.binaries import require

__all__ = ["promtool", "promtool_result"]


def promtool_result(*arguments: str | Path) -> tuple[int, str]:
    """Run the tool; return its exit code and all that it says."""
    command = [str(require("promtool")), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def promtool(*arguments: str | Path) -> str:
    """Run the tool, and return what it says; fails where it finds something wrong."""
    code, told = promtool_result(*arguments)
    assert code == 0, told
    return told
