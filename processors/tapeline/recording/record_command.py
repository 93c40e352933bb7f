"""`tapeline record`: options in, a recording and a report out."""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tapeline.pipeline.addresses import parse_address
from tapeline.pipeline.durations import parse_duration_s
from tapeline.pipeline.loader import ConfigError
from tapeline.recorded.folder import Form, RecordingFolder, Rotation
from tapeline.recorded.forms import Compression, Format
from tapeline.recorded.selection import Selection
from tapeline.recording.record_server import Listening, policy_of, serving
from tapeline.recording.recorder import Recorder, RecorderCounts, SingleFile
from tapeline.recording.selected import NOUNS, selection_from
from tapeline.redaction.config import RedactionConfig
from tapeline.settings import load_settings

__all__ = ["record_from"]

EXIT_OK: Final = 0
EXIT_TROUBLE: Final = 1
EXIT_USAGE: Final = 2

_MIB: Final = 1024 * 1024
_PREFIX: Final = "recording"
_NOWHERE: Final = "none"
_FINISH_S: Final = 30.0
_LOOK_S: Final = 0.2
# A name that ends like that is one of a file; any other one is of a folder.
_FILE_SUFFIXES: Final = frozenset(
    {".jsonl", ".json", ".ndjson", ".pb", ".proto", ".binpb", ".bin", ".otlp", ".zst-messages"}
)


@dataclass(frozen=True, slots=True)
class Job:
    """What to record, where from, and where to."""

    target: Path
    form: Form
    rotation: Rotation
    listening: Listening
    redaction: RedactionConfig | None
    selection: Selection
    duration_s: float | None


def record_from(options: argparse.Namespace) -> int:
    """Record as the command line says, until SIGTERM, Ctrl-C or the end of `--for`.

    0: all that came was recorded, or refused for what it is. 1: something could not be written at
    some time (whoever sent it was told to come back), or a port is taken. 2: wrong usage.
    """
    logging.basicConfig(level=logging.WARNING, format="tapeline record: %(message)s")
    try:
        job = _job(options)
    except ConfigError as error:
        for problem in error.problems:
            _say(problem)
        return EXIT_USAGE
    except ValueError as error:
        _say(str(error))
        return EXIT_USAGE
    try:
        sink = _sink(job)
    except FileExistsError:
        _say(f"{job.target} is there already: recordings are never written over; choose another")
        return EXIT_USAGE
    except OSError as error:
        _say(f"{job.target}: {error.strerror or error}")
        return EXIT_TROUBLE
    return _record(job, sink)


def _sink(job: Job) -> SingleFile | RecordingFolder:
    if _is_file(job.target):
        return SingleFile(job.target, job.form)
    return RecordingFolder(job.target, _PREFIX, job.form, job.rotation)


def _record(job: Job, sink: SingleFile | RecordingFolder) -> int:
    recorder = Recorder(sink, job.selection)
    ended = _ended_by_signals()
    failed = False
    try:
        with serving(recorder, job.listening, job.redaction) as listening:
            _say(f"taking OTLP on {listening}, writing to {job.target}")
            if job.form.policy.raw:
                _say(
                    "RAW: what arrives is written as it is, secrets included; the files are"
                    " readable by you alone (mode 0600)"
                )
            _wait(ended, job.duration_s, recorder.counts)
    except (OSError, ValueError) as error:
        _say(str(error))
        failed = True
    finally:
        finished = recorder.finish(_FINISH_S)
    if failed and finished and isinstance(sink, SingleFile):
        with suppress(OSError):  # What failed was said; an empty file more is no harm.
            sink.remove_if_empty()
    _report(recorder.counts, sink.files_begun, job.target)
    if not finished:
        _say("the disk did not take what waited in time: it was not acknowledged")
    return EXIT_OK if finished and not failed and not recorder.had_trouble else EXIT_TROUBLE


def _ended_by_signals() -> threading.Event:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _wait(ended: threading.Event, duration_s: float | None, counts: RecorderCounts) -> None:
    """Wait for the end, and show on a terminal what came so far."""
    deadline_s = None if duration_s is None else time.monotonic() + duration_s
    with _progress(counts) as show:
        while not ended.wait(_LOOK_S):
            show()
            if deadline_s is not None and time.monotonic() >= deadline_s:
                return


