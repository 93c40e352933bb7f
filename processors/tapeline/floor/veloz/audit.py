"""VeloZ's audit log: lines of five types in a file, and what its API answers about them."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tapeline.floor.log_line import LineWriter

__all__ = ["LOG_TYPES", "RETENTION_DAYS", "AuditLog", "AuditQuery"]

ENTRIES_MAX: Final = 10_000
LIMIT_MAX: Final = 1_000
# How long each type is kept, as the guide has it; Loki's retention does so by log.class.
RETENTION_DAYS: Final[Mapping[str, int]] = {
    "auth": 90,
    "order": 365,
    "api_key": 365,
    "error": 30,
    "access": 14,
}
LOG_TYPES: Final = tuple(RETENTION_DAYS)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What /api/audit/logs may be asked; times are seconds since 1970, None is all."""

    log_type: str | None = None
    limit: int = 100
    offset: int = 0
    start_time: float | None = None
    end_time: float | None = None
    user_id: str | None = None
    action: str | None = None

    def admits(self, entry: Mapping[str, object]) -> bool:
        """Tell whether an entry is asked for."""
        stamp = entry["timestamp"]
        since = self.start_time if self.start_time is not None else float("-inf")
        until = self.end_time if self.end_time is not None else float("inf")
        return (
            self.log_type in {None, entry["log_type"]}
            and self.user_id in {None, entry["user_id"]}
            and self.action in {None, entry["action"]}
            and isinstance(stamp, float)
            and since <= stamp <= until
        )


@dataclass(slots=True)
class AuditLog:
    """Writes entries into the file and keeps the latest for the API; the file keeps them all."""

    lines: LineWriter
    entries: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=ENTRIES_MAX))
    archived: int = 0
    _unarchived: int = 0

    def write(
        self,
        log_type: str,
        action: str,
        request_id: str,
        user_id: str = "system",
        ip_address: str = "127.0.0.1",
        **details: object,
    ) -> None:
        """Append an entry of one of the five types, with the time of now."""
        now = time.time()
        stamp = datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {
            "timestamp": round(now, 3),
            "datetime": stamp.replace("+00:00", "Z"),
            "log_type": log_type,
            "action": action,
            "user_id": user_id,
            "ip_address": ip_address,
            "details": details,
            "request_id": request_id,
        }
        self.lines.write(entry)
        self.entries.append(entry)
        self._unarchived += 1

    def find(self, query: AuditQuery) -> dict[str, object]:
        """Return a page of the entries that are asked for, the latest first."""
        found = [each for each in reversed(self.entries) if query.admits(each)]
        limit = max(1, min(query.limit, LIMIT_MAX))
        offset = max(0, query.offset)
        return {
            "logs": found[offset : offset + limit],
            "total": len(found),
            "limit": limit,
            "offset": offset,
        }

    def stats(self) -> dict[str, object]:
        """Return how many entries there are of each type, and how long each is kept."""
        counts = Counter(str(each["log_type"]) for each in self.entries)
        return {
            "total": len(self.entries),
            "by_type": {name: counts[name] for name in LOG_TYPES},
            "retention_days": dict(RETENTION_DAYS),
            "archived": self.archived,
        }

    def archive(self) -> dict[str, object]:
        """Count what was not archived yet as archived: the archive itself is scripts/backup's."""
        done, self._unarchived = self._unarchived, 0
        self.archived += done
        return {"ok": True, "archived": done}
