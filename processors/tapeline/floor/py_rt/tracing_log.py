"""Log lines as Rust's `tracing` writes them with its JSON formatter."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tapeline.floor.log_line import LineWriter
from tapeline.instrument import trace_ids

__all__ = ["TracingLog", "tracing_record"]

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")


def tracing_record(
    at: datetime,
    level: str,
    target: str,
    fields: Mapping[str, object],
    span: Mapping[str, object] | None,
) -> dict[str, object]:
    """Return one line's object; `fields` has the message among them, as `tracing` has it."""
    record: dict[str, object] = {
        "timestamp": at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": level,
        "target": target,
        "fields": dict(fields),
    }
    if span is not None:
        record["span"] = dict(span)
    return record


class TracingLog:
    """A service's log file.

    The ids of the current trace stand beside what `tracing` writes, and the class of errors, which
    Loki keeps for the 30 days that the document asks for.
    """

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def write(
        self,
        level: str,
        target: str,
        message: str,
        span: Mapping[str, object] | None = None,
        **fields: object,
    ) -> None:
        """Write a line with the time of now."""
        record = tracing_record(
            datetime.now(UTC), level, target, {"message": message, **fields}, span
        )
        log_class = {"log_type": "error"} if level == "ERROR" else {}
        self._writer.write(record | log_class | trace_ids())
