"""`tapeline process`: files in, files out."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from prometheus_client import CollectorRegistry

from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recording.process import MAX_LINE_BYTES, Counts, Refusal, process_lines
from tapeline.settings import build_chain, load_settings

__all__ = ["process_command"]

_MAX_REFUSALS_SHOWN: Final = 20


def process_command(config: Path, source: str, output: str) -> int:
    """Run a recording through the chain; `-` is standard input or output.

    Returns 0 where every line was processed, 1 where some were refused (each is named on standard
    error and left out of the output), 2 where the configuration or a file can't be used.
    """
    try:
        settings = load_settings(config)
        chain = build_chain(settings, ProcessorContext(CollectorRegistry(), live=False))
    except ConfigError as error:
        for problem in error.problems:
            _say(problem)
        return 2
    counts = Counts()
    try:
        with _reading(source) as reader, _writing(output) as writer:
            for result in process_lines(_lines(reader), chain, counts):
                if isinstance(result, Refusal):
                    _report(result, source, counts.refused)
                else:
                    writer.write(result + b"\n")
    except BrokenPipeError:
        return 1  # Whoever read standard output went away: nothing to say to them.
    except OSError as error:
        _say(f"{error.filename or source}: {error.strerror}")
        return 2
    _summarise(counts)
    return 1 if counts.refused else 0


def _lines(reader: BinaryIO) -> Iterator[bytes]:
    """Read lines, none longer than the limit in memory; an over-long one is passed on cut."""
    while line := reader.readline(MAX_LINE_BYTES + 1):
        rest = line
        while not rest.endswith(b"\n") and len(rest) > MAX_LINE_BYTES:
            rest = reader.readline(MAX_LINE_BYTES + 1)
        yield line


@contextmanager
def _reading(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    with Path(source).open("rb") as reader:
        yield reader


@contextmanager
def _writing(output: str) -> Iterator[BinaryIO]:
    """Write beside the output file and rename at the end, so that no half of one is left."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as writer:
            yield writer
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    written.replace(target)


def _report(refusal: Refusal, source: str, refused: int) -> None:
    name = "standard input" if source == "-" else source
    if refused <= _MAX_REFUSALS_SHOWN:
        _say(f"{name}:{refusal.line}: refused: {refusal.reason}")
    if refused == _MAX_REFUSALS_SHOWN:
        _say("further refused lines are counted, not shown")


def _summarise(counts: Counts) -> None:
    _say(
        f"{counts.records_in} records in {counts.batches_in} batches in,"
        f" {counts.batches_out} batches out, {counts.refused} lines refused"
    )


def _say(message: str) -> None:
    sys.stderr.write(f"tapeline process: {message}\n")
