"""What part of the orders of the last minute was filled."""

from collections import deque
from typing import Final

__all__ = ["FillWindow"]

WINDOW_S: Final = 60.0
_ORDERS_MAX: Final = 2_000  # More than a minute has at the floor's highest rate.


class FillWindow:
    """Orders of the last minute with what of each was filled, as shares of the order."""

    def __init__(self) -> None:
        self._orders: deque[tuple[float, float]] = deque(maxlen=_ORDERS_MAX)

    def add(self, now_s: float, filled: float) -> float:
        """Take an order of which a share (0 to 1) was filled; return the share of the minute."""
        self._orders.append((now_s, filled))
        return self.share(now_s)

    def share(self, now_s: float) -> float:
        """Return the share now; 1 where there was no order: nothing is unfilled."""
        while self._orders and self._orders[0][0] <= now_s - WINDOW_S:
            self._orders.popleft()
        if not self._orders:
            return 1.0
        return sum(filled for _, filled in self._orders) / len(self._orders)
