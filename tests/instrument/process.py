"""Runs a script in a process of its own: OpenTelemetry's providers can be set once a process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
TIMEOUT_S = 60


def run_script(name: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run `scripts/<name>.py`; warnings are errors. The caller looks at how it ended."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "OTLP_", "VELOZ_"))
    }
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPTS / f"{name}.py")],
        env=inherited | dict(environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
