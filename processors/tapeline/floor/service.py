"""How a service of the floor runs: uvicorn in front, its own work behind, a graceful end."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from tapeline.floor.faults import CLOSED_BY_SERVICE_DOWN, Faults
from tapeline.floor.place import Place

try:
    import uvicorn
    from fastapi import FastAPI
except ImportError as error:
    raise ImportError(
        f"the floor's services need FastAPI and uvicorn ({error}): pip install 'tapeline[demo]'"
    ) from error

__all__ = ["HOST", "TELEMETRY_GRACE_MS", "Body", "run_floor_service"]

HOST: Final = "127.0.0.1"
_GRACE_S: Final = 2
# With the requests' 2 s before it within the 8 s after which the supervisor kills a service.
TELEMETRY_GRACE_MS: Final = 5_000
_POLL_S: Final = 0.1

# What a service does beside answering: runs until it is cancelled.
Body: TypeAlias = Callable[[], Awaitable[None]]


def run_floor_service(app: FastAPI, place: Place, body: Body) -> int:
    """Serve an application and do its work until SIGTERM or Ctrl-C; return the exit status.

    While the fault `service_down` names this service, nothing listens on its port.
    """
    # The handler's level, too: a service's own logger has one of its own, and goes to OTLP.
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.ERROR)
    logging.basicConfig(level=logging.ERROR, handlers=[terminal])
    _show_lost_telemetry()
    return asyncio.run(_run(app, place, body))


def _show_lost_telemetry() -> None:
    """Have the kit's warning of it on stderr, also of a service whose own lines are only sent."""
    shown = any(
        isinstance(each, logging.StreamHandler) and each.level <= logging.WARNING
        for each in logging.getLogger().handlers
    )
    if not shown:
        complaints = logging.getLogger("tapeline.instrument.setup")
        complaints.setLevel(logging.WARNING)
        complaints.addHandler(logging.StreamHandler(sys.stderr))


async def _run(app: FastAPI, place: Place, body: Body) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    work = asyncio.create_task(_work(body))
    doors = asyncio.create_task(_serve(app, place, ended))
    await asyncio.wait(
        {work, doors, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    idle = work.done() and not ended.is_set()
    ended.set()
    work.cancel()
    results = await asyncio.gather(work, doors, return_exceptions=True)
    failures = [each for each in results if isinstance(each, Exception)]
    for failure in failures:
        logging.getLogger(__name__).error("%s: %r", place.name, failure, exc_info=failure)
    if idle and not failures:
        logging.getLogger(__name__).error("%s: its work has ended, and shall not", place.name)
    return 1 if failures or idle else 0


async def _work(body: Body) -> None:
    await body()


async def _serve(app: FastAPI, place: Place, ended: asyncio.Event) -> None:
    """Keep the port open, but for the time that it shall be closed."""
    faults = Faults(place.fault_path)
    closes = place.name in CLOSED_BY_SERVICE_DOWN
    while not ended.is_set():
        if closes and faults.active("service_down"):
            await asyncio.sleep(_POLL_S)
            continue
        with _listening(place.port) as listener:
            server = uvicorn.Server(_uvicorn_config(app))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not (ended.is_set() or serving.done()):
                if closes and faults.active("service_down"):
                    break
                await asyncio.sleep(_POLL_S)
            server.should_exit = True
            await serving


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise RuntimeError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error


def _uvicorn_config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
    )
