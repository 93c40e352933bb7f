"""What a test may feed: a recording's file, batches, or records written short."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tapeline.pipeline.batch import Batch
from tapeline.recorded.reader import Flaw
from tapeline.recording.source import Source
from tapeline.testing.given import DEFAULT_START_UNIX_NANO, BadRecordError, batch_of

__all__ = ["Feed", "UnusableRecordingError", "batches_of"]

Feed: TypeAlias = str | os.PathLike[str] | Batch | Iterable[Batch | Mapping[str, Any]]
"""A file's name, from the test's folder; a batch; or batches and records (see `given`)."""


class UnusableRecordingError(ValueError):
    """A recording that can't be read, or not whole; the message says where and why."""


def batches_of(
    feed: Feed,
    folder: Path,
    *,
    start_unix_nano: int = DEFAULT_START_UNIX_NANO,
    flawed: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of what a test feeds; raises UnusableRecordingError.

    `flawed` leaves out what of a recording can't be read.
    """
    if isinstance(feed, Batch):
        yield feed
    elif isinstance(feed, str | os.PathLike):
        yield from _recorded(folder / Path(feed), flawed=flawed)
    else:
        for number, item in enumerate(feed):
            yield item if isinstance(item, Batch) else _built(item, number, start_unix_nano)


def _recorded(path: Path, *, flawed: bool) -> Iterator[Batch]:
    try:
        with path.open("rb") as source:
            for item in Source(source, path).items():
                if not isinstance(item, Flaw):
                    yield item.batch
                elif not flawed:
                    raise UnusableRecordingError(
                        f"{path}: message {item.number}, at byte {item.offset_bytes}: {item.reason}"
                    )
    except OSError as error:
        raise UnusableRecordingError(f"{path}: can't be read: {error.strerror}") from error


def _built(item: Mapping[str, Any], number: int, start_unix_nano: int) -> Batch:
    try:
        return batch_of(item, start_unix_nano)
    except BadRecordError as error:
        path = "".join(f"[{part!r}]" for part in (number, *error.path))
        raise UnusableRecordingError(f"the record {path}: {error}") from error
