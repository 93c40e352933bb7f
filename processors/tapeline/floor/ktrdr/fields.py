"""The fields that KTRDR's log lines share, so that one query finds a thing in all services."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["DataLogFields", "OperationLogFields", "TrainingLogFields", "as_extra"]


@dataclass(frozen=True, slots=True)
class OperationLogFields:
    """Of every operation. `status` is started, in_progress, completed or failed."""

    operation_id: str
    operation_type: str
    status: str


@dataclass(frozen=True, slots=True)
class DataLogFields:
    """Of lines about market data. `provider` is ib_host_service or local."""

    symbol: str
    timeframe: str
    start_date: str
    end_date: str
    provider: str


@dataclass(frozen=True, slots=True)
class TrainingLogFields:
    """Of lines about training."""

    model_id: str
    strategy: str
    symbol: str
    epochs: int
    batch_size: int


def as_extra(
    *parts: OperationLogFields | DataLogFields | TrainingLogFields, **more: Any
) -> dict[str, Any]:
    """Return what a log call takes as `extra`; of a field in several parts the last one wins."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= asdict(part)
    return merged | more
