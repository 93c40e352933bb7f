"""KTRDR's orchestrator: starts operations at the floor's pace, each as a user's request would."""

import asyncio
import itertools
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Final

import httpx

from tapeline.floor.ktrdr.fields import DataLogFields, TrainingLogFields
from tapeline.floor.ktrdr.ground import Ground
from tapeline.floor.ktrdr.metrics import ApiMetrics
from tapeline.floor.ktrdr.training_host_service import STRATEGIES
from tapeline.instrument import (
    add_error_context,
    log_operation_complete,
    log_operation_failed,
    log_operation_start,
    span,
    trace_exemplar,
)

__all__ = ["Operation", "OperationError", "Orchestrator"]

SYMBOLS: Final = ("AAPL", "MSFT", "EURUSD", "SPY")
TIMEFRAMES: Final = ("1m", "5m", "1h", "1d")
HOSTS: Final = ("ktrdr-ib-host-service", "ktrdr-training-host-service")
OPERATION_TYPES: Final = ("data_download", "training")
TRAINING_EVERY: Final = 5
"""Of so many operations one trains a model, the others load data."""

_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.2
_IN_FLIGHT_MAX: Final = 300
"""Beyond it no operation is started: one that hangs shall not take all memory."""


class OperationError(RuntimeError):
    """An operation that the API did not complete."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be done: a request to the API, and what its lines and spans say."""

    operation_id: str
    operation_type: str
    path: str
    strategy: str
    fields: DataLogFields | TrainingLogFields

    def body(self) -> dict[str, Any]:
        """Return the request's body."""
        return {"operation_id": self.operation_id, "strategy": self.strategy, **asdict(self.fields)}


class Orchestrator:
    """Starts operations, and follows each to its end."""

    def __init__(self, ground: Ground, metrics: ApiMetrics) -> None:
        self._ground = ground
        self._metrics = metrics
        # A rate sees no first event of a series that begins with it.
        for operation_type in OPERATION_TYPES:
            for status in ("completed", "failed"):
                metrics.operations.labels(operation_type, status)
        self._numbers = itertools.count(1)
        limits = httpx.Limits(max_connections=_IN_FLIGHT_MAX + 1)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, limits=limits)

    async def run(self) -> None:
        """Start operations at the floor's rate; never returns."""
        own = f"http://127.0.0.1:{self._ground.place.port}"
        # Whoever starts before the others would begin with errors that are none.
        for url in (own, *(self._ground.place.peers[name] for name in HOSTS)):
            await _listened_on(url)
        tasks: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(self._ground.generator.expovariate(self._ground.place.rate_per_s))
            if len(tasks) >= _IN_FLIGHT_MAX:
                continue
            operation = self.next_operation()
            task = asyncio.create_task(self._counted(operation, self.start_operation(operation)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def next_operation(self) -> Operation:
        """Return the next operation, by the seed."""
        number = next(self._numbers)
        draw = self._ground.generator
        operation_id = f"op-{self._ground.place.run}-{number}"
        symbol, strategy = draw.choice(SYMBOLS), draw.choice(STRATEGIES)
        if number % TRAINING_EVERY == 0:
            model = TrainingLogFields(f"model-{number}", strategy, symbol, draw.randint(2, 4), 32)
            return Operation(operation_id, "training", "/api/v1/training/start", strategy, model)
        data = DataLogFields(
            symbol, draw.choice(TIMEFRAMES), "2025-11-10", "2025-11-11", "ib_host_service"
        )
        return Operation(operation_id, "data_download", "/api/v1/data/load", strategy, data)

    async def start_operation(self, operation: Operation) -> None:
        """Do an operation within a span of its own; raises OperationError where it fails."""
        attributes = {
            "operation.type": operation.operation_type,
            "operation.id": operation.operation_id,
            "symbol": operation.fields.symbol,
            "strategy": operation.strategy,
        }
        log = self._ground.log
        with span("operation.start", attributes) as current:
            context = asdict(operation.fields) | {"strategy": operation.strategy}
            log_operation_start(log, operation.operation_id, operation.operation_type, **context)
            began_s = time.perf_counter()
            try:
                await self._request(operation)
            except (OperationError, httpx.TransportError) as error:
                current.set_attribute("operation.status", "failed")
                add_error_context(symbol=operation.fields.symbol, strategy=operation.strategy)
                kind = {"operation_type": operation.operation_type}
                log_operation_failed(log, operation.operation_id, error, **kind, **context)
                raise
            finally:
                took_s = time.perf_counter() - began_s
                self._metrics.operation_durations.labels(operation.operation_type).observe(
                    took_s, trace_exemplar()
                )
                current.set_attribute("operation.duration_ms", round(took_s * 1e3, 3))
            current.set_attribute("operation.status", "success")
            self._complete(operation, took_s, context)

    def _complete(self, operation: Operation, took_s: float, context: dict[str, Any]) -> None:
        attributes: dict[str, str | float] = {
            "operation.id": operation.operation_id,
            "operation.status": "success",
            "operation.duration_ms": round(took_s * 1e3, 3),
        }
        with span("operation.complete", attributes):
            log_operation_complete(
                self._ground.log,
                operation.operation_id,
                round(took_s * 1e3, 3),
                operation_type=operation.operation_type,
                **context,
            )

    async def _request(self, operation: Operation) -> None:
        url = f"http://127.0.0.1:{self._ground.place.port}{operation.path}"
        answer = await self._client.post(url, json=operation.body())
        if not answer.is_success:
            raise OperationError(f"{operation.path} answered {answer.status_code}")

    async def _counted(self, operation: Operation, work: Coroutine[Any, Any, None]) -> None:
        """Follow an operation to its end; a failed one is logged by then, and counted here."""
        gauge = self._metrics.in_progress.labels(operation.operation_type)
        gauge.inc()
        status = "failed"
        try:
            await work
            status = "completed"
        except (OperationError, httpx.TransportError):
            pass
        finally:
            gauge.dec()
            self._metrics.operations.labels(operation.operation_type, status).inc()


async def _listened_on(url: str) -> None:
    """Return when something listens at a URL; by a bare connection, which leaves no span."""
    where = httpx.URL(url)
    while True:
        try:
            _, writer = await asyncio.open_connection(where.host, where.port)
        except OSError:
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return
