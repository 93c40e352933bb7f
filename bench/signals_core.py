"""The signals in this process: how fast they are, what positions take, how soon they are back.

Usage: signals_core.py speed|positions|emission|restart COUNT FOLDER. Run in a process of its own,
on a core of its own, it prints JSON. COUNT is batches of 1,000 events a round, or positions, or
executions. What is timed begins with events in memory, with `otlp` with the bytes of a request.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from bench.payloads import BATCH_RECORDS
from bench.signals_events import (
    FIRST_NS,
    Mix,
    batches_of,
    events_of,
    opening_executions,
    payloads_of,
    quotes_of,
)
from prometheus_client import CollectorRegistry

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.garbage import settle_garbage
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext
from tapeline.signals.config import SignalsConfig
from tapeline.signals.emission import Emitter
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.engine_state import dump_archive
from tapeline.signals.events import Event, Execution
from tapeline.signals.instruments import Instruments
from tapeline.signals.ledger import Ledger
from tapeline.signals.processor import FACTORY
from tapeline.signals.recorder import Recorder
from tapeline.signals.store_sqlite import SqliteStore

__all__ = ["main"]

ROUNDS: Final = 3
EXECUTIONS_BEFORE: Final = 16_000
"""Until there are samples at every horizon."""
PERIOD_NS: Final = 5_000_000_000
BATCH_NS: Final = 40_000_000
"""By the clock, between two batches: as at 25,000 records/s, so that emissions come as often."""
HALF_OPEN: Final = 50
EMISSION_INSTRUMENTS: Final = 200
SECOND_NS: Final = 1_000_000_000

Take = Callable[[Any], object]


def rate_row(
    name: str, batches: Sequence[Any], before: int, take: Take, executions: float
) -> dict[str, Any]:
    """Return events a second in the median round; `executions` is their part of the events."""
    for batch in batches[:before]:
        take(batch)
    timed = batches[before:]
    size = len(timed) // ROUNDS
    rates, cpu_s = [], 0.0
    for number in range(ROUNDS):
        cpu_began_s, began_s = time.process_time(), time.perf_counter()
        for batch in timed[number * size : (number + 1) * size]:
            take(batch)
        rates.append(size * BATCH_RECORDS / (time.perf_counter() - began_s))
        cpu_s += time.process_time() - cpu_began_s
    return {
        "what": name,
        "events_per_s": statistics.median(rates),
        "events_per_cpu_s": ROUNDS * size * BATCH_RECORDS / cpu_s,
        "executions_of_events": executions,
    }


def ledger_taker() -> Take:
    """Return what folds executions into positions: dedupe, chains, average cost, P&L, fees."""
    ledger = Ledger(Instruments())

    def take(batch: Sequence[Execution]) -> None:
        for event in batch:
            ledger.add(event, 0)
        for position in dict(ledger.positions.items()).values():
            _ = position.state

    return take


def engine_taker(engine: Engine) -> Take:
    """Return what lets an engine have batches."""

    def take(batch: Sequence[Event]) -> None:
        engine.apply(batch, batch[-1].time_ns)

    return take


def processor_taker(folder: Path, name: str) -> Take:
    """Return what lets the processor have requests: read, committed to SQLite, applied, emitted."""
    processor = processor_of(folder / f"{name}.db")
    clock = count(FIRST_NS + 86_400 * SECOND_NS, BATCH_NS)

    def take(payload: bytes) -> None:
        now_ns = next(clock)
        processor.process(Batch(Signal.LOGS, payload), now_ns)
        processor.tick(now_ns)

    return take


def processor_of(path: Path) -> Processor:
    """Return the processor as `tapeline serve` makes it, with its state in a file."""
    config = SignalsConfig(state=f"sqlite:///{path}")
    return FACTORY.build(config, ProcessorContext(registry=CollectorRegistry()))


def measure_speed(batches: int, folder: Path) -> list[dict[str, Any]]:
    """Return the rate of each part, and of each mix of events."""
    rows: list[dict[str, Any]] = []
    plain = batches_of(events_of(Mix.PLAIN), 3 * ROUNDS * batches)
    rows.append(rate_row("ledger", plain, 0, ledger_taker(), 1.0))
    del plain
    for mix in Mix:
        made, before, part = _made(mix, batches)
        take = engine_taker(Engine(EngineSettings()))
        rows.append(rate_row(f"engine, {mix}", made, before, take, part))
    quotes = batches_of(quotes_of(), 3 * ROUNDS * batches)
    rows.append(rate_row("quotes", quotes, 0, engine_taker(Engine(EngineSettings())), 0.0))
    del quotes
    for mix in (Mix.PLAIN, Mix.ORDERS):
        made, before, part = _made(mix, batches)
        payloads = payloads_of(made)
        take = processor_taker(folder, mix.name.lower())
        rows.append(rate_row(f"otlp to SQLite, {mix}", payloads, before, take, part))
    return rows


def _made(mix: Mix, batches: int) -> tuple[list[list[Event]], int, float]:
    """Return batches, how many of them come before those to be timed, and the executions' part."""
    sample = list(islice(events_of(mix), BATCH_RECORDS))
    part = sum(isinstance(event, Execution) for event in sample) / len(sample)
    before = round(EXECUTIONS_BEFORE / part / BATCH_RECORDS)
    return batches_of(events_of(mix), before + ROUNDS * batches), before, part


