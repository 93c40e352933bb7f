"""`tapeline serve` of two workers in processes of its own, by a configuration file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gate_answers import ask
from waiting import eventually


@contextmanager
def running_workers(config: Path, admin_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until the block ends, or somebody ends it before; give its process when it is ready.

    Temporary files go beside the configuration.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tapeline.cli", "serve", "--config", str(config)],
        env={**os.environ, "TMPDIR": str(config.parent)},
    )
    try:
        ready = "/health/ready"
        eventually(lambda: ask(admin_port, ready)[0] == 200, timeout_s=60, poll_s=0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
