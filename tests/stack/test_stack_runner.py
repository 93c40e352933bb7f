"""The runner: order, readiness, errors, ends, and that nothing is left behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest

from tapeline.stack import probe, supervisor
from tapeline.stack.binaries import SOURCE_ROOT, BinaryError
from tapeline.stack.child import Child, Identity, end, identity_of, is_alive
from tapeline.stack.command import down_command, status_command, up_command
from tapeline.stack.ports import HOST, PortError, Ports, holder_of, is_free
from tapeline.stack.run_directory import RunDirectory, RunDirectoryError
from tapeline.stack.runner import Stack, StackError
from tapeline.stack.supervisor import Options, ready_table
from tapeline.stack.topology import SERVER_NAMES, Overrides, Plan, TopologyError, Unit, topology
from waiting import eventually

# A server that listens after a while, writes what happens to it, and ends on SIGTERM.
SERVER = """
import http.server, signal, sys, time
name, port, delay_s, log = sys.argv[1:]
def say(word):
    with open(log, "a") as file:
        file.write(f"{name} {word}\\n")
def stop(*_):
    time.sleep(0.5 if name == "lingering" else 0)
    say("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say("started")
time.sleep(float(delay_s))
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(port)), handler).serve_forever()
"""


def unit(name: str, port: int, log: Path, *, delay_s: float = 0.0, needs: str = "") -> Unit:
    """Return a unit that runs SERVER."""
    return Unit(
        name=name,
        binary=None,
        arguments=("-c", SERVER, name, str(port), str(delay_s), str(log)),
        ready_url=f"http://{HOST}:{port}/",
        url=f"http://{HOST}:{port}",
        ports=(("HTTP", port),),
        needs=tuple(needs.split()),
    )


@pytest.fixture
def two_units(tmp_path: Path) -> Iterator[Stack]:
    """Return a stack of two small servers, the second of which needs the first; end it after."""
    ports, log = Ports.free(), tmp_path / "events"
    units = (
        unit("first", ports.gate, log, delay_s=0.3),
        unit("second", ports.loki, log, needs="first"),
    )
    stack = Stack(tmp_path / "run", ports, servers=(), overrides=Overrides(units=units))
    yield stack
    if stack.running:
        stack.stop()


def events(stack: Stack) -> list[str]:
    """Return what the small servers wrote, in order."""
    return (stack.directory.path.parent / "events").read_text(encoding="utf-8").splitlines()


def test_default_ports_differ() -> None:
    """No two listeners of the stack share a port."""
    assert len(set(astuple(Ports()))) == len(fields(Ports))


def test_a_port_base_gives_a_row_of_ports() -> None:
    """All ports follow the base; one that does not fit is refused with what fits."""
    assert astuple(Ports.from_base(20_000)) == tuple(range(20_000, 20_000 + len(fields(Ports))))
    with pytest.raises(PortError, match=r"65535 is out of range.*1 to"):
        Ports.from_base(65_535)
    with pytest.raises(PortError, match="out of range"):
        Ports.from_base(0)


def test_a_listener_is_found_out() -> None:
    """The holder of a port is named with its pid; a free port has none."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
        assert str(os.getpid()) in str(holder_of(port))
    assert is_free(port)
    assert holder_of(port) is None


def test_every_server_has_its_own_ports_and_addresses() -> None:
    """The topology uses each of its ports once, and none of the well-known ones on another base."""
    ports = Ports.from_base(30_000)
    plan = Plan(SOURCE_ROOT, Path("/run"), ports, Overrides(two_collectors=True))
    units = topology(plan, SERVER_NAMES)
    used = [port for each in units for _, port in each.ports]
    assert sorted(used) == sorted(astuple(ports))
    known = {str(port) for port in astuple(Ports())}
    for each in units:
        words = " ".join([*each.arguments, *each.environment.values(), each.url, each.ready_url])
        assert not {word for port in known for word in [f":{port}"] if word in words}, each.name


def test_an_unknown_server_is_refused_with_a_suggestion() -> None:
    """A misspelt name is an error that knows the near one."""
    plan = Plan(SOURCE_ROOT, Path("/run"), Ports(), Overrides())
    with pytest.raises(TopologyError, match="Did you mean 'jaeger'"):
        topology(plan, ["jeager"])


