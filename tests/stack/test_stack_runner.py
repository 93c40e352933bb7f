"""The runner: order, readiness, errors, ends, and that nothing is left behind."""

import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest

from small_servers import events, is_listening, stack_of_two, unit
from tapeline.stack import probe
from tapeline.stack.binaries import SOURCE_ROOT, BinaryError
from tapeline.stack.child import Child, Identity, end, identity_of, is_alive
from tapeline.stack.command import down_command, up_command
from tapeline.stack.ports import HOST, PortError, Ports, holder_of, is_free
from tapeline.stack.run_directory import RunDirectory, RunDirectoryError
from tapeline.stack.runner import Stack, StackError
from tapeline.stack.supervisor import ready_table
from tapeline.stack.topology import SERVER_NAMES, Overrides, Plan, TopologyError, Unit, topology
from waiting import eventually


@pytest.fixture(name="two_units")
def _two_units(tmp_path: Path) -> Iterator[Stack]:
    with stack_of_two(tmp_path) as stack:
        yield stack


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


def test_half_a_stack_ends_side_by_side(tmp_path: Path) -> None:
    """Each may wait for one that isn't there yet: their graces don't add up."""
    code = "import signal, sys, time; signal.signal(15, lambda *_: time.sleep(60)); time.sleep(60)"
    held = [
        replace(unit(name, port, tmp_path / "events"), arguments=("-c", code, name), grace_s=2.0)
        for name, port in zip("abcdef", astuple(Ports.free()), strict=False)
    ]
    stack = Stack(tmp_path / "run", servers=(), overrides=Overrides(units=tuple(held)))
    stack.prepare()
    with pytest.raises(StackError, match="not ready after"):
        stack.add([each.name for each in held], timeout_s=1.0)
    began = time.monotonic()
    stack.stop()
    assert time.monotonic() - began < 6 * 2.0
    assert not (tmp_path / "run").exists()


def test_half_a_stack_ends_in_reverse_where_one_needs_another(tmp_path: Path) -> None:
    """What runs already may hold data for the one below it, though another never came up."""
    log = tmp_path / "events"
    first, second, third = (
        unit(name, port, log)
        for name, port in zip(("first", "second", "third"), astuple(Ports.free()), strict=False)
    )
    second = replace(second, needs=("first",))
    third = replace(third, needs=("second",), arguments=("-c", "import time; time.sleep(60)"))
    stack = Stack(tmp_path / "run", servers=(), overrides=Overrides(units=(first, second, third)))
    stack.prepare()
    with pytest.raises(StackError, match="not ready after"):
        stack.add(["first", "second", "third"], timeout_s=5.0)
    stack.stop()
    assert log.read_text(encoding="utf-8").splitlines()[2:] == ["second stopped", "first stopped"]


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


@pytest.mark.parametrize("name", ["config", "data", "logs", "queue", "log-files"])
def test_a_folder_with_data_of_others_is_refused(tmp_path: Path, name: str) -> None:
    """What a stack would remove at its end must be a stack's; nothing is touched, modes neither."""
    (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / name / "precious").write_text("not the stack's", encoding="utf-8")
    tmp_path.chmod(0o755)
    with pytest.raises(RunDirectoryError, match=rf"holds {name}, .*another folder with --run-dir"):
        Stack(tmp_path, Ports.free(), servers=()).start()
    assert up_command(tmp_path, servers=(), detach=True) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "precious").exists()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_folder_of_somebody_elses_keeps_its_mode(tmp_path: Path) -> None:
    """And links to log files may be there beforehand."""
    (tmp_path / "log-files").mkdir()
    (tmp_path / "log-files" / "mine.log").symlink_to("/var/log/mine.log")
    (tmp_path / "mine.txt").touch()
    tmp_path.chmod(0o755)
    with Stack(tmp_path, Ports.free(), servers=()):
        assert (tmp_path / "log-files" / "mine.log").is_symlink()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


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
