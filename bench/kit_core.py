"""The processor kit beside the raw-bytes interface, in this process.

Usage: kit_core.py ROUNDS. Run in a process of its own, on a core of its own, it prints JSON. Timed
is one batch of log records from its bytes to those that may leave, without gRPC and the framing
check. The same job is done by functions of the kit and by processors on the wire and on the parsed
request, to records of which none, one in a hundred or all change.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.payloads import BATCH_RECORDS, load_of
from prometheus_client import CollectorRegistry

from tapeline.kit import LogRecord, processor
from tapeline.otlp.index import index_records
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import FACTORY_ATTRIBUTE, ProcessorContext

__all__ = ["EVERY", "PROCESSORS", "main", "payload_of"]

# A text that stands in the records that are to change, and of the same length what replaces it.
MARK: Final = "order acknowledged"
TEXT: Final = "order ACKNOWLEDGED"
BATCHES: Final = 8


@processor(name="kit")
def kit(record: LogRecord) -> None:
    """Rewrite the body of marked records: each record is looked at."""
    body = record.body_text
    if body is not None and MARK in body:
        record.body = body.replace(MARK, TEXT, 1)


@processor(name="kit_containing", containing=[MARK])
def kit_containing(record: LogRecord) -> None:
    """As above; the records without the text never come here."""
    body = record.body_text
    if body is not None and MARK in body:
        record.body = body.replace(MARK, TEXT, 1)


class Raw:
    """The same on the wire: a look at the bytes, and where it finds something, a splice."""

    name: Final = "raw"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Rewrite the bodies of marked records."""
        del now_unix_nano
        payload, mark = batch.payload, MARK.encode()
        position = payload.find(mark)
        if position < 0:
            return Result(batch)
        index = index_records(batch.signal, payload)
        contents: dict[int, bytes | None] = {}
        while position >= 0:
            record = index.record_at(position)
            if record is not None:
                content = payload[index.record_begins[record] : index.record_ends[record]]
                contents[record] = content.replace(mark, TEXT.encode(), 1)
            position = payload.find(mark, position + len(mark))
        return Result(batch.with_payload(splice(payload, index, records=contents)))

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    close = tick


class Parsed:
    """The same on the parsed request, which is parsed, copied and serialised whole."""

    name: Final = "parsed"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Rewrite the bodies of marked records."""
        del now_unix_nano
        request: Any = type(batch.request)()
        request.CopyFrom(batch.request)
        changed = False
        for group in request.resource_logs:
            for scope in group.scope_logs:
                for record in scope.log_records:
                    body = record.body.string_value
                    if MARK in body:
                        record.body.string_value = body.replace(MARK, TEXT, 1)
                        changed = True
        return Result(batch.with_payload(request.SerializeToString()) if changed else batch)

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    close = tick


def of_kit(definition: object) -> Processor:
    """Return a processor of the kit with its default section."""
    factory = getattr(definition, FACTORY_ATTRIBUTE)
    made: Processor = factory.build(factory.config_model(), ProcessorContext(CollectorRegistry()))
    return made


PROCESSORS: Final[Mapping[str, Callable[[], Processor]]] = {
    "raw bytes": Raw,
    "parsed request": Parsed,
    "kit": lambda: of_kit(kit),
    "kit, containing": lambda: of_kit(kit_containing),
}
EVERY: Final[Mapping[str, int]] = {"none": 0, "1 %": 100, "all": 1}
"""Of how many records one is marked; 0: none is."""


def payload_of(source: bytes, every: int) -> bytes:
    """Return a batch of log records of the same sizes, of which some are marked."""
    request: Any = Batch(Signal.LOGS, source).request
    number = 0
    for group in request.resource_logs:
        for scope in group.scope_logs:
            for record in scope.log_records:
                marked = every > 0 and number % every == 0
                start = MARK if marked else "market data tick 1"
                record.body.string_value = start + record.body.string_value[len(MARK) :]
                number += 1
    payload: bytes = request.SerializeToString()
    return payload


def measure(name: str, mix: str, rounds: int) -> dict[str, Any]:
    """Return the CPU nanoseconds a record of the best round, and how many records changed."""
    step = PROCESSORS[name]()
    payloads = [payload_of(each, EVERY[mix]) for each in load_of(Signal.LOGS).batches[:BATCHES]]
    best_s, changed = float("inf"), 0
    for _ in range(rounds):
        batches = [Batch(Signal.LOGS, payload) for payload in payloads]
        began_s = time.process_time()
        results = [step.process(batch, 0).batch for batch in batches]
        best_s = min(best_s, time.process_time() - began_s)
        changed = sum(result.payload.count(TEXT.encode()) for result in results if result)
    return {
        "processor": name,
        "mix": mix,
        "ns_a_record": best_s / len(payloads) / BATCH_RECORDS * 1e9,
        "changed_of_records": changed / len(payloads) / BATCH_RECORDS,
    }


def main(rounds: int) -> None:
    """Print all rows as JSON."""
    print(json.dumps([measure(name, mix, rounds) for mix in EVERY for name in PROCESSORS]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
