"""What `tapeline record` and `tapeline replay` share: what is wanted, what records are called."""

import argparse
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.time_text import unix_nano_from_iso
from tapeline.recorded.selection import Selection

__all__ = ["NOUNS", "selection_from"]

NOUNS: Final = {
    Signal.LOGS: "log records",
    Signal.TRACES: "spans",
    Signal.METRICS: "data points",
}


def selection_from(options: argparse.Namespace) -> Selection:
    """Return what the command line wants; raises ValueError for what is no time."""
    return Selection(
        frozenset(Signal(name) for name in options.signal),
        frozenset(options.service),
        None if options.from_time is None else unix_nano_from_iso(options.from_time),
        None if options.to_time is None else unix_nano_from_iso(options.to_time),
    )
