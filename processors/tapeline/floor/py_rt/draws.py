"""What py_rt's work takes: drawn, not measured, so that a busy machine is no latency spike.

The services stand for Rust code whose targets are microseconds. Each time is log-normal around a
median and ends at a ceiling below the document's threshold for it.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

__all__ = ["SPIKE_FACTOR", "Draws", "Taken"]

# Every median times this is beyond its alert's threshold, every ceiling below the top bucket's edge
# where a quantile must tell by how much.
SPIKE_FACTOR: Final = 100.0
_SPREAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """How long a kind of work takes, in the unit of its metric."""

    median: float
    ceiling: float


class Draws:
    """Random numbers of one service, by the seed and its name."""

    def __init__(self, seed: int, service: str) -> None:
        self._random = random.Random(f"{seed}/py_rt/{service}")  # noqa: S311 - a market, no secret

    def taken(self, kind: Taken, *, spike: bool = False) -> float:
        """Return one time of a kind; in a latency spike all of them are a hundred times as long."""
        value = min(kind.median * math.exp(self._random.gauss(0.0, _SPREAD)), kind.ceiling)
        return value * SPIKE_FACTOR if spike else value

    def slippage_bps(self, *, spike: bool = False) -> float:
        """Return the slippage of one execution: about zero, or 60 to 200 against us in a spike."""
        return self._random.uniform(60.0, 200.0) if spike else self._random.gauss(0.0, 2.0)

    def happens(self, probability: float) -> bool:
        """Tell whether something of this probability happens now."""
        return self._random.random() < probability

    def pick(self, choices: tuple[str, ...]) -> str:
        """Return one of the choices."""
        return self._random.choice(choices)

    def between(self, low: float, high: float) -> float:
        """Return a number of this range."""
        return self._random.uniform(low, high)
