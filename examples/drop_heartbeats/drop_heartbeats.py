"""An example processor: drops the heartbeat lines of market data feeds, and counts them."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory

__all__ = ["FACTORY", "DropHeartbeats", "DropHeartbeatsConfig"]


class DropHeartbeatsConfig(BaseModel):
    """The `drop_heartbeats` section of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Log bodies that are dropped, compared whole and exactly.
    bodies: tuple[str, ...] = Field(default=("heartbeat",), min_length=1, max_length=100)


class DropHeartbeats:
    """Drops log records whose body is a heartbeat. Other signals pass."""

    name: Final = "drop_heartbeats"

    def __init__(self, config: DropHeartbeatsConfig, registry: CollectorRegistry) -> None:
        self._bodies = frozenset(config.bodies)
        self._seen = Counter("heartbeats_seen", "Log records looked at", registry=registry)
        self._dropped = Counter("heartbeats_dropped", "Log records dropped", registry=registry)

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Return the batch without its heartbeats; the same object where it has none."""
        del now_unix_nano
        if not any(body.encode() in batch.payload for body in self._bodies):
            return Result(batch)  # A look at the raw bytes is far cheaper than parsing them.
        if not isinstance(batch.request, ExportLogsServiceRequest):
            return Result(batch)
        kept = ExportLogsServiceRequest()
        kept.CopyFrom(batch.request)  # A batch's views are read-only.
        dropped = 0
        for resource in kept.resource_logs:
            for scope in resource.scope_logs:
                keep = [r for r in scope.log_records if r.body.string_value not in self._bodies]
                self._seen.inc(len(scope.log_records))
                dropped += len(scope.log_records) - len(keep)
                del scope.log_records[:]
                scope.log_records.extend(keep)
        self._dropped.inc(dropped)
        return Result(batch.with_payload(kept.SerializeToString()) if dropped else batch)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Nothing is emitted by time."""
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Nothing is left to emit."""
        del now_unix_nano
        return ()


def _build(config: DropHeartbeatsConfig, context: ProcessorContext) -> DropHeartbeats:
    return DropHeartbeats(config, context.registry)


FACTORY: Final = ProcessorFactory(
    name=DropHeartbeats.name, config_model=DropHeartbeatsConfig, build=_build
)
