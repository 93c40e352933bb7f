"""What goes wrong on the floor: scenarios by name, and the file that says which are on now.

The file is a JSON list of names. Whoever runs the floor replaces it as a whole; services read it a
few times a second, so that a fault needs no connection to a service that is perhaps the ill one.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Final

__all__ = [
    "CLOSED_BY_SERVICE_DOWN",
    "SCENARIOS",
    "FaultError",
    "Faults",
    "Scenario",
    "checked_scenario",
    "read_faults",
    "switch_faults",
    "write_faults",
]

_READ_INTERVAL_S: Final = 0.25
_FILE_BYTES_MAX: Final = 64 * 1024


class FaultError(ValueError):
    """A scenario that there is none of; the message lists those that there are."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong, as a sentence."""

    name: str
    what: str


_ALL: Final = (
    Scenario("latency_spike", "Everything takes many times as long."),
    Scenario("error_burst", "Calls fail: venues, inference, HTTP handlers."),
    Scenario("venue_disconnect", "The connections to venues break and don't come back."),
    Scenario("feed_stall", "Market data stops, with connections up."),
    Scenario("clock_skew", "A feed's clock is behind: its data looks old."),
    Scenario("rejected_orders", "Venues reject a large part of the orders."),
    Scenario("risk_limit_breach", "Positions pass their limits; circuit breakers open."),
    Scenario("drawdown", "The market goes against every position."),
    Scenario("slippage_spike", "Executions are far from the quote they were decided on."),
    Scenario("service_down", "One service of each system does not answer."),
    Scenario("disk_pressure", "The trading server's disk is nearly full."),
    Scenario("log_flood", "Services log errors by the hundred a second."),
    Scenario("cardinality_bomb", "An order id becomes a metric's label."),
    Scenario("leaked_credentials", "Credentials stand in logs, spans and labels."),
)
SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({each.name: each for each in _ALL})

# One of each system whose loss the others notice.
CLOSED_BY_SERVICE_DOWN: Final = frozenset(
    {"veloz-engine", "py-rt-risk-manager", "b25-order-execution", "ktrdr-ib-host-service"}
)


def checked_scenario(name: str) -> str:
    """Return a scenario's name as it is; raises FaultError where there is none of it."""
    if name in SCENARIOS:
        return name
    near = get_close_matches(name, SCENARIOS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise FaultError(f"there is no scenario {name!r}.{hint} There are: {', '.join(SCENARIOS)}.")


def write_faults(path: Path, names: Collection[str]) -> None:
    """Say which faults are on from now; a reader sees the file before or after, never half.

    Raises FileNotFoundError where its folder is not there: the floor has ended; another OSError
    where it can't be written, and then it is as it was.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.write_text(json.dumps(sorted(names)), encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)  # there only where one of the two failed


def switch_faults(path: Path, *, on: Collection[str] = (), off: Collection[str] = ()) -> None:
    """Switch some faults and leave the others as they are; raises as `write_faults` does.

    Whoever switches at the same moment, a schedule or a command, waits: no switch is lost.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        write_faults(path, (read_faults(path) - frozenset(off)) | frozenset(on))
    finally:
        os.close(folder)


class Faults:
    """The faults that are on, as one service sees them; cheap enough to ask at every order."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._read_at = float("-inf")
        self._active: frozenset[str] = frozenset()

    def active(self, name: str) -> bool:
        """Tell whether a scenario is on; raises FaultError for a name that is none."""
        checked_scenario(name)
        now = self._clock()
        if now - self._read_at >= _READ_INTERVAL_S:
            self._read_at = now
            self._active = read_faults(self._path)
        return name in self._active


def read_faults(path: Path) -> frozenset[str]:
    """Return the faults that are on; none where it is not there or holds something else."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_FILE_BYTES_MAX))
    except (OSError, ValueError):
        return frozenset()  # A floor without a file has no faults.
    if not isinstance(document, list):
        return frozenset()
    return frozenset(each for each in document if isinstance(each, str))
