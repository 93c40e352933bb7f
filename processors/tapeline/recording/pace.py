"""When each batch of a replay is due: by the records' own times, against one beginning.

Sans I/O: the caller waits. A batch is due at so many seconds after the first one, so what a single
wait was too long or too short is not carried on to the next.
"""

from typing import Final

__all__ = ["Pace"]

_NANOSECONDS: Final = 1_000_000_000


class Pace:
    """Turns record times into seconds since the replay began.

    `speed` 2 is twice as fast as it was recorded. A batch that is late in the recording (its
    greatest time is below that of one before it), and one without any time, is due at once.
    """

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError("the speed must be above 0")
        self._speed = speed
        self._pass_begins_s = 0.0
        self._first_unix_nano = 0
        self._latest_unix_nano = 0

    def due_s(self, time_unix_nano: int) -> float:
        """Return when a batch is due, in seconds since the first one of the first pass."""
        if time_unix_nano:
            self._first_unix_nano = self._first_unix_nano or time_unix_nano
            self._latest_unix_nano = max(self._latest_unix_nano, time_unix_nano)
        passed = self._latest_unix_nano - self._first_unix_nano
        return self._pass_begins_s + passed / _NANOSECONDS / self._speed

    def begin_pass(self) -> None:
        """Begin again with the first batch, which is due when the last one was."""
        self._pass_begins_s = self.due_s(0)
        self._first_unix_nano = self._latest_unix_nano = 0
