"""The API's side of the host services: each call, its outcome, and what it was about."""

import time
from collections.abc import Iterable
from typing import Any, Final

import httpx

from tapeline.floor.ktrdr.metrics import ApiMetrics
from tapeline.instrument import trace_exemplar

__all__ = ["HostError", "Hosts"]

CALL_TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 400
OUTCOMES: Final = ("ok", "failed", "unreachable")
_TEXT_MAX: Final = 200


class HostError(RuntimeError):
    """A host service that answered with an error, or could not be reached (`status` None)."""

    def __init__(self, host_service: str, status: int | None, why: str) -> None:
        answer = "is unreachable" if status is None else f"answered {status}"
        super().__init__(f"{host_service} {answer}: {why}")
        self.status = status


class Hosts:
    """Calls of host services over one client, whose spans carry the trace on to them."""

    def __init__(self, metrics: ApiMetrics, host_services: Iterable[str]) -> None:
        self._metrics = metrics
        # A rate sees no first event of a series that begins with it.
        for host_service in host_services:
            for outcome in OUTCOMES:
                metrics.host_calls.labels(host_service, outcome)
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
        self._client = httpx.AsyncClient(timeout=CALL_TIMEOUT_S, limits=limits)

    async def post(self, host_service: str, url: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a host service answered; raises HostError."""
        began_s = time.perf_counter()
        outcome = "unreachable"
        try:
            answer = await self._client.post(url, json=body)
        except httpx.TransportError as error:
            raise HostError(host_service, None, f"{type(error).__name__}: {error}") from error
        else:
            outcome = "failed"
            found = _object_of(answer)
            if found is None:
                raise HostError(host_service, answer.status_code, answer.text[:_TEXT_MAX])
            outcome = "ok"
            return found
        finally:
            self._metrics.host_calls.labels(host_service, outcome).inc()
            self._metrics.host_call_durations.labels(host_service).observe(
                time.perf_counter() - began_s, trace_exemplar()
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _object_of(answer: httpx.Response) -> dict[str, Any] | None:
    """Return the JSON object of an answer, or None where it is an error or something else."""
    if not answer.is_success:
        return None
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
