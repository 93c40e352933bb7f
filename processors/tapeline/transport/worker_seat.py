"""What a worker process is told by its parent, through one environment variable.

A worker is the same command as its parent, started anew: grpc and fork do not mix. The variable
makes the difference.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

__all__ = ["SEAT_VARIABLE", "WorkerSeat", "watch_parent"]

SEAT_VARIABLE: Final = "TAPELINE_WORKER_SEAT"
_STANDARD_INPUT: Final = 0


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """Which worker this process is, and the Unix socket of its own admin server."""

    index: int
    socket_path: str

    @classmethod
    def of_this_process(cls, environment: Mapping[str, str]) -> "WorkerSeat | None":
        """Return the seat that the environment names; None in a process that is no worker."""
        text = environment.get(SEAT_VARIABLE)
        if text is None:
            return None
        try:
            seat = json.loads(text)
            return cls(index=int(seat["index"]), socket_path=str(Path(seat["socket_path"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"the environment variable {SEAT_VARIABLE} is not what a tapeline parent sets;"
                " unset it"
            ) from error

    def tidy(self) -> None:
        """Remove the socket, and its folder after the last worker: a killed parent can't."""
        path = Path(self.socket_path)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # Not empty, or gone already.
            path.parent.rmdir()

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the worker's process."""
        return {**base, SEAT_VARIABLE: json.dumps(asdict(self))}


def watch_parent(on_death: Callable[[], None]) -> None:
    """Call `on_death` when the parent is gone, however it died.

    The parent holds the other end of standard input and never writes to it: the kernel closes it
    with the parent, also after kill -9, and reading ends.
    """

    def wait() -> None:
        while os.read(_STANDARD_INPUT, 1):
            pass
        on_death()

    threading.Thread(target=wait, name="tapeline-parent-watch", daemon=True).start()
