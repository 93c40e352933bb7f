"""In process: what the instrumentation kit costs a span, a line, a call. Prints JSON.

Usage: instrument_core.py ROUNDS. Spans go through a batch processor to an exporter that throws them
away: what they cost over the wire is the SDK's and the same for all. CPU time is the whole
process's, so that what is done in the exporter's thread counts.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx
from fastapi import FastAPI
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tapeline.instrument import setup as kit_setup
from tapeline.instrument import span, traced

SPANS: Final = 1000
"""In a round: fewer than a batch processor's queue holds, so that none is dropped."""
OK: Final = 200
ATTRIBUTES: Final = {"symbol": "BTCUSDT", "side": "BUY"}


class Discarding(SpanExporter):
    """Takes spans and counts them."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count."""
        self.spans += len(spans)
        return SpanExportResult.SUCCESS


class Bench:
    """Two providers side by side: the SDK's own, and the kit's."""

    def __init__(self) -> None:
        for signal in ("TRACES", "METRICS", "LOGS"):
            os.environ[f"OTEL_{signal}_EXPORTER"] = "none"
        self.exporter, self.kit_exporter = Discarding(), Discarding()
        self.bare = TracerProvider(span_limits=SpanLimits())
        self.bare.add_span_processor(BatchSpanProcessor(self.exporter))
        self.line = logging.getLogger("bench.line")
        self.line.addHandler(logging.NullHandler())
        self.line.propagate = False
        self.line.setLevel(logging.INFO)

    def start_kit(self) -> None:
        """Set up the kit, with an exporter that discards behind its filter."""
        # The package's `setup` is the function; this is the module that it is from.
        module: Any = sys.modules["tapeline.instrument.setup"]
        exporters = {"traces": [self.kit_exporter]}
        module.load_exporters = lambda signal, _: exporters.get(signal, [])
        self.telemetry = kit_setup("bench", log_to_stderr=False)


def spans(start: Callable[[], AbstractContextManager[object]]) -> None:
    """Make the spans of a round."""
    for _ in range(SPANS):
        with start():
            pass


def calls(function: Callable[[], object]) -> None:
    """Call as often as a round has spans."""
    for _ in range(SPANS):
        function()


def best_us(work: Callable[[], object], flush: Callable[[], object], rounds: int) -> list[float]:
    """Return the CPU microseconds of one of a round's things, for each round."""
    found = []
    for _ in range(rounds):
        began_s = time.process_time()
        work()
        flush()
        found.append((time.process_time() - began_s) / SPANS * 1e6)
    return found


def span_forms(bench: Bench) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return what is compared: the work of a round, and how its spans are sent."""
    tracer = bench.bare.get_tracer("bench")

    @traced(name="work", attributes=ATTRIBUTES)
    def work() -> None:
        """Nothing."""

    @traced(name="work", attributes=ATTRIBUTES)
    async def work_async() -> None:
        """Nothing."""

    async def all_async() -> None:
        for _ in range(SPANS):
            await work_async()

    def bare() -> AbstractContextManager[object]:
        return tracer.start_as_current_span("work", attributes=ATTRIBUTES)

    kit_flush = bench.telemetry.flush
    return {
        "bare SDK": (lambda: spans(bare), bench.bare.force_flush),
        "span()": (lambda: spans(lambda: span("work", ATTRIBUTES)), kit_flush),
        "@traced": (lambda: calls(work), kit_flush),
        "@traced, async": (lambda: asyncio.run(all_async()), kit_flush),
    }


def measure_spans(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each form; the rounds of all of them take turns."""
    forms = span_forms(bench)
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(rounds):
        for name, (work, flush) in forms.items():
            best[name] = min(best[name], *best_us(work, flush, 1))
    sent = bench.exporter.spans + bench.kit_exporter.spans
    return [
        {
            "what": name,
            "us": us,
            "over_us": us - best["bare SDK"],
            "whole": sent == expected(rounds),
        }
        for name, us in best.items()
    ]


class Requests:
    """A FastAPI app without a server: what a request costs its process, with no wait in it."""

    def __init__(self) -> None:
        self.app = FastAPI(openapi_url=None)

        @self.app.get("/orders/{symbol}")
        async def order(symbol: str) -> dict[str, str]:
            return {"symbol": symbol}

    def serve(self) -> None:
        """Answer as many requests as a round has spans."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
        fixed = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/orders/BTCUSDT", "raw_path": b"/orders/BTCUSDT",
            "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        for _ in range(SPANS):
            await self.app(dict(fixed), self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        if message.get("status", OK) != OK:
            raise RuntimeError(f"a request was answered with {message}")


def expected(rounds: int) -> int:
    """Return how many spans all forms make: fewer that are exported are fewer than measured."""
    return 4 * rounds * SPANS


def client() -> httpx.Client:
    """Return a client whose calls end in this process; its transport is what is instrumented."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    return httpx.Client(transport=transport, base_url="http://host")


def measure_others(bench: Bench, rounds: int, without: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return what a log line, an httpx call and a request cost more than without the kit.

    Line and call within a span, as those of a service's work are; a request begins one.
    """
    plain, instrumented = client(), client()
    HTTPXClientInstrumentor.instrument_client(instrumented)
    nothing = bench.telemetry.flush
    with span("work"):
        line_us = min(best_us(lambda: calls(lambda: bench.line.info("line")), nothing, rounds))
        plain_us, kit_us = float("inf"), float("inf")
        for _ in range(max(1, rounds // 3)):
            plain_us = min(plain_us, *best_us(lambda: calls(lambda: plain.get("/")), nothing, 1))
            kit_us = min(kit_us, *best_us(lambda: calls(lambda: instrumented.get("/")), nothing, 1))
    served = Requests()
    bench.telemetry.instrument_app(served.app)
    request_us = min(best_us(served.serve, nothing, rounds))
    found = (
        ("a log line", line_us, without["line"]),
        ("an httpx call", kit_us, plain_us),
        ("a request", request_us, without["request"]),
    )
    return [
        {"what": what, "us": us, "over_us": us - plain, "whole": True} for what, us, plain in found
    ]


def main(rounds: int) -> None:
    """Print all rows as JSON."""
    bench = Bench()
    # Before setup: then log records have more to them, and FastAPI itself finds an SDK to use.
    line_us = min(best_us(lambda: calls(lambda: bench.line.info("line")), lambda: None, rounds))
    request_us = min(best_us(Requests().serve, lambda: None, rounds))
    bench.start_kit()
    rows = measure_spans(bench, rounds)
    bench.line.propagate = True  # And so through the kit's processors.
    rows += measure_others(bench, rounds, {"line": line_us, "request": request_us})
    print(json.dumps(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]))
