"""The pace at which services of the floor do something again and again."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

__all__ = ["every"]

_BEHIND_MAX_S: Final = 1.0


async def every(interval_s: float) -> AsyncIterator[int]:
    """Yield 0, 1, 2, … in equal distances, for ever; ticks more than 1 s late are left out."""
    number = 0
    due_s = time.monotonic()
    while True:
        yield number
        number += 1
        now_s = time.monotonic()
        due_s = max(due_s + interval_s, now_s - _BEHIND_MAX_S)
        await asyncio.sleep(max(0.0, due_s - now_s))
