"""`tapeline stack up`, `down` and `status`."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tapeline.stack.binaries import BinaryError
from tapeline.stack.child import end, is_alive
from tapeline.stack.ports import PortError
from tapeline.stack.probe import is_ready
from tapeline.stack.run_directory import RunDirectory, RunDirectoryError, State
from tapeline.stack.runner import Stack, StackError
from tapeline.stack.supervisor import Options, ready_table, supervise
from tapeline.stack.topology import SERVER_NAMES, TopologyError

__all__ = ["down_command", "status_command", "up_command"]

_POLL_S: Final = 0.2
# The supervisor ends seven servers, one after the other, each with its own grace.
_DOWN_GRACE_S: Final = 120.0
_UNIT_GRACE_S: Final = 15.0
_LOG: Final = "logs/stack.log"
_PROBLEMS: Final = (BinaryError, PortError, RunDirectoryError, StackError)


def up_command(  # noqa: PLR0913 - the command's own options, all by keyword
    run_dir: Path,
    *,
    detach: bool = False,
    join: bool = False,
    keep: bool = False,
    port_base: int | None = None,
    servers: Sequence[str] = SERVER_NAMES,
    on_ready: Callable[[Stack], None] | None = None,
) -> int:
    """Start the stack and stay until Ctrl-C, or with `detach` return once all is ready.

    Returns 0, 1 where something was in the way, 2 for a server that does not exist.
    """
    options = Options(
        run_dir.absolute(), join=join, keep=keep, port_base=port_base, servers=tuple(servers)
    )
    try:
        if detach:
            return _detached(options)
        return supervise(options, _show, on_ready or _print_table)
    except TopologyError as error:
        print(f"tapeline stack: {error}", file=sys.stderr)
        return 2
    except _PROBLEMS as error:
        print(f"tapeline stack: {error}", file=sys.stderr)
        return 1


def down_command(run_dir: Path) -> int:
    """End what `up` started in this folder, and nothing else; return 0, also where nothing ran."""
    directory = RunDirectory(run_dir)
    try:
        state = directory.read_state()
    except RunDirectoryError as error:
        print(f"tapeline stack: {error}", file=sys.stderr)
        return 1
    if state is None:
        print(f"no stack runs in {directory.path}")
        return 0
    # The supervisor ends its servers in order. Where it was killed, they got SIGTERM at its death.
    end(state.supervisor, _DOWN_GRACE_S)
    for unit in reversed(state.units):
        end(unit.identity, _UNIT_GRACE_S)
    if directory.read_state() is not None:  # The supervisor could not clean up itself
        directory.clear_state()
        if not state.keep:
            directory.remove_contents()
    print(f"stopped {', '.join(unit.name for unit in reversed(state.units)) or 'nothing'}")
    return 0


def status_command(run_dir: Path, *, as_json: bool = False) -> int:
    """Say what runs in this folder and answers; return 0 where all of it does, else 1."""
    directory = RunDirectory(run_dir)
    try:
        state = directory.read_state()
    except RunDirectoryError as error:
        print(f"tapeline stack: {error}", file=sys.stderr)
        return 1
    rows = [] if state is None else [_row(state, position) for position in range(len(state.units))]
    healthy = state is not None and is_alive(state.supervisor)
    healthy = healthy and all(row["ready"] for row in rows)
    if as_json:
        awaited = [] if state is None else list(state.awaited)
        document = {
            "run_dir": str(directory.path),
            "supervisor": None if state is None else state.supervisor.pid,
            "healthy": healthy,
            "servers": rows,
            "awaited": awaited,
        }
        print(json.dumps(document, indent=2))
    else:
        _print_status(directory, state, rows)
    return 0 if healthy else 1


def _row(state: State, position: int) -> dict[str, object]:
    unit = state.units[position]
    alive = is_alive(unit.identity)
    row: dict[str, object] = {
        key: value
        for key, value in asdict(unit).items()
        if key in {"name", "pid", "url", "ready_url", "ready_s"}
    }
    return row | {"alive": alive, "ready": alive and is_ready(unit.ready_url)}


def _print_status(
    directory: RunDirectory, state: State | None, rows: Sequence[dict[str, object]]
) -> None:
    if state is None:
        print(f"no stack runs in {directory.path}")
        return
    if not is_alive(state.supervisor):
        print("the supervisor is gone; `tapeline stack down` clears up after it")
    for row in rows:
        word = "ready" if row["ready"] else "NOT READY" if row["alive"] else "DEAD"
        print(f"  {row['name']!s:<14} {word:<10} pid {row['pid']!s:<8} {row['url']}")
    for name in state.awaited:
        print(f"  {name:<14} being built")


def _show(line: str) -> None:
    print(line, flush=True)


def _print_table(stack: Stack) -> None:
    print(f"\n{ready_table(stack)}\n\nCtrl-C stops it and removes its data.", flush=True)


def _detached(options: Options) -> int:
    """Start a supervisor of its own session, show its progress, and return once all is ready."""
    directory = RunDirectory(options.run_dir)
    if directory.is_locked():
        raise RunDirectoryError(
            f"a stack is already running in {directory.path}. Stop it with `tapeline stack down`, "
            "or use another --run-dir and --port-base."
        )
    directory.claim()
    log_path = directory / _LOG
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.clear_state()
    offset = log_path.stat().st_size if log_path.exists() else 0
    pid = _spawn_detached(log_path, _argument(options))
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        offset = _show_new(log_path, offset)
        if ended:
            return os.waitstatus_to_exitcode(status) or 1
        state = directory.read_state()
        if state is not None and state.ready:
            _show_new(log_path, offset)
            print("tapeline stack down stops it.")
            return 0
        time.sleep(_POLL_S)


def _spawn_detached(log_path: Path, argument: str) -> int:
    """Start the supervisor in a session of its own, not to be waited for; return its pid."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tapeline.stack.detached", argument],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_path), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _argument(options: Options) -> str:
    """Return the options that matter to a detached supervisor, as its JSON argument."""
    return json.dumps(
        {
            "run_dir": str(options.run_dir),
            "join": options.join,
            "keep": options.keep,
            "port_base": options.port_base,
            "servers": options.servers,
        }
    )


def _show_new(path: Path, offset: int) -> int:
    if not path.exists():
        return offset
    with path.open("rb") as log:
        log.seek(offset)
        text = log.read()
    sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()
    return offset + len(text)
