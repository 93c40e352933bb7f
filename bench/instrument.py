"""The section on the instrumentation kit: what a span, a line, a call and a request cost more."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from bench.measure import SinkProbe
from bench.processes import (
    ROOT,
    BenchError,
    Cores,
    cost_of,
    free_port,
    pinned,
    running,
    wait_for_port,
)
from bench.redaction import running_sink
from bench.redaction_report import Bar
from bench.table import aligned

from tapeline.otlp.signals import Signal

__all__ = [
    "CoreRow",
    "InstrumentResult",
    "RequestRow",
    "core_rows",
    "instrument_as_json",
    "instrument_bars",
    "instrument_table",
    "measure_instrument",
]

# Issue 8's bars, and those of KTRDR's document below them.
SPAN_OVER_US_MAX: Final = 5.0
REQUEST_OVER_MAX: Final = 0.03
LINE_OVER_US_MAX: Final = 100.0
CALL_OVER_US_MAX: Final = 1000.0

TIMEOUT_S: Final = 300.0
ROUNDS: Final = 30
QUICK_ROUNDS: Final = 2
BLOCK_REQUESTS: Final = 50
BLOCKS: Final = 30
QUICK_BLOCKS: Final = 1
WARM_UP_REQUESTS: Final = 50
FORMS: Final = ("plain", "by hand", "old names", "instrumented", "with more")
"""The bar is about `instrumented`. `by hand`: the SDK and OpenTelemetry's FastAPI instrumentation
with their defaults, of which each request has three spans. `old names`: the kit, where it is asked
for those too and has that instrumentation."""
SPANS_A_REQUEST: Final = {
    "plain": 0,
    "by hand": 3,
    "old names": 1,
    "instrumented": 1,
    "with more": 2,
}
ARRIVAL_S: Final = 20.0  # Batches go every 5 s.
OK: Final = 200


@dataclass(frozen=True, slots=True)
class CoreRow:
    """CPU microseconds of one thing, warm, and how many more than without the kit."""

    what: str
    us: float
    over_us: float


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A service's requests of 5 ms, one after the other: their latency, and the service's CPU."""

    form: str
    requests: int
    median_ms: float
    p99_ms: float
    cpu_us_a_request: float


@dataclass(frozen=True, slots=True)
class InstrumentResult:
    """What was measured in process, and of both services."""

    core: list[CoreRow]
    requests: list[RequestRow]

    @property
    def request_over(self) -> float:
        """The share by which an instrumented request's median takes longer."""
        median_ms = {row.form: row.median_ms for row in self.requests}
        return median_ms["instrumented"] / median_ms["plain"] - 1.0


def measure_instrument(cores: Cores, *, quick: bool = False) -> InstrumentResult:
    """Measure in a process of its own, then two services that are asked in turns."""
    print("instrument: in process …", flush=True)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    done = subprocess.run(
        pinned([sys.executable, "-m", "bench.instrument_core", str(rounds)], cores.subject),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"bench.instrument_core ended with {done.returncode}: {done.stderr}")
    print("instrument: requests of 5 ms …", flush=True)
    requests = measure_requests(cores, QUICK_BLOCKS if quick else BLOCKS)
    return InstrumentResult(core_rows(json.loads(done.stdout)), requests)


def core_rows(found: Sequence[dict[str, Any]]) -> list[CoreRow]:
    """Return the rows; raises BenchError where spans were lost, which would have cost less."""
    for row in found:
        if not row["whole"]:
            raise BenchError(f"{row['what']}: not every span was exported: its figures say nothing")
    return [CoreRow(row["what"], row["us"], row["over_us"]) for row in found]


