"""Shortens the clock of an outage: every timer of the collector that could run out within it.

An outage of 15 minutes is shortened to 15 seconds. A timer of less than 15 seconds runs out during
either; one of more than 15 minutes during neither; what is between is divided by 60 as well. So
what the short outage loses, the long one would lose, for the settings that the collector really
has: its own defaults included, since it is asked for its effective configuration.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from effective_config import effective
from tapeline.stack.topology import Unit

__all__ = ["OUTAGE_S", "SCALE", "scaled_overlay", "scaled_timers"]

OUTAGE_S = 900.0
SCALE = 60.0
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
# How often targets are scraped and how often memory is freed say nothing of how long data is kept.
_SKIPPED = {"config", "memory_limiter"}


def scaled_overlay(unit: Unit, path: Path) -> Path:
    """Write the file that, added last to a collector's configuration, divides its timers."""
    path.write_text(yaml.safe_dump(scaled_timers(effective(unit))), encoding="utf-8")
    return path


def scaled_timers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of nothing but the timers between short and long outage, divided."""
    scaled: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping) and key not in _SKIPPED:
            inner = scaled_timers(value)
            if inner:
                scaled[key] = inner
        elif isinstance(value, str) and _DURATION.fullmatch(value):
            seconds = sum(float(n) * _UNITS_S[unit] for n, unit in _PART.findall(value))
            if OUTAGE_S / SCALE <= seconds <= OUTAGE_S:
                scaled[key] = f"{seconds / SCALE:g}s"
    return scaled
