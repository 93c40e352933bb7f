"""Health endpoints as VeloZ's: quick, alive, and ready with a state for each component."""

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

try:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse
except ImportError as error:
    raise ImportError(
        f"the health endpoints need FastAPI ({error}): pip install fastapi"
    ) from error

__all__ = ["Check", "health_routes"]

Check = Callable[[], "bool | str | Awaitable[bool | str]"]
"""Says how a component is: True and False, or a state in a word, of which HEALTHY are good ones."""

HEALTHY: Final = frozenset({"connected", "healthy", "ok", "ready", "running"})
CHECK_TIMEOUT_S: Final = 2.0
"""Below the timeout of a probe, by default 3 s in VeloZ's deployment."""

_LOG = logging.getLogger(__name__)


def health_routes(
    app: FastAPI, *, components: Mapping[str, Check] | None = None, version: str | None = None
) -> None:
    """Add GET /health, /health/live and /health/ready to an app.

    The first two say that the process answers. The third asks every component, and answers 503
    where one is not well; a check that raises or takes longer than 2 s counts as unwell.
    """
    checks = dict(components or {})
    began = time.monotonic()

    async def alive() -> JSONResponse:
        return JSONResponse({"ok": True})

    async def ready() -> JSONResponse:
        states = dict(zip(checks, await asyncio.gather(*map(_state, checks.values())), strict=True))
        well = all(state in HEALTHY for state in states.values())
        answer: dict[str, object] = {
            "ok": well,
            "components": states,
            "uptime_seconds": round(time.monotonic() - began, 3),
        }
        if version is not None:
            answer["version"] = version
        return JSONResponse(answer, status_code=200 if well else 503)

    app.add_api_route("/health", alive, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health/live", alive, methods=["GET"], include_in_schema=False)
    app.add_api_route("/health/ready", ready, methods=["GET"], include_in_schema=False)


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = check()
            if inspect.isawaitable(found):
                found = await found
    except TimeoutError:
        return "timed out"
    except Exception as error:  # noqa: BLE001  # Whatever a check raises, its component is unwell.
        _LOG.warning("a health check failed: %s: %s", type(error).__name__, error)
        return "unhealthy"
    if isinstance(found, bool):
        return "healthy" if found else "unhealthy"
    return found
