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
        raise  # Whoever read the output went away: the command line ends quietly.
    except _InputError as error:
        _say(f"{_shown(source, 'standard input')}: {error}")
        return 2
    except OSError as error:
        _say(f"{_shown(output, 'standard output')}: can't be written: {error.strerror}")
        return 2
    _summarise(counts)
    return 1 if counts.refused else 0


class _InputError(Exception):
    """The input can't be read; the message says why. What else fails is the output."""


def _lines(reader: BinaryIO) -> Iterator[bytes]:
    """Read lines, none longer than the limit in memory; an over-long one is passed on cut."""
    while line := _read_line(reader):
        rest = line
        while not rest.endswith(b"\n") and len(rest) > MAX_LINE_BYTES:
            rest = _read_line(reader)
        yield line


def _read_line(reader: BinaryIO) -> bytes:
    try:
        return reader.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise _InputError(error.strerror) from error


@contextmanager
def _reading(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    try:
        reader = Path(source).open("rb")  # noqa: SIM115 - it is closed below.
    except OSError as error:
        raise _InputError(error.strerror) from error
    with reader:
        yield reader


@contextmanager
def _writing(output: str) -> Iterator[BinaryIO]:
    """Write beside the output file and rename at the end, so that no half of one is left.

    What is there and is no regular file (a pipe, a device) is written to, never replaced.
    """
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(output).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as writer:
            yield writer
        return
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as writer:
            yield writer
        written.replace(target)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _report(refusal: Refusal, source: str, refused: int) -> None:
    name = _shown(source, "standard input")
    if refused <= _MAX_REFUSALS_SHOWN:
        _say(f"{name}:{refusal.line}: refused: {refusal.reason}")
    if refused == _MAX_REFUSALS_SHOWN:
        _say("further refused lines are counted, not shown")


def _shown(name: str, stream: str) -> str:
    return stream if name == "-" else name


def _summarise(counts: Counts) -> None:
    _say(
        f"{counts.records_in} records in {counts.batches_in} batches in,"
        f" {counts.batches_out} batches out, {counts.refused} lines refused"
    )


def _say(message: str) -> None:
    sys.stderr.write(f"tapeline process: {message}\n")
