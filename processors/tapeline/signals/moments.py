"""Times as a reader wants them, in UTC. It asks no clock."""

from datetime import UTC, datetime
from typing import Final

from tapeline.signals.number_text import NOTHING

__all__ = ["moment"]

_SECOND_NS: Final = 1_000_000_000


def moment(time_ns: int) -> str:
    """Return a time in UTC, to the millisecond; NOTHING of 0."""
    if not time_ns:
        return NOTHING
    found = datetime.fromtimestamp(time_ns // _SECOND_NS, UTC)
    return f"{found:%Y-%m-%d %H:%M:%S}.{time_ns % _SECOND_NS // 1_000_000:03} UTC"
