"""The bench from beginning to end: arguments, the rows one after the other, the verdict."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.cardinality import measure_cardinality
from bench.cardinality_report import cardinality_as_json, cardinality_bars, cardinality_table
from bench.facts import facts
from bench.form import choose_form
from bench.instrument import (
    instrument_as_json,
    instrument_bars,
    instrument_table,
    measure_instrument,
)
from bench.kit import kit_as_json, kit_table, measure_kit
from bench.measure import (
    Effort,
    Target,
    Throughput,
    measure_latency,
    measure_throughput,
)
from bench.payloads import Load, load_of
from bench.processes import (
    ROOT,
    BenchError,
    Cores,
    choose_cores,
    cost_of,
)
from bench.recording import measure_recording
from bench.recording_report import recording_as_json, recording_bars, recording_table
from bench.redaction import measure_redaction, running_sink
from bench.redaction_report import bars_of, redaction_as_json, redaction_table
from bench.report import Row, Skipped, as_json, bars_missed, table
from bench.signals import measure_signals
from bench.signals_report import signals_as_json, signals_bars, signals_table
from bench.startup import Startup, measure_startup
from bench.stock_rules import stock_values
from bench.subjects import (
    GATE,
    GATE_REDACTION,
    RELAY,
    SUBJECTS,
    Subject,
    Unavailable,
    find_subjects,
)

from tapeline.otlp.signals import Signal

__all__ = ["main"]

FULL: Final = Effort(round_s=3.0, rounds=3, latency_batches=300)
QUICK: Final = Effort(round_s=1.0, rounds=1, latency_batches=40)
QUICK_SUBJECTS: Final = (RELAY, GATE, GATE_REDACTION)
REDACTION: Final = "redaction"
"""The name of the section with secrets."""
CARDINALITY: Final = "cardinality"
"""The name of the section with series beyond their limits."""
SIGNALS: Final = "signals"
"""The name of the section with trading events."""
KIT: Final = "kit"
"""The name of the section on the processor kit."""
INSTRUMENT: Final = "instrument"
"""The name of the section on the instrumentation kit."""
RECORDING: Final = "recording"
"""The name of the section with recordings, processed and replayed."""
SECTIONS: Final = frozenset({REDACTION, CARDINALITY, SIGNALS, KIT, INSTRUMENT, RECORDING})

STARTS: Final = 5
QUICK_STARTS: Final = 1
# What --quick asserts, of the relay's rate in the same run: far below what the gate does, so that
# a busy machine does not fail it, and far above what a walk over every record would reach.
QUICK_RATIO_MIN: Final = 0.25


def main(arguments: Sequence[str]) -> int:
    """Run the bench; return 0, 1 where the result is untrue or a bar was missed, 2 for usage."""
    options = _options(arguments)
    began = time.monotonic()
    try:
        result, missed = _measured(options, arguments)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.output} after {time.monotonic() - began:.0f} s")
    for each in missed:
        sys.stderr.write(f"bench: bar missed: {each}\n")
    return 1 if missed else 0


def _measured(
    options: argparse.Namespace, arguments: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Measure what was asked for, print it, and return it with the bars that were missed."""
    cores = choose_cores()
    named = tuple(options.only or (QUICK_SUBJECTS if options.quick else ()))
    alone = bool(named) and SECTIONS.issuperset(named)
    subjects = () if alone else find_subjects(_without_sections(named))
    form = choose_form(pure=options.pure)
    print(f"the gate is measured in its {form} form", flush=True)
    os.sched_setaffinity(0, {cores.load})
    known = facts(arguments, cores, form)
    missed: list[str] = []
    result: dict[str, Any] = {"facts": known}
    with tempfile.TemporaryDirectory(prefix="tapeline-bench-") as folder:
        if subjects:
            bench = Bench(cores, QUICK if options.quick else FULL, Path(folder))
            bench.measure_all(subjects, QUICK_STARTS if options.quick else STARTS)
            print(table(bench.rows, bench.skipped, bench.startup))
            missed += bench.verdict(quick=options.quick)
            result = as_json(bench.rows, bench.skipped, bench.startup, known)
        if not named or REDACTION in named:
            section = measure_redaction(cores, Path(folder), quick=options.quick)
            bars = bars_of(section, quick=options.quick)
            rules = len(stock_values())
            print(redaction_table(section, bars, rules))
            missed += [str(bar) for bar in bars if not bar.met]
            result["redaction"] = redaction_as_json(section, bars, rules)
        if not named or CARDINALITY in named:
            limited = measure_cardinality(cores, Path(folder), quick=options.quick)
            bars = cardinality_bars(limited, quick=options.quick)
            print(cardinality_table(limited, bars))
            missed += [str(bar) for bar in bars if not bar.met]
            result["cardinality"] = cardinality_as_json(limited, bars)
        if not named or SIGNALS in named:
            computed = measure_signals(cores, Path(folder), quick=options.quick)
            bars = signals_bars(computed, quick=options.quick)
            print(signals_table(computed, bars))
            missed += [str(bar) for bar in bars if not bar.met]
            result["signals"] = signals_as_json(computed, bars)
        if not named or KIT in named:
            kit = measure_kit(cores, quick=options.quick)
            print(kit_table(kit))
            result["kit"] = kit_as_json(kit)
        if not named or INSTRUMENT in named:
            missed += _instrumentation(cores, result, quick=options.quick)
        if not named or RECORDING in named:
            recorded = measure_recording(cores, Path(folder), quick=options.quick)
            bars = recording_bars(recorded, quick=options.quick)
            print(recording_table(recorded, bars))
            missed += [str(bar) for bar in bars if not bar.met]
            result["recording"] = recording_as_json(recorded, bars)
    return result | {"bars_missed": missed}, missed