def measure_requests(cores: Cores, blocks: int) -> list[RequestRow]:
    """Ask the services in turns, a block of requests each, so that all see the same machine.

    Not request by request: the services run on one core, and each would find its caches cold. The
    median is that of the least disturbed block.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapeline-bench-")))
        sink = stack.enter_context(running_sink(cores, folder))
        services = {
            form: stack.enter_context(service(form, cores, folder, sink.address)) for form in FORMS
        }
        for each in services.values():
            ask_often(each, WARM_UP_REQUESTS)
        took: dict[str, list[list[float]]] = {form: [] for form in FORMS}
        used_s = dict.fromkeys(FORMS, 0.0)
        for _ in range(blocks):
            for form, each in services.items():
                before_s = cost_of(each[1].pid).cpu_s
                took[form].append(ask_often(each, BLOCK_REQUESTS))
                used_s[form] += cost_of(each[1].pid).cpu_s - before_s
        requests = blocks * BLOCK_REQUESTS
        spans = sum(SPANS_A_REQUEST.values()) * (requests + WARM_UP_REQUESTS)
        await_spans(sink.sink, spans)
    return [
        RequestRow(
            form=form,
            requests=requests,
            median_ms=min(statistics.median(block) for block in took[form]) * 1e3,
            p99_ms=statistics.quantiles(itertools.chain(*took[form]), n=100)[98] * 1e3,
            cpu_us_a_request=used_s[form] / requests * 1e6,
        )
        for form in FORMS
    ]


def await_spans(sink: SinkProbe, expected: int) -> None:
    """Return when every span arrived; raises BenchError if not: then less was done than is said."""
    until = time.monotonic() + ARRIVAL_S
    while (arrived := sink.state()["records"][Signal.TRACES.value]) < expected:
        if time.monotonic() > until:
            raise BenchError(f"of {expected} spans of the instrumented service {arrived} arrived")
        time.sleep(0.1)


Asked = tuple[httpx.Client, "subprocess.Popen[bytes]"]


@contextmanager
def service(form: str, cores: Cores, folder: Path, sink: str) -> Iterator[Asked]:
    """Run a service on the subject's core, and yield a client of it with its process."""
    port, log = free_port(), folder / f"{form}.log"
    command = [sys.executable, "-m", "bench.instrument_service", str(port), form]
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink}"}
    with running(command, cores.subject, log, environment) as process:
        wait_for_port(process, port, log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client, process


def ask_often(asked: Asked, count: int) -> list[float]:
    """Return the seconds of each request; raises BenchError for any answer but 200."""
    found = []
    for _ in range(count):
        began_s = time.perf_counter()
        answer = asked[0].get("/orders/BTCUSDT")
        found.append(time.perf_counter() - began_s)
        if answer.status_code != OK:
            raise BenchError(f"a service answered {answer.status_code}: {answer.text[:200]}")
    return found


def instrument_bars(result: InstrumentResult, *, quick: bool = False) -> list[Bar]:
    """Return the bars in order; none of a quick run, as each hangs on the machine."""
    if quick:
        return []
    over = {row.what: row.over_us for row in result.core}
    limits = {
        "a log line": LINE_OVER_US_MAX,
        "an httpx call": CALL_OVER_US_MAX,
        "a request": CALL_OVER_US_MAX,
    }
    bars = [
        Bar(
            f"instrument, {what}",
            f"{over_us:.1f} us more",
            f"below {limits.get(what, SPAN_OVER_US_MAX):g} us more",
            over_us < limits.get(what, SPAN_OVER_US_MAX),
        )
        for what, over_us in over.items()
        if what != "bare SDK"
    ]
    return [
        *bars,
        Bar(
            "instrument, median of a request of 5 ms",
            f"{result.request_over:.1%} longer",
            f"below {REQUEST_OVER_MAX:.0%} longer",
            result.request_over < REQUEST_OVER_MAX,
        ),
    ]


def instrument_table(result: InstrumentResult, bars: Sequence[Bar]) -> str:
    """Return the section as text."""
    core = [("instrumentation kit, in process", "CPU us", "more than without")] + [
        (row.what, f"{row.us:.1f}", f"{row.over_us:+.1f}") for row in result.core
    ]
    requests = [("requests of 5 ms", "median ms", "p99 ms", "CPU us a request")] + [
        (row.form, f"{row.median_ms:.3f}", f"{row.p99_ms:.3f}", f"{row.cpu_us_a_request:.0f}")
        for row in result.requests
    ]
    return "\n" + "\n".join([*aligned(core), *aligned(requests), *map(str, bars)])


def instrument_as_json(result: InstrumentResult, bars: Sequence[Bar]) -> dict[str, Any]:
    """Return the section as JSON has it."""
    return {
        "core": [asdict(row) for row in result.core],
        "requests": [asdict(row) for row in result.requests],
        "request_over": result.request_over,
        "bars": [asdict(bar) for bar in bars],
    }
