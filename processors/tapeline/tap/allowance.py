"""So many in a second, and no more: a token bucket. Pure; time is an argument."""

__all__ = ["Allowance"]


class Allowance:
    """What may still be had. It fills steadily, up to what `burst_s` seconds bring."""

    def __init__(self, per_s: float, burst_s: float = 1.0) -> None:
        """Begin full."""
        self._per_s = per_s
        self._most = max(per_s * burst_s, 1.0)
        self._left = self._most
        self._at_s: float | None = None

    def left(self, now_s: float) -> int:
        """Return how many may be had now. `now_s` is of any clock that does not go back."""
        if self._at_s is not None:
            gained = max(now_s - self._at_s, 0.0) * self._per_s
            self._left = min(self._left + gained, self._most)
        self._at_s = now_s
        return int(self._left)

    def take(self, wanted: int, now_s: float) -> int:
        """Take up to `wanted`; return how many were had."""
        granted = min(wanted, self.left(now_s))
        self._left -= granted
        return granted

    def give_back(self, count: int) -> None:
        """Let what was taken be had again."""
        self._left = min(self._left + count, self._most)
