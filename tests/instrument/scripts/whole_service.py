"""A FastAPI service with everything on, asked over HTTP by itself; prints what it was answered."""

import json
import logging
import os
import sys
import threading
import time

import httpx
import structlog
import uvicorn
from fastapi import FastAPI
from opentelemetry.instrumentation.utils import suppress_instrumentation as untraced

from tapeline.instrument import (
    add_error_context,
    add_span_attribute,
    add_trace_ids,
    health_routes,
    log_operation_complete,
    log_operation_failed,
    log_operation_start,
    setup,
    span,
    traced,
)

PORT = int(os.environ["SERVICE_PORT"])
URL = f"http://127.0.0.1:{PORT}"
CALLER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET = os.environ["PLANTED"]

app = FastAPI()
telemetry = setup("orders-api", version="1.2.3", environment="staging")
telemetry.instrument_app(app, active_requests="ACTIVE_REQUESTS" in os.environ)
again = setup("orders-api", app=app)
structured = structlog.wrap_logger(
    structlog.PrintLogger(), processors=[add_trace_ids, structlog.processors.JSONRenderer()]
)


@traced(name="calculate_risk", attributes={"component": "risk"})
def calculate_risk(number: int) -> int:
    """One step of an order, with a span of its own; 13 is refused."""
    if number == 13:
        raise ValueError("refused " + "y" * 3000)
    return number + 1


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    """Place an order."""
    with span("process_order", {"symbol": "BTCUSDT", "api_key": SECRET}) as current:
        current.add_event("login", {"user": "desk", "password": SECRET})
        add_span_attribute("order_id", number)
        add_span_attribute("note", "x" * 5000)
        log_operation_start(telemetry.log, f"op-{number}", "order", symbol="AAPL", name="desk")
        structured.info("structured", number=number)
        try:
            placed = calculate_risk(number)
        except ValueError as error:
            add_error_context(symbol="BTCUSDT")
            log_operation_failed(telemetry.log, f"op-{number}", error)
            raise
        log_operation_complete(telemetry.log, f"op-{number}", 1.5, secret_key=SECRET)
        return {"risk": placed}


health_routes(app, components={"engine": lambda: True, "websocket": lambda: "connected"})


def main() -> None:
    """Serve, ask, and send what was made of it."""
    server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_config=None, access_log=False))
    serving = threading.Thread(target=server.run)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    headers = {"traceparent": f"00-{CALLER_TRACE}-00f067aa0ba902b7-01", "x-api-key": SECRET}
    with untraced():  # As a caller of another process, with a trace of its own.
        answers = [
            httpx.get(f"{URL}/orders/{number}", headers=headers).status_code for number in (1, 13)
        ]
    answers += [
        httpx.get(f"{URL}{path}").status_code for path in ("/health", "/health/live", "/metrics")
    ]
    ready = httpx.get(f"{URL}/health/ready").json()
    telemetry.meter.create_counter("orders.placed").add(2)
    server.should_exit = True
    serving.join()
    logging.getLogger("library").warning("of another logger")
    went = telemetry.flush()
    telemetry.shutdown()
    telemetry.shutdown()
    logging.getLogger("library").warning("after the end")
    found = {"same": again is telemetry, "answers": answers, "ready": ready, "went": went}
    sys.stdout.write(json.dumps(found) + "\n")


main()
