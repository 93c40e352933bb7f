"""A FastAPI service whose requests take 5 ms, with the instrumentation kit or without.

Usage: instrument_service.py PORT plain|instrumented. What it sends goes where the SDK's variables
say. A request logs a line and does a step of work, which is a span in the instrumented one.
"""

import asyncio
import logging
import sys
from typing import Final

import uvicorn
from fastapi import FastAPI

WORK_S: Final = 0.005


async def work(symbol: str) -> float:
    """Wait as long as a venue or a database takes."""
    await asyncio.sleep(WORK_S)
    logging.getLogger("bench.service").info("order done", extra={"symbol": symbol})
    return WORK_S


def plain_app() -> FastAPI:
    """Return the service as it is."""
    app = FastAPI()
    logging.getLogger("bench.service").setLevel(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())

    @app.get("/orders/{symbol}")
    async def order(symbol: str) -> dict[str, float]:
        return {"took_s": await work(symbol)}

    return app


def instrumented_app() -> FastAPI:
    """Return it with the kit: a span of the request, one of its work, and lines by OTLP."""
    # Here, so that the plain service doesn't have the SDK in its process at all.
    from tapeline.instrument import setup, traced  # noqa: PLC0415

    app = FastAPI()
    setup("bench", app=app, log_to_stderr=False)
    traced_work = traced("work", {"component": "orders"})(work)

    @app.get("/orders/{symbol}")
    async def order(symbol: str) -> dict[str, float]:
        return {"took_s": await traced_work(symbol)}

    return app


def main(port: int, form: str) -> None:
    """Serve until it is ended."""
    app = instrumented_app() if form == "instrumented" else plain_app()
    uvicorn.run(app, port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
