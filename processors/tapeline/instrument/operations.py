"""Log lines of an operation's start and end, with the same fields everywhere (KTRDR's).

The fields go along as `extra`: attributes of the log record, never parts of its message.
"""

import logging
from typing import Any

__all__ = ["log_operation_complete", "log_operation_failed", "log_operation_start"]


def log_operation_start(
    logger: logging.Logger, operation_id: str, operation_type: str, **context: Any
) -> None:
    """Log that an operation began, with `status` started."""
    extra = {"operation_id": operation_id, "operation_type": operation_type, "status": "started"}
    logger.info("Operation started", extra=extra | _safe(context))


def log_operation_complete(
    logger: logging.Logger, operation_id: str, duration_ms: float, **context: Any
) -> None:
    """Log that an operation ended well, with `status` completed and how long it took."""
    extra = {"operation_id": operation_id, "status": "completed", "duration_ms": duration_ms}
    logger.info("Operation completed", extra=extra | _safe(context))


def log_operation_failed(
    logger: logging.Logger, operation_id: str, error: BaseException, **context: Any
) -> None:
    """Log that an operation failed, with `status` failed, the error's type and its stack trace."""
    extra = {"operation_id": operation_id, "status": "failed", "error.type": type(error).__name__}
    logger.error("Operation failed", exc_info=error, extra=extra | _safe(context))


def _safe(context: dict[str, Any]) -> dict[str, Any]:
    """Return the context under keys that a log record can take: `name` and such it has itself."""
    return {f"context_{key}" if key in _TAKEN else key: value for key, value in context.items()}


_TAKEN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