def _instrumentation(cores: Cores, result: dict[str, Any], *, quick: bool) -> list[str]:
    """Measure the instrumentation kit, put it into the result, and return the missed bars."""
    measured = measure_instrument(cores, quick=quick)
    bars = instrument_bars(measured, quick=quick)
    print(instrument_table(measured, bars))
    result["instrument"] = instrument_as_json(measured, bars)
    return [str(bar) for bar in bars if not bar.met]


def _without_sections(named: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in named if name not in SECTIONS)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Measures the gate beside a trivial relay, the collector and Rotel. "
        "Exits 1 where a record was lost, a secret came through, or the gate missed a bar.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="relay and gate only, one short round each; judges ratios, never absolute figures",
    )
    parser.add_argument(
        "--pure",
        action="store_true",
        help="measure the gate as Python (default: compiled, as the image ships it)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"measure these (and the relay): {', '.join(s.name for s in SUBJECTS)}; or "
        f"{REDACTION!r}, the section with secrets and the stock redaction processor; or "
        f"{CARDINALITY!r}, the section with series beyond their limits; or {SIGNALS!r}, the one "
        f"with trading events; or {RECORDING!r}, the one with recordings; or "
        f"{KIT!r}, the one on the processor kit; or {INSTRUMENT!r}, the one on instrumentation",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "bench" / "results.json",
        metavar="FILE",
        help="where the result goes as JSON (default: bench/results.json)",
    )
    return parser.parse_args(arguments)


class Bench:
    """Measures subjects one after the other, and keeps the rows."""

    def __init__(self, cores: Cores, effort: Effort, folder: Path) -> None:
        self.rows: list[Row] = []
        self.skipped: list[Skipped] = []
        self.startup: dict[str, Startup] = {}
        self._cores = cores
        self._effort = effort
        self._folder = folder
        self._loads = {signal: load_of(signal) for signal in Signal}
        self._relay: dict[Signal, Throughput] = {}

    def measure_all(self, subjects: Sequence[Subject], starts: int) -> None:
        """Measure subjects one after the other, and the gate's start where it is among them."""
        for subject in subjects:
            self.measure(subject)
        if any(subject.name in {GATE, GATE_REDACTION} for subject in subjects):
            self.measure_startup(starts)

    def measure(self, subject: Subject) -> None:
        """Measure a subject with every signal, in a fresh process each."""
        for signal in Signal:
            load = self._loads[signal]
            print(f"{subject.name}: {signal} …", flush=True)
            with running_sink(self._cores, self._folder) as sink:
                try:
                    self.rows.append(self._row(subject, load, sink))
                except Unavailable as reason:
                    self.skipped.append(Skipped(subject.name, str(reason)))
                    return

    def measure_startup(self, starts: int) -> None:
        """Measure how soon the gate is live and ready, with and without its redaction."""
        with running_sink(self._cores, self._folder) as sink:
            port = int(sink.address.rsplit(":", 1)[1])
            for name, chain in ((GATE, ()), (GATE_REDACTION, ("redaction",))):
                self.startup[name] = measure_startup(chain, port, self._cores, self._folder, starts)

    def verdict(self, *, quick: bool) -> list[str]:
        """Return the bars that were missed; in a quick run only the ratio to the relay."""
        if not quick:
            return bars_missed(self.rows, self.startup, GATE)
        return [
            f"{row.subject} did {row.ratio_to_relay:.2f} of the relay with {row.signal}, "
            f"below {QUICK_RATIO_MIN:g}"
            for row in self.rows
            if row.subject == GATE and row.ratio_to_relay < QUICK_RATIO_MIN
        ]

    def _row(self, subject: Subject, load: Load, sink: Target) -> Row:
        sink_port = int(sink.address.rsplit(":", 1)[1])
        with subject.run(sink_port, self._cores, self._folder) as up:
            target = Target(f"127.0.0.1:{up.port}", sink.sink, up.process, sink.sink_process)
            throughput = measure_throughput(target, load, self._effort, self._cores)
            latencies = measure_latency(sink, target, load, self._effort)
            peak_bytes = cost_of(up.process.pid).peak_bytes
        relay = self._relay.setdefault(load.signal, throughput)
        return Row(
            subject=subject.name,
            note=subject.note,
            signal=load.signal.value,
            throughput=throughput,
            latency=latencies.through,
            added=latencies.added,
            peak_bytes=peak_bytes,
            ratio_to_relay=throughput.records_per_s / relay.records_per_s,
            cpu_ratio_to_relay=throughput.cpu_s_per_million / relay.cpu_s_per_million,
        )