def measure_positions(positions: int) -> dict[str, Any]:
    """Return what the whole process has resident with so many open positions."""
    empty_bytes = resident_bytes()
    engine = Engine(EngineSettings())
    source = opening_executions(positions, positions // HALF_OPEN)
    while batch := list(islice(source, BATCH_RECORDS)):
        engine.apply(batch, batch[-1].time_ns)
    # Until all horizons have passed: what waits is not what a position takes.
    engine.advance(FIRST_NS + 7_200 * SECOND_NS)
    dump_archive(engine)  # As a checkpoint does every few minutes.
    del batch
    gc.collect()
    state_bytes = resident_bytes()
    emitter = Emitter(FIRST_NS, {"service.name": "bench"})
    emitter.emit(FIRST_NS + 7_200 * SECOND_NS, engine.series, engine.told_gauges())
    gc.collect()
    return {
        "positions": len(engine.live.ledger.positions),
        "empty_bytes": empty_bytes,
        "state_bytes": state_bytes,
        "emitted_bytes": resident_bytes(),
    }


def measure_emission(positions: int) -> dict[str, Any]:
    """Return what it takes to emit all positions when the price of each has changed."""
    engine = Engine(EngineSettings())
    source = opening_executions(positions, EMISSION_INSTRUMENTS)
    while batch := list(islice(source, BATCH_RECORDS)):
        engine.apply(batch, batch[-1].time_ns)
    quotes = quotes_of(EMISSION_INSTRUMENTS, FIRST_NS + 7_200 * SECOND_NS)
    emitter = Emitter(FIRST_NS, {"service.name": "bench"})
    gauges_ms: list[float] = []
    both_ms: list[float] = []
    for number in range(1, 2 * ROUNDS + 2):
        changed = list(islice(quotes, EMISSION_INSTRUMENTS))
        engine.apply(changed, changed[-1].time_ns)
        cpu_began_s = time.process_time()
        gauges = list(engine.told_gauges())
        gauges_ms.append((time.process_time() - cpu_began_s) * 1e3)
        emitter.emit(FIRST_NS + number * PERIOD_NS, engine.series, gauges)
        both_ms.append((time.process_time() - cpu_began_s) * 1e3)
    points = len(list(engine.gauges()))
    return {
        "positions": positions,
        "points": points,
        "first_ms": both_ms[0],
        "gauges_ms": statistics.median(gauges_ms[1:]),
        "median_ms": statistics.median(both_ms[1:]),
    }


def measure_restart(executions: int, folder: Path) -> dict[str, Any]:
    """Return how long it takes to be back with so many executions: after a kill, after a stop."""
    path = folder / "restart.db"
    settings = EngineSettings()
    _fill(path, settings, executions)
    after_kill_s, held = _timed_restart(settings, path)
    after_stop_s, held_again = _timed_restart(settings, path)
    if held != held_again:
        raise ValueError(f"{held:,} executions were back after a kill, {held_again:,} after a stop")
    return {"executions": held, "after_kill_s": after_kill_s, "after_stop_s": after_stop_s}


def _fill(path: Path, settings: EngineSettings, executions: int) -> None:
    """Leave rows without a checkpoint, as a kill does."""
    store = SqliteStore(path)
    recorder = Recorder(settings, store)
    recorder.begin(FIRST_NS)
    made = events_of(Mix.PLAIN)
    for _ in range(0, executions, BATCH_RECORDS):
        batch = list(islice(made, BATCH_RECORDS))
        recorder.take(batch, batch[-1].time_ns)
    store.close()


def _timed_restart(settings: EngineSettings, path: Path) -> tuple[float, int]:
    """Return how long a recorder took to begin, and its executions; then it stops in order."""
    gc.collect()
    recorder = Recorder(settings, SqliteStore(path))
    began_s = time.perf_counter()
    recorder.begin(FIRST_NS)
    taken_s = time.perf_counter() - began_s
    held = len(recorder.engine.live.ledger.executions.events)
    recorder.checkpoint()
    recorder.close()
    return taken_s, held


def resident_bytes() -> int:
    """Return what this process has in memory now."""
    for line in _status():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _status() -> Iterator[str]:
    yield from Path("/proc/self/status").read_text(encoding="ascii").splitlines()


def main(arguments: Iterable[str]) -> None:
    """Print what was asked for as JSON."""
    settle_garbage()  # As the gate does before its first batch.
    what, number, folder = arguments
    measures: dict[str, Callable[[], Any]] = {
        "speed": lambda: measure_speed(int(number), Path(folder)),
        "positions": lambda: measure_positions(int(number)),
        "emission": lambda: measure_emission(int(number)),
        "restart": lambda: measure_restart(int(number), Path(folder)),
    }
    print(json.dumps(measures[what]()))


if __name__ == "__main__":
    main(sys.argv[1:])
