"""KTRDR's training host service: models, trained where the GPU is."""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field

from tapeline.floor.ktrdr.fields import OperationLogFields, TrainingLogFields, as_extra
from tapeline.floor.ktrdr.ground import Ground, open_ground
from tapeline.floor.ktrdr.metrics import TrainingHostMetrics, make_training_host_metrics
from tapeline.floor.place import place_from
from tapeline.floor.service import run_floor_service
from tapeline.instrument import span, trace_exemplar

__all__ = ["STRATEGIES", "TrainingRequest", "main", "make_routes"]

STRATEGIES: Final = ("momentum", "mean_reversion")
EPOCHS_MAX: Final = 100
BATCH_MAX: Final = 65_536

_EPOCH_S: Final = (0.01, 0.02)
_SPIKE_S: Final = (1.1, 1.4)


class TrainingRequest(BaseModel):
    """What the API asks for."""

    model_config = ConfigDict(protected_namespaces=())  # `model_id` is the document's name.

    operation_id: str = Field(max_length=100)
    model_id: str = Field(max_length=100)
    strategy: str = Field(max_length=50)
    symbol: str = Field(max_length=20)
    epochs: int = Field(gt=0, le=EPOCHS_MAX)
    batch_size: int = Field(gt=0, le=BATCH_MAX)


def make_routes(ground: Ground, metrics: TrainingHostMetrics) -> None:
    """Give the app its route."""

    @ground.app.post("/train")
    async def train(request: TrainingRequest) -> dict[str, int]:
        operation = OperationLogFields(request.operation_id, "training", "in_progress")
        fields = TrainingLogFields(
            request.model_id, request.strategy, request.symbol, request.epochs, request.batch_size
        )
        ground.log.info("Training started", extra=as_extra(operation, fields))
        strategy = request.strategy if request.strategy in STRATEGIES else "other"
        attributes = {"symbol": request.symbol, "strategy": request.strategy}
        for epoch in range(request.epochs):
            with span("training.epoch", {**attributes, "epoch": epoch}):
                began_s = time.perf_counter()
                spike = ground.faults.active("latency_spike")
                await asyncio.sleep(ground.generator.uniform(*(_SPIKE_S if spike else _EPOCH_S)))
                metrics.epochs.labels(strategy).inc()
                metrics.epoch_durations.labels(strategy).observe(
                    time.perf_counter() - began_s, trace_exemplar()
                )
        ground.log.info("Training completed", extra=as_extra(operation, fields))
        return {"epochs": request.epochs}


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    registry = CollectorRegistry()
    with open_ground(place_from(arguments), registry) as ground:
        ground.expose({"gpu": lambda: True})
        make_routes(ground, make_training_host_metrics(registry))
        return run_floor_service(ground.app, ground.place, ground.flood)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
