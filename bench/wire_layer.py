"""What the wire layer costs a record, beside a parse by the real message types, in one run.

Run it from the repository's root, on a quiet machine: `.venv/bin/python -m bench.wire_layer`.
"""

import time
from collections.abc import Callable
from typing import Final

from bench.payloads import BATCH_RECORDS, load_of

from tapeline.otlp.framing import check_framing
from tapeline.otlp.index import index_records
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.pipeline.batch import REQUEST_TYPES

ROUNDS: Final = 5
STEP_S: Final = 0.3


def best_ns_per_record(step: Callable[[], object]) -> float:
    """Return the nanoseconds a record takes in the best of some rounds."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        calls = 0
        begin_s = time.perf_counter()
        while time.perf_counter() - begin_s < STEP_S:
            step()
            calls += 1
        best_s = min(best_s, (time.perf_counter() - begin_s) / calls)
    return best_s / BATCH_RECORDS * 1e9


def steps_of(signal: Signal, payload: bytes) -> dict[str, Callable[[], object]]:
    """Return the steps to measure, by name."""
    index = index_records(signal, payload)
    one = {len(index) // 2: b"\x0a\x03new"}
    line = request_to_json(signal, payload)
    return {
        "real parse": lambda: REQUEST_TYPES[signal].FromString(payload),
        "check_framing": lambda: check_framing(signal, payload),
        "index_records": lambda: index_records(signal, payload),
        "splice one record": lambda: splice(payload, index, records=one),
        "request_to_json": lambda: request_to_json(signal, payload),
        "request_from_json": lambda: request_from_json(line),
    }


def main() -> None:
    """Print a table: nanoseconds a record, millions of records a second, ratio to the parse."""
    for signal in Signal:
        payload = load_of(signal).batches[0]
        print(f"{signal}: {BATCH_RECORDS} records, {len(payload)} bytes")
        parse_ns = 0.0
        for name, step in steps_of(signal, payload).items():
            nanoseconds = best_ns_per_record(step)
            parse_ns = parse_ns or nanoseconds
            rate = 1e3 / nanoseconds
            ratio = nanoseconds / parse_ns
            print(f"  {name:18} {nanoseconds:9.1f} ns {rate:8.2f} M/s {ratio:8.3f} of a parse")


if __name__ == "__main__":
    main()
