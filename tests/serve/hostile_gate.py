"""Runs `tapeline serve` with a processor that fails on what it is sent, and says so loudly.

Not a test: test_hostile_run.py starts it as a process of its own.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from unittest.mock import patch

from pydantic import BaseModel

from tapeline.cli import main
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory, discover


class Section(BaseModel):
    """No settings."""


class Loudmouth:
    """Fails on every payload with the word `explode` in it, and quotes the payload."""

    name = "loudmouth"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Raise an error that holds the payload, from one that does too."""
        del now_unix_nano
        if b"explode" not in batch.payload:
            return Result(batch)
        raise RuntimeError(f"can't work on {batch.payload!r}") from KeyError(batch.payload)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing."""
        del now_unix_nano
        return ()


def _build(_section: Section, _context: ProcessorContext) -> Processor:
    return Loudmouth()


FACTORY = ProcessorFactory("loudmouth", Section, _build)


def _with_loudmouth() -> Mapping[str, EntryPoint]:
    point = EntryPoint("loudmouth", "hostile_gate:FACTORY", "tapeline.processors")
    return {**discover(), "loudmouth": point}


if __name__ == "__main__":
    with patch("tapeline.settings.discover", _with_loudmouth):
        sys.exit(main(sys.argv[1:]))
