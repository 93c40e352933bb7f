"""Keeps a stack up: starts it, lets servers join as they are built, restarts what dies, ends it."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from tapeline.stack.child import Child
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Progress, Stack, StackError
from tapeline.stack.topology import SERVER_NAMES, Overrides

__all__ = ["Options", "ready_table", "supervise"]

_POLL_S: Final = 0.5
_RESTARTS_MAX: Final = 5
_RESTART_PAUSE_S: Final = 1.0
_BUILD_GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `tapeline stack up` was asked for. `port_base` None means the well-known ports."""

    run_dir: Path
    join: bool = False
    keep: bool = False
    port_base: int | None = None
    servers: tuple[str, ...] = SERVER_NAMES
    overrides: Overrides = field(default_factory=Overrides)

    def ports(self) -> Ports:
        """Return the ports; raises PortError for a base out of range."""
        return Ports() if self.port_base is None else Ports.from_base(self.port_base)


def supervise(
    options: Options, show: Progress, on_ready: Callable[[Stack], None] | None = None
) -> int:
    """Run a stack until Ctrl-C or SIGTERM, then end it; return 0.

    `on_ready` is called once everything is ready. Raises what `Stack.start` raises.
    """
    stack = Stack(
        options.run_dir,
        options.ports(),
        servers=options.servers,
        overrides=options.overrides,
        keep=options.keep,
        on_progress=show,
    )
    with _one_interrupt():
        try:
            if options.join:
                _start_joining(stack, show)
            else:
                stack.start()
            if on_ready is not None:
                on_ready(stack)
            _watch(stack, show)
        except KeyboardInterrupt:
            _end(stack, show)
        except BaseException:
            stack.abort()
            raise
    return 0


def ready_table(stack: Stack) -> str:
    """Return the READY table: name, where it is, seconds until it was ready, pid."""
    units = stack.state().units
    rows = [("server", "ready in", "pid", "address")]
    rows += [(unit.name, f"{unit.ready_s or 0:.1f} s", str(unit.pid), unit.url) for unit in units]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"  {name:<{widths[0]}}  {ready:>{widths[1]}}  {pid:>{widths[2]}}  {url}"
        for name, ready, pid, url in rows
    ]
    return "\n".join(["READY", *lines])


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, and let only the first of them interrupt.

    Impatient further signals would else leave half of the stack behind.
    """
    interrupted = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end(stack: Stack, show: Progress) -> None:
    show(f"stopping {', '.join(reversed(stack.running)) or 'nothing'}")
    stack.stop()


def _start_joining(stack: Stack, show: Progress) -> None:
    """Start what is there, build what is missing beside it, and let each join when it is built."""
    stack.prepare()
    pending = [unit.name for unit in stack.units]
    missing = [name for name in pending if not stack.is_available(name)]
    builder = _Builder(stack, missing, show) if missing else None
    try:
        while pending:
            startable = _startable(stack, pending)
            if startable:
                stack.add(startable)
                pending = [name for name in pending if name not in startable]
                stack.await_servers(pending)
            elif builder is None or not builder.is_building():
                raise StackError(f"not built, so they could not join: {', '.join(pending)}.")
            else:
                builder.show_progress()
                time.sleep(_POLL_S)
        stack.completed()
    finally:
        if builder is not None:
            builder.stop()


def _startable(stack: Stack, pending: Sequence[str]) -> list[str]:
    """Names whose program is there, and all that they need has started or can start now."""
    startable: list[str] = []
    for unit in stack.units:
        needed = all(name in startable or name not in pending for name in unit.needs)
        if unit.name in pending and needed and stack.is_available(unit.name):
            startable.append(unit.name)
    return startable


class _Builder:
    """`tapeline stack build` as a child process, so that it runs beside the stack and can end."""

    def __init__(self, stack: Stack, names: Sequence[str], show: Progress) -> None:
        self._show = show
        self._log = stack.directory.log("build")
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        binaries = [unit.binary for unit in stack.units if unit.name in names and unit.binary]
        show(f"building {', '.join(names)} beside it; each joins when it is built")
        command = [sys.executable, "-m", "tapeline.cli", "stack", "build", *dict.fromkeys(binaries)]
        self._child = Child.start(command, os.environ, stack.directory.path, self._log)

    def is_building(self) -> bool:
        """Tell whether it still runs; what it wrote last is shown first."""
        self.show_progress()
        return self._child.exit_code is None

    def show_progress(self) -> None:
        """Show the whole lines that the build wrote since the last call."""
        with self._log.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._show(f"  build: {line}")

    def stop(self) -> None:
        """End the build; it ends its compilers."""
        self._child.interrupt()
        self._child.wait(_BUILD_GRACE_S)
        self.show_progress()


def _watch(stack: Stack, show: Progress) -> None:
    """Restart what dies, a few times each; for ever, until interrupted."""
    restarts: dict[str, int] = {}
    given_up: set[str] = set()
    while True:
        time.sleep(_POLL_S)
        for name, code, tail in stack.dead():
            if name in given_up:
                continue
            count = restarts[name] = restarts.get(name, 0) + 1
            show(f"{name} ended with exit code {code}. The end of {stack.log(name)}:\n{tail}")
            if count > _RESTARTS_MAX:
                given_up.add(name)
                show(f"{name} died {count} times: not started again.")
                continue
            time.sleep(_RESTART_PAUSE_S)
            show(f"starting {name} again ({count} of {_RESTARTS_MAX})")
            try:
                stack.restart(name)
            except StackError as error:
                show(str(error))
