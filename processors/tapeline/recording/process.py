"""Run recorded telemetry through a chain: no network, no clock, the same result every time.

Sans I/O apart from the batches that are handed in and out: time is the data's own. `now` is the
greatest record time so far, the batch in hand included, so that a result depends on nothing but
the input and the configuration.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tapeline.otlp.framing import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.recorded.reader import Flaw, RecordedBatch
from tapeline.recording.event_time import greatest_time_unix_nano

__all__ = ["Counts", "Refusal", "process_batches"]


@dataclass(slots=True)
class Counts:
    """What a run saw so far. Records are those that went in; refused are messages."""

    batches_in: int = 0
    records_in: int = 0
    batches_out: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message of the input that could not be processed, and is not in the output.

    `number` counts messages from 1, `offset_bytes` is where it begins in the file as stored.
    `fatal`: nothing after it could be read.
    """

    number: int
    offset_bytes: int
    reason: str
    fatal: bool = False


def process_batches(
    items: Iterable[RecordedBatch | Flaw], chain: Chain, counts: Counts
) -> Iterator[Batch | Refusal]:
    """Yield what comes out of the chain, and a Refusal for each message that can't be processed.

    At the end of the input come the chain's last emissions.
    """
    now_unix_nano = 0
    for item in items:
        if isinstance(item, Flaw):
            counts.refused += 1
            yield Refusal(item.number, item.offset_bytes, item.reason, item.fatal)
            continue
        batch = item.batch
        try:
            latest = max(now_unix_nano, greatest_time_unix_nano(batch))
            outputs = chain.process(batch, latest)
        except MalformedRequestError as error:
            counts.refused += 1
            yield Refusal(item.number, item.offset_bytes, str(error))
            continue
        # A processor may raise anything, as in the sidecar. The type alone: a message may quote
        # the data.
        except Exception as error:  # noqa: BLE001
            counts.refused += 1
            reason = f"the chain failed on it with {type(error).__name__}"
            yield Refusal(item.number, item.offset_bytes, reason)
            continue
        counts.batches_in += 1
        counts.records_in += batch.framing.record_count
        if latest > now_unix_nano:
            now_unix_nano = latest
            outputs += chain.tick(now_unix_nano)
        counts.batches_out += len(outputs)
        yield from outputs
    last = chain.close(now_unix_nano)
    counts.batches_out += len(last)
    yield from last
