"""`tapeline process`: a recording in, a recording out."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from prometheus_client import CollectorRegistry

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.garbage import settle_garbage
from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recorded.forms import Compression, Format, MessageError, encoder
from tapeline.recorded.reader import Flaw, RecordedBatch
from tapeline.recording.interruption import interrupted_by_sigterm
from tapeline.recording.process import Counts, Refusal, process_batches
from tapeline.recording.source import Source
from tapeline.settings import build_chain, load_settings

__all__ = ["Form", "process_command"]

_MAX_REFUSALS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Form:
    """How the output is written; `signal` is that of input messages that don't tell it."""

    format: Format = Format.JSON
    compression: Compression = Compression.NONE
    signal: Signal | None = None


def process_command(config: Path, source: str, output: str, form: Form | None = None) -> int:
    """Run a recording through the chain; `-` is standard input or output.

    Returns 0 where every message was processed; 1 where some were refused (each is named on
    standard error and left out of the output) or the file is not what its metadata says; 2 where
    the configuration or a file can't be used.
    """
    try:
        settings = load_settings(config)
        chain = build_chain(settings, ProcessorContext(CollectorRegistry(), live=False))
    except ConfigError as error:
        for problem in error.problems:
            _say(problem)
        return 2
    settle_garbage()
    counts = Counts()
    try:
        with interrupted_by_sigterm(), _reading(source) as reader, _writing(output) as writer:
            complaint = _run(reader, chain, writer, counts, (form or Form(), source))
    except BrokenPipeError:
        raise  # Whoever read the output went away: the command line ends quietly.
    except _InputError as error:
        _say(f"{_shown(source, 'standard input')}: {error}")
        return 2
    except OSError as error:
        _say(f"{_shown(output, 'standard output')}: can't be written: {error.strerror}")
        return 2
    if complaint:
        _say(f"{_shown(source, 'standard input')}: {complaint}")
    _summarise(counts)
    return 1 if counts.refused or complaint else 0


class _InputError(Exception):
    """The input can't be read; the message says why. What else fails is the output."""


def _run(
    reader: BinaryIO, chain: Chain, writer: BinaryIO, counts: Counts, how: tuple[Form, str]
) -> str:
    """Return what did not fit the recording's metadata, or nothing."""
    form, name = how
    source = Source(reader, None if name == "-" else Path(name), form.signal)
    encode = encoder(form.format, form.compression)
    for result in process_batches(_items(source), chain, counts):
        if isinstance(result, Refusal):
            _report(result, name, counts.refused)
            continue
        try:
            written = encode(result)
        except (MalformedRequestError, MessageError) as error:
            counts.refused += 1
            counts.batches_out -= 1
            _say(f"{result.signal} that the chain made can't be written: {error}")
            continue
        writer.write(written)
    return source.complaint


def _items(source: Source) -> Iterator[RecordedBatch | Flaw]:
    try:
        yield from source.items()
    except OSError as error:
        raise _InputError(error.strerror) from error


@contextmanager
def _reading(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        if sys.stdin is None:
            raise _InputError(os.strerror(errno.EBADF))
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
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
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
    place = f"at byte {refusal.offset_bytes}"
    if refusal.fatal:
        _say(f"{name}:{refusal.number}: refused: {refusal.reason} ({place}; what follows is lost)")
    elif refused <= _MAX_REFUSALS_SHOWN:
        _say(f"{name}:{refusal.number}: refused: {refusal.reason} ({place})")
    if refused == _MAX_REFUSALS_SHOWN:
        _say("further refused messages are counted, not shown")


def _shown(name: str, stream: str) -> str:
    return stream if name == "-" else name


def _summarise(counts: Counts) -> None:
    _say(
        f"{counts.records_in} records in {counts.batches_in} batches in,"
        f" {counts.batches_out} batches out, {counts.refused} messages refused"
    )


def _say(message: str) -> None:
    sys.stderr.write(f"tapeline process: {message}\n")
