"""The supervisor: signals, kills, builds on the way; `up --detach`, `status` and `down`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from small_servers import is_listening, stack_of_two, unit
from tapeline.stack import supervisor
from tapeline.stack.child import identity_of, is_alive
from tapeline.stack.command import down_command, status_command, up_command
from tapeline.stack.ports import Ports
from tapeline.stack.run_directory import RunDirectory
from tapeline.stack.runner import Stack, StackError
from tapeline.stack.supervisor import Options
from tapeline.stack.topology import Overrides
from waiting import eventually

RUN_UP = """
import sys
from pathlib import Path
from tapeline.stack import command, supervisor
from tapeline.stack.ports import Ports
from tapeline.stack.topology import Overrides, Unit
options = supervisor.Options(Path(sys.argv[1]), servers=(), port_base=int(sys.argv[2]),
    overrides=Overrides(units=({units},)))
sys.exit(supervisor.supervise(options, command._show, command._print_table))
"""


@pytest.fixture(name="two_units")
def _two_units(tmp_path: Path) -> Iterator[Stack]:
    with stack_of_two(tmp_path) as stack:
        yield stack


def run_up(tmp_path: Path, *, delay_s: float = 0.0) -> tuple[subprocess.Popen[str], RunDirectory]:
    """Start a supervisor of one small server in a process of its own; wait until it is there.

    Without a delay that means ready.
    """
    port = Ports.free().gate
    source = RUN_UP.format(
        units=repr(unit("lingering", port, tmp_path / "events", delay_s=delay_s))
    )
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(run), str(port + 1)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    directory = RunDirectory(run)
    if delay_s:
        eventually((tmp_path / "events").exists)
    else:
        eventually(lambda: (state := directory.read_state()) and state.ready)
    return process, directory


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stack_in_order(sent: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end every server, remove the data, and exit 0; more signals don't hurt."""
    process, directory = run_up(tmp_path)
    state = directory.read_state()
    assert state is not None
    process.send_signal(sent)
    time.sleep(0.05)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "READY" in output
    assert "stopping lingering" in output
    assert not is_alive(state.units[0].identity)
    assert not directory.path.exists()


def test_a_signal_before_all_is_ready_leaves_nothing_behind_either(tmp_path: Path) -> None:
    """Ctrl-C while it starts ends what was started, and exits 0."""
    process, directory = run_up(tmp_path, delay_s=60)
    state = directory.read_state()
    assert state is not None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert not is_alive(state.units[0].identity)
    assert not directory.path.exists()


def test_servers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """After kill -9 of the supervisor its servers end, and `down` clears up."""
    process, directory = run_up(tmp_path)
    state = directory.read_state()
    assert state is not None
    process.kill()
    process.communicate(timeout=20)
    eventually(lambda: not is_alive(state.units[0].identity))
    assert status_command(directory.path) == 1
    assert down_command(directory.path) == 0
    assert not directory.path.exists()


def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    """The supervisor says so and brings it back, with its log's end."""
    process, directory = run_up(tmp_path)
    before = directory.read_state()
    assert before is not None
    os.kill(before.units[0].pid, signal.SIGKILL)
    old = before.units[0].pid
    eventually(lambda: (state := directory.read_state()) and state.units[0].pid != old)
    eventually(lambda: (state := directory.read_state()) and state.units[0].ready_s)
    after = directory.read_state()
    assert after is not None
    assert is_alive(after.units[0].identity)
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert "lingering ended with exit code -9" in output
    assert "starting lingering again (1 of 5)" in output


def test_up_detached_then_status_then_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--detach` returns once all is ready; `status --json` tells; `down` ends all of it."""
    run, base = tmp_path / "run", Ports.free().otlp_grpc
    assert up_command(run, detach=True, port_base=base, servers=()) == 0
    capsys.readouterr()
    assert status_command(run, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is True
    supervisor_pid = told["supervisor"]
    assert supervisor_pid != os.getpid()
    assert up_command(run, detach=True, port_base=base, servers=()) == 1
    assert "already running" in capsys.readouterr().err
    assert down_command(run) == 0
    assert identity_of(supervisor_pid) is None
    assert not run.exists()
    assert status_command(run, as_json=True) == 1
    assert down_command(run) == 0


def test_a_detached_stack_that_fails_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The supervisor's message and exit code come through."""
    assert up_command(tmp_path / "run", detach=True, servers=["jeager"]) == 2
    assert "Did you mean 'jaeger'" in capsys.readouterr().out


def test_servers_join_as_they_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_units: Stack
) -> None:
    """What is there starts at once; what is being built joins when it is there."""
    program = tmp_path / "node_exporter"
    joined_after: list[tuple[str, ...]] = []

    class SlowBuild:
        """Stands in for the build: after a second look the program is there."""

        def __init__(self, stack: Stack, names: list[str], _show: object) -> None:
            assert names == ["late"]
            self._stack = stack
            self._looks = 0

        def is_building(self) -> bool:
            """Tell that it builds; the program appears on the way."""
            self._looks += 1
            if self._looks > 1:
                joined_after.append(self._stack.running)
                program.symlink_to(sys.executable)
                monkeypatch.setenv("TAPELINE_NODE_EXPORTER_BINARY", str(program))
            return True

        def show_progress(self) -> None:
            """Show nothing."""

        def stop(self) -> None:
            """End nothing."""

    monkeypatch.setattr(supervisor, "_Builder", SlowBuild)
    forget_node_exporter(tmp_path, monkeypatch)
    late = replace(
        unit("late", two_units.ports.jaeger, tmp_path / "events"), binary="node_exporter"
    )
    overrides = Overrides(units=(late, *two_units.units))
    stack = Stack(tmp_path / "run", two_units.ports, servers=(), overrides=overrides)
    supervisor._start_joining(stack, lambda _: None)
    try:
        assert joined_after == [("first", "second")]
        assert set(stack.running) == {"first", "second", "late"}
        state = stack.directory.read_state()
        assert state is not None
        assert state.ready
    finally:
        stack.stop()


def forget_node_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make node_exporter a binary that is nowhere."""
    monkeypatch.setenv("TAPELINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("TAPELINE_NODE_EXPORTER_BINARY", raising=False)


def test_a_build_that_fails_is_an_error_and_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_units: Stack
) -> None:
    """What could not join is named, and the rest is ended."""
    forget_node_exporter(tmp_path, monkeypatch)
    late = replace(
        unit("late", two_units.ports.jaeger, tmp_path / "events"), binary="node_exporter"
    )
    options = Options(
        tmp_path / "run",
        join=True,
        port_base=two_units.ports.otlp_grpc,
        servers=(),
        overrides=Overrides(units=(late, two_units.units[0])),
    )
    said: list[str] = []
    with pytest.raises(StackError, match="not built, so they could not join: late"):
        supervisor.supervise(options, said.append)
    assert any("building late" in line for line in said)
    assert not is_listening(two_units.units[0])
