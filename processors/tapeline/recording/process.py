"""Run recorded telemetry through a chain: no network, no clock, the same bytes every time.

Sans I/O apart from the lines that are handed in and out: time is the data's own. `now` is the
greatest record time so far, the batch in hand included, so that a result depends on nothing but
the input and the configuration.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.json_lines import MalformedLineError, request_from_json, request_to_json
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.recording.event_time import greatest_time_unix_nano

__all__ = ["MAX_LINE_BYTES", "Counts", "Refusal", "process_lines"]

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""The longest line: 64 MiB of protobuf, OTLP's recommended limit, as JSON with room to spare."""


@dataclass(slots=True)
class Counts:
    """What a run saw so far."""

    lines: int = 0
    batches_in: int = 0
    records_in: int = 0
    batches_out: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input line that could not be processed, and is not in the output."""

    line: int
    reason: str


def process_lines(
    lines: Iterable[bytes], chain: Chain, counts: Counts
) -> Iterator[bytes | Refusal]:
    """Yield an output line (without its newline) for each batch, and a Refusal for each bad line.

    Blank lines are passed over. At the end of the input come the chain's last emissions.
    """
    now_unix_nano = 0
    for number, line in enumerate(lines, start=1):
        counts.lines = number
        # Some editors begin a UTF-8 file with a byte order mark; it is no part of the text.
        text = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            batch = _read(text)
            latest = max(now_unix_nano, greatest_time_unix_nano(batch))
            outputs = chain.process(batch, latest)
        except (MalformedLineError, MalformedRequestError) as error:
            counts.refused += 1
            yield Refusal(number, str(error))
            continue
        # A processor may raise anything, as in the sidecar. The type alone: a message may quote
        # the data.
        except Exception as error:  # noqa: BLE001
            counts.refused += 1
            yield Refusal(number, f"the chain failed on it with {type(error).__name__}")
            continue
        counts.batches_in += 1
        counts.records_in += batch.framing.record_count
        if latest > now_unix_nano:
            now_unix_nano = latest
            outputs += chain.tick(now_unix_nano)
        yield from _write(outputs, counts)
    yield from _write(chain.close(now_unix_nano), counts)


def _read(line: bytes) -> Batch:
    if len(line) > MAX_LINE_BYTES:
        raise MalformedRequestError(
            f"the line is longer than {MAX_LINE_BYTES // 2**20} MiB: record smaller batches"
        )
    signal, payload = request_from_json(line)
    return Batch(signal, payload)


def _write(batches: Iterable[Batch], counts: Counts) -> Iterator[bytes]:
    for batch in batches:
        counts.batches_out += 1
        yield request_to_json(batch.signal, batch.payload)
