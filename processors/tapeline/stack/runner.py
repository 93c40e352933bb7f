"""Starts the servers of a stack, waits until they are ready, and ends them in reverse order."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tapeline.stack import binaries
from tapeline.stack.child import Child, Identity, identity_of
from tapeline.stack.ports import PortError, Ports, holder_of, is_free
from tapeline.stack.probe import is_ready
from tapeline.stack.render import RULES, TEMPLATE, native_alertmanager, native_values, render
from tapeline.stack.run_directory import RunDirectory, State, UnitState
from tapeline.stack.topology import SERVER_NAMES, Overrides, Plan, Unit, program_of, topology

__all__ = ["Progress", "Stack", "StackError"]

Progress = Callable[[str], None]
START_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1


class StackError(Exception):
    """A server did not start or become ready; the message has the end of its log."""


@dataclass(slots=True)
class _Member:
    """A unit of this stack, its process while it has one, and how long it took to be ready."""

    unit: Unit
    child: Child
    begun: float
    ready_s: float | None = None


class Stack:
    """The servers of one run directory, as child processes of this one.

    Use it as a context manager, or `start` and `stop`. The children end when the thread that
    started them does, so start it from one that lives as long as the stack. `servers` picks from
    SERVER_NAMES; what is left out (a gate that a test stands in for) is simply not there.
    Without `keep`, `stop` removes what the stack put into the run directory.
    """

    def __init__(
        self,
        run_dir: Path,
        ports: Ports | None = None,
        *,
        servers: Sequence[str] = SERVER_NAMES,
        overrides: Overrides | None = None,
        keep: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        self.ports = ports or Ports()
        self.overrides = overrides or Overrides()
        self.directory = RunDirectory(run_dir)
        self._keep = keep
        self._progress = on_progress or _silent
        plan = Plan(binaries.SOURCE_ROOT, self.directory.path, self.ports, self.overrides)
        self._units = {unit.name: unit for unit in topology(plan, servers)}
        self._members: dict[str, _Member] = {}
        self._awaited: tuple[str, ...] = ()
        self._complete = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every unit that this stack is made of, in the order of start."""
        return tuple(self._units.values())

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the units that have a living process."""
        return tuple(name for name, member in self._in_order() if _lives(member))

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start every unit and wait until all are ready; stop them all where one fails.

        Raises StackError, PortError, BinaryError or RunDirectoryError, each with what to do. The
        run directory, logs included, then stays. After a KeyboardInterrupt nothing does.
        """
        self.prepare()
        try:
            self.add(self._units, timeout_s)
            self.completed()
        except KeyboardInterrupt:
            self.stop()
            raise
        except BaseException:
            self.abort()
            raise

    def prepare(self) -> None:
        """Take the run directory and render the configuration; nothing is started yet."""
        self.directory.open()
        self._render()
        # The servers run here, so config/mappings/… in their configuration is found as elsewhere.
        mappings = self.directory / "config" / "mappings"
        mappings.unlink(missing_ok=True)
        mappings.symlink_to(binaries.SOURCE_ROOT / "config" / "mappings")
        for name, text in self.overrides.config_files.items():
            path = self.directory / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _render(self) -> None:
        root, overrides = binaries.SOURCE_ROOT, self.overrides
        values = native_values(
            self.ports,
            overrides.rules_folder or root / RULES,
            two_collectors=overrides.two_collectors,
            scrape_interval_s=overrides.scrape_interval_s,
        )
        template = (root / TEMPLATE).read_text(encoding="utf-8")
        texts = {
            "prometheus.yml": render(template, values),
            "alertmanager.yml": native_alertmanager(self.ports, root, overrides.alert_time_scale),
        }
        for name, text in texts.items():
            (self.directory / "config" / name).write_text(text, encoding="utf-8")

    def await_servers(self, names: Iterable[str]) -> None:
        """Note for the state file which units will join once they are built."""
        self._awaited = tuple(names)
        self._write_state()

    def add(self, names: Iterable[str], timeout_s: float = START_TIMEOUT_S) -> None:
        """Start these units, each once what it needs is ready, and wait until all of them are."""
        waiting = [self._units[name] for name in names]
        programs = {unit.name: self._program(unit) for unit in waiting}
        self._check_ports(waiting)
        deadline = time.monotonic() + timeout_s
        while True:
            for unit in [unit for unit in waiting if self._needs_met(unit)]:
                self._spawn(unit, programs[unit.name])
                waiting.remove(unit)
            self._note_ready()
            if not waiting and all(member.ready_s is not None for member in self._members.values()):
                return
            if time.monotonic() > deadline:
                raise self._late(timeout_s)
            time.sleep(_POLL_S)

    def completed(self) -> None:
        """Note that everything which was asked for is there."""
        self._complete = True
        self._awaited = ()
        self._write_state()

    def stop(self) -> None:
        """End every unit in the reverse of their order; then remove what need not be kept."""
        if not self.directory.is_open:
            return  # Never prepared, or ended already: the folder may be another stack's
        self._end_all()
        self.directory.clear_state()
        if not self._keep:
            self.directory.remove_contents()
        self.directory.close()

    def abort(self) -> None:
        """End every unit as `stop` does, and leave the run directory for a look at the logs."""
        if not self.directory.is_open:
            return
        self._end_all()
        self.directory.clear_state()
        self.directory.close()

    def kill(self, name: str) -> None:
        """Send SIGKILL to a unit, as a crash would end it."""
        self._members[name].child.kill()

    def terminate(self, name: str) -> int:
        """Ask a unit to end, wait, and return its exit code (-9 where it had to be killed)."""
        member = self._members[name]
        member.child.ask_to_end()
        member.child.wait(member.unit.grace_s)
        code = member.child.exit_code
        return code if code is not None else -9

    def restart(self, name: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """End a unit if it lives, start it again, and wait until it is ready."""
        if _lives(self._members[name]):
            self.terminate(name)
        self.add([name], timeout_s)

    def url(self, name: str) -> str:
        """Return the address that a user of this unit opens."""
        return self._units[name].url

    def pid(self, name: str) -> int:
        """Return the process id of a unit."""
        return self._members[name].child.pid

    def log(self, name: str) -> Path:
        """Return the log file of a unit."""
        return self.directory.log(name)

    def dead(self) -> tuple[tuple[str, int, str], ...]:
        """Return name, exit code and end of log of each unit that ended without being asked."""
        return tuple(
            (name, member.child.exit_code or 0, member.child.log_tail())
            for name, member in self._members.items()
            if not _lives(member)
        )

    def state(self) -> State:
        """Return what runs now, as the state file tells it."""
        units = tuple(
            UnitState(
                name=name,
                pid=member.child.identity.pid,
                start_ticks=member.child.identity.start_ticks,
                ready_url=member.unit.ready_url,
                url=member.unit.url,
                ready_s=member.ready_s,
            )
            for name, member in self._in_order()
        )
        own = identity_of(os.getpid()) or Identity(os.getpid(), 0)
        return State(own, self._keep, self._complete, units, self._awaited)

    def _program(self, unit: Unit) -> str:
        program = program_of(unit, binaries.find)
        return program if program is not None else str(binaries.require(unit.binary or unit.name))

    def _needs_met(self, unit: Unit) -> bool:
        needed = [self._members.get(name) for name in unit.needs]
        return all(member is not None and member.ready_s is not None for member in needed)

    def is_available(self, name: str) -> bool:
        """Tell whether the program of a unit is on this machine; raises BinaryError as `find`."""
        return program_of(self._units[name], binaries.find) is not None

    def _check_ports(self, units: Iterable[Unit]) -> None:
        for unit in units:
            for purpose, port in unit.ports:
                if not is_free(port):
                    holder = holder_of(port) or "another process"
                    raise PortError(
                        f"port {port} ({unit.name}, {purpose}) is taken by {holder}. Stop that, "
                        "or start the stack on other ports with --port-base."
                    )

    def _spawn(self, unit: Unit, program: str) -> None:
        child = Child.start(
            [program, *unit.arguments],
            {**os.environ, **unit.environment},
            self.directory.path,
            self.directory.log(unit.name),
        )
        self._members[unit.name] = _Member(unit, child, time.monotonic())
        self._write_state()

    def _note_ready(self) -> None:
        for name, member in self._members.items():
            if member.ready_s is not None:
                continue
            code = member.child.exit_code
            if code is not None:
                raise StackError(
                    f"{name} ended with exit code {code} before it was ready. The end of "
                    f"{self.directory.log(name)}:\n{member.child.log_tail()}"
                )
            if is_ready(member.unit.ready_url):
                member.ready_s = time.monotonic() - member.begun
                self._write_state()
                self._progress(f"{name:<14} ready in {member.ready_s:5.1f} s   {member.unit.url}")

    def _late(self, timeout_s: float) -> StackError:
        late = [name for name, member in self._members.items() if member.ready_s is None]
        tails = "\n".join(
            f"--- {self.directory.log(name)}\n{self._members[name].child.log_tail()}"
            for name in late
        )
        return StackError(f"not ready after {timeout_s:g} s: {', '.join(late)}.\n{tails}")

    def _in_order(self) -> list[tuple[str, _Member]]:
        """Members in the order of the units, however late they joined or came back."""
        return [(name, self._members[name]) for name in self._units if name in self._members]

    def _end_all(self) -> None:
        if not self._complete:
            self._end_half()
        for name, _ in reversed(self._in_order()):
            self.terminate(name)
        self._members.clear()

    def _end_half(self) -> None:
        """End what nobody here needs side by side, then what only that needed, and so on.

        Of half a stack, many may wait for one that isn't there: their graces must not add up.
        There is always one that nobody needs: those that need each other were never started.
        """
        left = dict(self._members)
        while left:
            needed = {name for member in left.values() for name in member.unit.needs}
            wave = {name: member for name, member in left.items() if name not in needed}
            for member in wave.values():
                member.child.ask_to_end()
            began = time.monotonic()
            for name, member in wave.items():
                member.child.wait(max(0.0, began + member.unit.grace_s - time.monotonic()))
                del left[name]

    def _write_state(self) -> None:
        self.directory.write_state(self.state())


def _lives(member: _Member) -> bool:
    return member.child.exit_code is None


def _silent(_: str) -> None:
    """Say nothing."""
