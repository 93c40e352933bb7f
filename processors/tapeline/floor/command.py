"""`tapeline demo floor` and `tapeline fault`: options checked, then handed on."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tapeline.demo.command import (
    DemoOptions,
    checked_duration_s,
    demo_settings,
    services_environment,
)
from tapeline.demo.whole import PROBLEMS
from tapeline.floor.catalog import CatalogError, services_of
from tapeline.floor.faults import FaultError, checked_scenario, switch_faults
from tapeline.floor.schedule import parse_turn
from tapeline.floor.tape import TapeError, read_recorded
from tapeline.floor.whole import FloorPlan, fault_path, new_run, run_floor
from tapeline.stack.run_directory import RunDirectory

__all__ = ["FloorChoices", "fault_command", "floor_command"]

RATE_MAX_PER_S: Final = 20.0
TIME_SCALE_MAX: Final = 60
_ENDING_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class FloorChoices:
    """The options of `tapeline demo floor`, as they stand on the command line."""

    run_dir: Path
    systems: Sequence[str]
    rate: float
    seed: int
    duration: str | None
    port_base: int | None
    time_scale: int
    scenarios: Sequence[str]
    tape: Path | None
    desk: bool


def floor_command(choices: FloorChoices) -> int:
    """Run the floor; return 0 at its end, 1 where it could not run, 2 for a wrong option."""
    try:
        plan = floor_plan(choices)
    except (CatalogError, FaultError, ImportError, TapeError, ValueError, *PROBLEMS) as error:
        sys.stderr.write(f"tapeline demo floor: {error}\n")
        return 2
    return run_floor(plan, _show)


def floor_plan(choices: FloorChoices) -> FloorPlan:
    """Return the plan that these options mean; raises what `floor_command` reports."""
    if not 0 < choices.rate <= RATE_MAX_PER_S:
        raise ValueError(f"--rate {choices.rate:g} must be above 0 and at most {RATE_MAX_PER_S:g}")
    if not 1 <= choices.time_scale <= TIME_SCALE_MAX:
        raise ValueError(f"--time-scale {choices.time_scale} must be 1 to {TIME_SCALE_MAX}")
    services_of(choices.systems)
    if choices.tape is not None:
        read_recorded(choices.tape)  # a wrong file is said now, not by seventeen services
    run = new_run()
    desk = demo_settings(DemoOptions(seed=choices.seed, rate_per_s=choices.rate, run=f"d{run}"))
    return FloorPlan(
        run_dir=choices.run_dir,
        systems=tuple(choices.systems),
        rate_per_s=choices.rate,
        seed=choices.seed,
        duration_s=checked_duration_s("--duration", choices.duration),
        port_base=choices.port_base,
        time_scale=choices.time_scale,
        turns=tuple(parse_turn(each) for each in choices.scenarios),
        tape_path=None if choices.tape is None else choices.tape.absolute(),
        run=run,
        desk=desk if choices.desk else None,
        environment=services_environment() if choices.desk else {},
    )


def fault_command(name: str, run_dir: Path, *, off: bool, duration: str | None) -> int:
    """Switch a fault of a running floor on or off; with a duration wait, then switch it off.

    Returns 0 when it is switched, 1 where it can't be or no floor runs (any more), 2 for a wrong
    option.
    """
    path = fault_path(run_dir)
    try:
        checked_scenario(name)
        duration_s = checked_duration_s("--for", duration)
    except ValueError as error:
        sys.stderr.write(f"tapeline fault: {error}\n")
        return 2
    try:
        # A floor that was killed leaves its files, but holds no lock.
        if not (path.is_file() and RunDirectory(run_dir).is_locked()):
            sys.stderr.write(
                f"tapeline fault: no floor runs in {run_dir}. Start one with `tapeline demo floor`,"
                " or name its folder with --run-dir.\n"
            )
            return 1
    except OSError as error:
        sys.stderr.write(f"tapeline fault: {path}: {error.strerror}\n")
        return 1
    with _held_signals():
        if not _switched(run_dir, name, on=not off):
            return 1
        if not duration_s:
            _show_switched(name, on=not off)
            return 0
        try:
            _show_switched(name, on=not off)
            signal.sigtimedwait(_ENDING_SIGNALS, duration_s)
        finally:  # also where nobody reads what is shown
            ended = _switched(run_dir, name, on=False)
        if ended:
            _show_switched(name, on=False)
    return 0 if ended else 1


@contextmanager
def _held_signals() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back: they end the waiting, and never leave a fault switched on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _switched(run_dir: Path, name: str, *, on: bool) -> bool:
    """Switch a fault; where that can't be done tell why, and whether it may be on. Return if so."""
    path = fault_path(run_dir)
    try:
        switch_faults(path, on=[name] if on else [], off=[] if on else [name])
    except FileNotFoundError:
        sys.stderr.write(f"tapeline fault: the floor in {run_dir} has ended\n")
    except OSError as error:
        again = f"`tapeline fault {name} --off --run-dir {run_dir}`"
        left = f"{name} is not switched on" if on else f"{name} may still be on: repeat {again}"
        sys.stderr.write(f"tapeline fault: {path}: {error.strerror}; {left}\n")
    else:
        return True
    return False


def _show_switched(name: str, *, on: bool) -> None:
    _show(f"fault {name} {'on' if on else 'off'}")


def _show(line: str) -> None:
    print(line, flush=True)