def test_units_start_by_need_and_end_in_reverse(two_units: Stack) -> None:
    """What needs another starts once that is ready, and ends before it."""
    with two_units as stack:
        assert stack.running == ("first", "second")
        assert probe.is_ready(stack.url("second"))
        table = ready_table(stack)
        assert all(stack.url(name) in table for name in stack.running)
    assert events(stack) == [
        "first started",
        "second started",
        "second stopped",
        "first stopped",
    ]


def test_a_stop_leaves_nothing_behind(two_units: Stack) -> None:
    """No process, no file, no folder."""
    with two_units as stack:
        pids = [stack.pid(name) for name in stack.running]
        assert stack.directory.path.is_dir()
    assert [pid for pid in pids if identity_of(pid)] == []
    assert not stack.directory.path.exists()


def test_ready_mappings_are_found_from_where_the_servers_run(tmp_path: Path) -> None:
    """By the path that they have in the repository; and its own files survive the clean-up."""
    mappings = Path("config") / "mappings"
    for _ in range(2):
        with Stack(tmp_path / "run", Ports.free(), servers=(), keep=True):
            found = {path.name for path in (tmp_path / "run" / mappings).iterdir()}
    assert "b25.yaml" in found
    with Stack(tmp_path / "run", Ports.free(), servers=()):
        pass
    assert not (tmp_path / "run").exists()
    assert found == {path.name for path in (SOURCE_ROOT / mappings).iterdir()}


def test_the_run_directory_is_private_and_kept_on_request(tmp_path: Path) -> None:
    """Folders have mode 0700; with `keep`, data and logs stay, and other files always do."""
    run = tmp_path / "run"
    run.mkdir(mode=0o755)
    (run / "mine.txt").write_text("not the stack's", encoding="utf-8")
    with Stack(run, Ports.free(), servers=(), keep=True):
        for name in ("queue", "data", "logs"):
            assert stat.S_IMODE((run / name).stat().st_mode) == 0o700
        (run / "queue" / "left").touch()
    assert (run / "queue" / "left").exists()
    with Stack(run, Ports.free(), servers=()):
        pass
    assert [path.name for path in run.iterdir()] == ["mine.txt"]


def test_one_stack_a_run_directory(two_units: Stack) -> None:
    """A second one is refused, and does not touch the first."""
    with two_units as stack:
        other = Stack(stack.directory.path, Ports.free(), servers=())
        with pytest.raises(RunDirectoryError, match="already running"):
            other.start()
        other.stop()
        assert up_command(stack.directory.path, servers=()) == 1
        assert stack.running == ("first", "second")
        assert stack.directory.read_state() is not None


def test_a_taken_port_is_named_with_its_holder(two_units: Stack) -> None:
    """The error says which port, of which server, who has it and what to do; nothing starts."""
    with socket.socket() as listener:
        listener.bind((HOST, two_units.ports.loki))
        listener.listen()
        message = rf"{two_units.ports.loki} \(second, HTTP\) is taken by .*{os.getpid()}.*port-base"
        with pytest.raises(PortError, match=message):
            two_units.start()
    assert two_units.running == ()


def test_a_missing_binary_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a built server the error names the command that builds it."""
    monkeypatch.setenv("TAPELINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TAPELINE_LOKI_BINARY", raising=False)
    with pytest.raises(BinaryError, match="tapeline stack build loki"):
        Stack(tmp_path / "run", Ports.free(), servers=["loki"]).start()


def test_a_server_that_ends_early_is_reported_with_its_log(
    two_units: Stack, tmp_path: Path
) -> None:
    """The error has the exit code and the log's end; the others are ended and the log stays."""
    bad = Unit("bad", None, ("-c", "print('no such thing'); exit(3)"), "http://x/", "", ())
    good = two_units.units[0]
    stack = Stack(
        tmp_path / "run", Ports.free(), servers=(), overrides=Overrides(units=(good, bad))
    )
    with pytest.raises(StackError, match=r"bad ended with exit code 3(.|\n)*no such thing"):
        stack.start()
    assert stack.running == ()
    assert stack.log("bad").exists()
    assert not is_listening(good)


