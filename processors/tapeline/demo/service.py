"""How a demo service starts and stops: arguments in, an aiohttp server, a graceful end."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from typing import Final, TypeAlias

from aiohttp import web

from tapeline.demo.messages import Settings

__all__ = [
    "HOST",
    "Body",
    "ServiceError",
    "health",
    "run_service",
    "settings_from",
    "settings_to_arguments",
]

HOST: Final = "127.0.0.1"
_GRACE_S: Final = 3.0

# What a service does beside answering: returns when its work is done, is cancelled on a signal.
Body: TypeAlias = Callable[[], Awaitable[object]]


class ServiceError(Exception):
    """A service can't do its work; the message says why."""


def settings_to_arguments(settings: Settings) -> list[str]:
    """Return the command line that makes the same settings in a child process."""
    return [f"--{each.name}={getattr(settings, each.name)}" for each in fields(Settings)]


def settings_from(arguments: Sequence[str]) -> Settings:
    """Return the settings of a child's command line; exits with a message where one is wrong."""
    parser = argparse.ArgumentParser(description="One service of `tapeline demo`.")
    for each in fields(Settings):
        convert = {"int": int, "float": float}.get(str(getattr(each.type, "__name__", "")), str)
        parser.add_argument(f"--{each.name}", type=convert, required=True)
    return Settings(**vars(parser.parse_args(arguments)))


async def health(_: web.Request) -> web.Response:
    """Answer that the service is up."""
    return web.json_response({"status": "ok"})


def run_service(application: web.Application, port: int, body: Body) -> int:
    """Serve until the body is done or a signal says so; return the process's exit status."""
    # What hinders the telemetry itself can only be said here. Retries are not worth a line.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    try:
        asyncio.run(_serve(application, port, body))
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(application: web.Application, port: int, body: Body) -> None:
    application.router.add_get("/health", health)
    runner = web.AppRunner(application, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        await _listen(runner, port)
        await _until_signal(body)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        # asyncio puts a sentence of its own where the system's short reason would stand.
        reason = error if error.errno is None else os.strerror(error.errno)
        raise ServiceError(f"cannot listen on {HOST}:{port}: {reason}") from error


async def _until_signal(body: Body) -> None:
    task = asyncio.ensure_future(body())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():  # we were cancelled from outside, not by a signal
            raise
