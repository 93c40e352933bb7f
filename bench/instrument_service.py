"""A FastAPI service whose requests take 5 ms, with the instrumentation kit or without.

Usage: instrument_service.py PORT FORM. `plain` is the service as it is; `by hand` the same with the
SDK and OpenTelemetry's FastAPI instrumentation, as their pages begin; `instrumented` with
setup(app=app): a span and figures of each request. `old names` is the same with the names of
attributes before the conventions were stable besides. `with more` has a span of the request's work
and a log line besides. What it sends goes where the SDK's variables say.
"""

import asyncio
import logging
import os
import sys
from typing import Final

import uvicorn
from fastapi import FastAPI

WORK_S: Final = 0.005
LOG: Final = logging.getLogger("bench")


async def work(symbol: str) -> dict[str, str]:
    """Wait as long as a venue or a database takes."""
    await asyncio.sleep(WORK_S)
    return {"symbol": symbol}


def make_app(form: str) -> FastAPI:
    """Return the service in one of its forms."""
    app = FastAPI(openapi_url=None)
    if form == "plain":
        app.get("/orders/{symbol}")(work)
        return app
    if form == "by hand":
        instrument_by_hand(app)
        app.get("/orders/{symbol}")(work)
        return app
    if form == "old names":
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http/dup"
    # Here, so that the plain service doesn't have the SDK in its process at all.
    from tapeline.instrument import setup, traced  # noqa: PLC0415

    setup("bench", app=app, log_to_stderr=False)
    if form in {"instrumented", "old names"}:
        app.get("/orders/{symbol}")(work)
        return app
    traced_work = traced("work", {"component": "orders"})(work)

    async def with_more(symbol: str) -> dict[str, str]:
        LOG.info("order done", extra={"symbol": symbol})
        return await traced_work(symbol)

    app.get("/orders/{symbol}")(with_more)
    return app


def instrument_by_hand(app: FastAPI) -> None:
    """Do what a service without the kit does: traces and metrics by OTLP, with the defaults."""
    # Here, as above.
    from opentelemetry import metrics, trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    FastAPIInstrumentor.instrument_app(app)


def main(port: int, form: str) -> None:
    """Serve until it is ended."""
    uvicorn.run(make_app(form), port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