@contextmanager
def _progress(counts: RecorderCounts) -> Iterator[Callable[[], None]]:
    """Yield what draws one line on standard error; nothing is drawn where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - for terminals alone

    began_s = time.monotonic()
    with Console(stderr=True).status("waiting for telemetry") as status:

        def show() -> None:
            total = sum(counts.records.values())
            rate = total / max(time.monotonic() - began_s, 1e-9)
            refused = f", [red]{counts.refused} refused[/red]" if counts.refused else ""
            status.update(
                f"{_told(counts)}, {counts.payload_bytes / _MIB:.1f} MiB,"
                f" {rate:,.0f} records/s{refused}"
            )

        yield show


def _told(counts: RecorderCounts) -> str:
    return ", ".join(f"{counts.records[each]:,} {noun}" for each, noun in NOUNS.items())


def _report(counts: RecorderCounts, files: int, target: Path) -> None:
    _say(
        f"recorded {_told(counts)} in {counts.batches:,} batches,"
        f" {counts.payload_bytes / _MIB:.1f} MiB before their form, in {files} files: {target}"
    )
    if counts.left_out:
        _say(f"left out {counts.left_out:,} records that were not selected")
    if counts.refused:
        _say(f"refused {counts.refused:,} batches that could not be written; senders come back")
    if counts.unfit:
        _say(f"refused {counts.unfit:,} batches for good: they don't parse, or are too long")


def _job(options: argparse.Namespace) -> Job:
    if str(options.out) == "-":
        raise ValueError("recordings are files, so that OK can mean on disk; give a name, not -")
    # What is cheap to tell comes first: the rules take a moment to load.
    rotation = _rotation(options)
    grpc, http = (None if text == _NOWHERE else parse_address(text) for text in _listen(options))
    if grpc is None and http is None:
        raise ValueError("--listen-grpc none and --listen-http none leave nothing to listen on")
    if _is_file(options.out) and rotation != Rotation():
        raise ValueError(
            f"{options.out} is one file: rotation makes several, so give a folder"
            " (a name without an ending)"
        )
    selection = selection_from(options)
    duration_s = None if options.duration is None else parse_duration_s(options.duration)
    redaction = _redaction(options)
    return Job(
        target=options.out,
        form=Form(
            Format(options.format),
            Compression(options.compression),
            "record",
            policy_of(redaction),
        ),
        rotation=rotation,
        listening=Listening(grpc, http),
        redaction=redaction,
        selection=selection,
        duration_s=duration_s,
    )


def _is_file(target: Path) -> bool:
    """Tell whether the target is one file, not a folder of them."""
    return not target.is_dir() and target.suffix in _FILE_SUFFIXES


def _listen(options: argparse.Namespace) -> tuple[str, str]:
    return options.listen_grpc, options.listen_http


def _rotation(options: argparse.Namespace) -> Rotation:
    for name, value in (("--rotate-size", options.rotate_size), ("--keep", options.keep)):
        if value is not None and value < 1:
            raise ValueError(f"{name} takes 1 or more")
    age_s = None if options.rotate_age is None else parse_duration_s(options.rotate_age)
    if age_s is not None and age_s <= 0:
        raise ValueError("--rotate-age takes a duration above 0")
    return Rotation(
        None if options.rotate_size is None else options.rotate_size * _MIB, age_s, options.keep
    )


def _redaction(options: argparse.Namespace) -> RedactionConfig | None:
    """Return the rules to redact by; None for a raw recording."""
    if options.raw:
        if options.config is not None:
            raise ValueError("--raw redacts nothing, so --config has nothing to say: leave one out")
        return None
    if options.config is None:
        return RedactionConfig()
    section = load_settings(options.config).sections.get("redaction")
    return section if isinstance(section, RedactionConfig) else RedactionConfig()


def _say(message: str) -> None:
    sys.stderr.write(f"tapeline record: {message}\n")
    sys.stderr.flush()