def is_listening(unit_: Unit) -> bool:
    """Tell whether a unit's first port is in use."""
    return not is_free(unit_.ports[0][1])


def test_a_server_that_is_never_ready_is_reported(tmp_path: Path) -> None:
    """After the time limit the error names it."""
    slow = unit("slow", Ports.free().gate, tmp_path / "events", delay_s=60)
    stack = Stack(tmp_path / "run", Ports.free(), servers=(), overrides=Overrides(units=(slow,)))
    with pytest.raises(StackError, match=r"not ready after 0\.5 s: slow"):
        stack.start(timeout_s=0.5)
    assert stack.running == ()


def test_a_killed_server_comes_back(two_units: Stack) -> None:
    """`kill` is SIGKILL, `dead` tells of it, `restart` waits until it answers again."""
    with two_units as stack:
        before = stack.pid("first")
        stack.kill("first")
        assert [(name, code) for name, code, _ in stack.dead()] == [("first", -9)]
        stack.restart("first")
        assert stack.pid("first") != before
        assert probe.is_ready(stack.url("first"))
        stack.restart("first")
        assert stack.dead() == ()
    assert events(stack).count("first started") == 3


def test_the_state_file_tells_what_runs(two_units: Stack) -> None:
    """Pids with start times, addresses and readiness, as `down` and `status` need them."""
    with two_units as stack:
        state = RunDirectory(stack.directory.path).read_state()
        assert state is not None
        assert state == stack.state()
        assert state.ready
        assert state.supervisor.pid == os.getpid()
        assert all(is_alive(each.identity) and each.ready_s for each in state.units)


def test_a_state_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    for text in ("not json", "{}", '{"version": 99}'):
        (tmp_path / "state.json").write_text(text, encoding="utf-8")
        with pytest.raises(RunDirectoryError, match=r"state\.json"):
            RunDirectory(tmp_path).read_state()
        assert down_command(tmp_path) == 1


def test_a_reused_pid_is_not_ended(tmp_path: Path) -> None:
    """`end` leaves a process alone that has the pid but not the start time."""
    child = Child.start(
        [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path, tmp_path / "l"
    )
    other = replace(child.identity, start_ticks=child.identity.start_ticks - 1)
    end(other, grace_s=0.1)
    assert child.exit_code is None
    end(child.identity, grace_s=5)
    eventually(lambda: child.exit_code == -signal.SIGTERM)
    end(Identity(child.pid, 1), grace_s=0.1)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After the grace the whole session goes, what the child started included."""
    script = (
        "import signal, subprocess, sys, time;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    child = Child.start([sys.executable, "-c", script], os.environ, tmp_path, log)
    grandchild = int(eventually(lambda: log.read_text(encoding="utf-8").strip()))
    child.ask_to_end()
    child.wait(grace_s=0.2)
    assert child.exit_code == -signal.SIGKILL
    eventually(lambda: identity_of(grandchild) is None)


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


def test_the_probe_waits_and_tells(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit 0 once all answer with a success; 1 when time is up, naming which does not."""
    ports = Ports.free()
    slow = unit("slow", ports.gate, tmp_path / "events", delay_s=0.5)
    child = Child.start(
        [sys.executable, *slow.arguments], os.environ, tmp_path, tmp_path / "server.log"
    )
    gone = f"gone=http://{HOST}:{ports.loki}/"
    assert probe.main(["--wait", "20", f"slow={slow.ready_url}"]) == 0
    assert probe.main([f"slow={slow.ready_url}", gone]) == 1
    output = capsys.readouterr().out
    assert "NOT READY" in output
    assert "gone" in output
    assert probe.main([f"{slow.ready_url}no-such-file"]) == 1
    with pytest.raises(SystemExit) as wrong:
        probe.main(["not a url"])
    assert wrong.value.code == 2
    child.kill()


def test_stack_threads_end_with_it(two_units: Stack) -> None:
    """The runner leaves no thread."""
    before = threading.active_count()
    with two_units:
        pass
    assert threading.active_count() == before
