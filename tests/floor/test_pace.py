"""The pace of the floor's services: equal distances, and no burst behind a pause."""

import asyncio
from types import SimpleNamespace

import pytest

from tapeline.floor import pace


def test_ticks_that_were_missed_are_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause of many ticks at most a second's worth comes at once."""
    now_s = [0.0]
    waits: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits.append(delay_s)
        now_s[0] += delay_s

    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    monkeypatch.setattr(pace, "asyncio", SimpleNamespace(sleep=sleep))

    async def run() -> None:
        async for number in pace.every(0.1):
            if number == 0:
                now_s[0] += 60.0
            if number == 20:
                return

    asyncio.run(run())
    assert waits[:10] == [0.0] * 10
    assert waits[12:] == pytest.approx([0.1] * 8)
