"""The limiter in this process: how fast it is, and what a series takes in memory.

Usage: limiter_core.py BATCHES. Run in a process of its own, on a core of its own, it prints JSON.
What is timed is one batch from its bytes to the batch that may leave; the index of its records is
in it, gRPC is not. Every batch is made just before, with later times than the one before it.
"""

import gc
import json
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass
from typing import Any, Final

from bench.payloads import BATCH_RECORDS, METRICS_PER_BATCH
from bench.series import OVER_STREAMS, ROOM, Encoding, Mix, Mixture

from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.garbage import settle_garbage

__all__ = ["main"]

ROUNDS: Final = 5
ADMITTED_BATCHES: Final = ROOM * METRICS_PER_BATCH // BATCH_RECORDS
OVER_BATCHES: Final = 2 * OVER_STREAMS // BATCH_RECORDS
MEMORY_SERIES: Final = 100_000
MEMORY_SERIES_MIN: Final = 20_000


def limiter_of(limit: int) -> MetricsLimiter:
    """Return a limiter with so much room for each metric, and all other defaults."""
    return MetricsLimiter(CardinalityConfig(default_limit=limit), seed=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What some batches took: the seconds of each, and the CPU seconds of all."""

    each_s: list[float]
    cpu_s: float

    @property
    def points(self) -> int:
        """How many points were in them."""
        return len(self.each_s) * BATCH_RECORDS


def timed(limiter: MetricsLimiter, made: Mixture, mix: Mix, batches: int) -> Taken:
    """Let the limiter have so many batches, and return what they took."""
    each_s, cpu_s = [], 0.0
    for payload in made.batches(mix, batches):
        cpu_began_s, began_s = time.process_time(), time.perf_counter()
        limiter.process(Batch(Signal.METRICS, payload), made.now_unix_nano)
        each_s.append(time.perf_counter() - began_s)
        cpu_s += time.process_time() - cpu_began_s
    return Taken(each_s, cpu_s)


def measure(encoding: Encoding, mix: Mix, batches: int) -> dict[str, Any]:
    """Return one row: points a second in the median round, and percentiles of a batch's time."""
    limiter, made = limiter_of(ROOM), Mixture(encoding)
    settle_garbage()  # As the gate does before its first batch.
    timed(limiter, made, Mix.ADMITTED, 2 * ADMITTED_BATCHES)
    # Until all streams are known; of new ones, until the table of folded streams is full.
    full = 2 * 200_000 // BATCH_RECORDS if batches >= OVER_BATCHES else batches
    timed(limiter, made, mix, full if mix is Mix.NEW else OVER_BATCHES)
    rounds = [timed(limiter, made, mix, batches) for _ in range(ROUNDS)]
    every_ms = [taken_s * 1e3 for taken in rounds for taken_s in taken.each_s]
    return {
        "encoding": encoding,
        "mix": mix,
        "points_per_s": statistics.median(taken.points / sum(taken.each_s) for taken in rounds),
        "points_per_cpu_s": statistics.median(taken.points / taken.cpu_s for taken in rounds),
        "p50_ms": statistics.median(every_ms),
        "p99_ms": statistics.quantiles(every_ms, n=100, method="inclusive")[98],
        "folded_streams": limiter.folded_streams,
    }


def bytes_a_series(limit: int, mix: Mix, batches: int) -> float:
    """Return what one more series takes, admitted or folded, by the allocator's own count."""
    limiter, made = limiter_of(limit), Mixture(Encoding.FORWARDS)
    timed(limiter, made, Mix.ADMITTED, ADMITTED_BATCHES)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    timed(limiter, made, mix, batches)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / (batches * BATCH_RECORDS / 2)


def main(batches: int) -> None:
    """Print all rows as JSON."""
    rows = [measure(encoding, mix, batches) for encoding in Encoding for mix in Mix]
    # Of fewer series, what does not grow with them would be the most.
    series = MEMORY_SERIES if batches >= OVER_BATCHES else MEMORY_SERIES_MIN
    new = 2 * series // BATCH_RECORDS
    print(
        json.dumps(
            {
                "rows": rows,
                "bytes_an_admitted_series": bytes_a_series(MEMORY_SERIES, Mix.NEW, new),
                "bytes_a_folded_series": bytes_a_series(ROOM, Mix.NEW, new),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
