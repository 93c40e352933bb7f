"""The configuration that a collector would really run with, its own defaults included."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from tapeline.stack.binaries import require
from tapeline.stack.topology import Unit

__all__ = ["effective"]


def effective(unit: Unit) -> Mapping[str, Any]:
    """Return the effective configuration of a collector that a stack would start."""
    command = [str(require("otelcol")), "print-config", "--mode=unredacted", *unit.arguments]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **unit.environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    document: Mapping[str, Any] = yaml.safe_load(result.stdout)
    return document
