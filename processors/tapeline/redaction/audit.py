"""The audit log: which rule found how long a secret where, in a few lines a minute.

No line holds a secret, or a part of one.
"""

import logging
from typing import Final

from tapeline.redaction.core import Notice

__all__ = ["AuditLog"]

logger = logging.getLogger("tapeline.redaction.audit")

_MINUTE_NS: Final = 60_000_000_000
VERSION_LENGTH: Final = 12
"""Hexadecimal digits of the policy's version that stand in a line."""


class AuditLog:
    """Writes the first finds of each minute, and how many it left out. One for each processor."""

    def __init__(self, lines_per_minute: int) -> None:
        self._lines_per_minute = lines_per_minute
        self._room = lines_per_minute
        self._left_out = 0
        self._minute_begin_ns = 0
        self._context = ""

    def begin(self, context: str, now_unix_nano: int) -> None:
        """Say what the next notices are about: a signal, what is done, and the policy's version."""
        self._context = context
        if abs(now_unix_nano - self._minute_begin_ns) >= _MINUTE_NS:
            self._minute_begin_ns = now_unix_nano
            self._room = self._lines_per_minute

    def note(self, notice: Notice) -> None:
        """Write a line if there is room for one, else count it."""
        if self._room <= 0:
            self._left_out += 1
            return
        self._room -= 1
        left_out = f" ({self._left_out} more before it)" if self._left_out else ""
        self._left_out = 0
        logger.info(
            "redaction: rule=%s path=%s length_bytes=%d action=%s %s%s",
            notice.hit.rule,
            notice.path,
            notice.length_bytes,
            notice.hit.action,
            self._context,
            left_out,
        )
