"""Options of the floor that no start may hang or fail on later."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from small_disk import MIB, fill, mounted
from tapeline import cli
from tapeline.floor import whole
from tapeline.floor.command import fault_command
from tapeline.floor.faults import read_faults, switch_faults, write_faults
from tapeline.floor.schedule import Turn
from tapeline.floor.tape import TapeError, read_recorded
from tapeline.floor.whole import fault_path
from waiting import eventually


def test_a_tape_that_could_not_be_read_twice_is_refused(tmp_path: Path) -> None:
    """A pipe would hang, a device have no end, a folder no lines."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(TapeError, match="is no file"):
            read_recorded(path)
    with pytest.raises(TapeError, match="No such file"):
        read_recorded(tmp_path / "none")
    with pytest.raises(TapeError, match="File name too long"):
        read_recorded(tmp_path / ("n" * 300))


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "--duration", "999999999d"],
        ["demo", "floor", "--duration", "367d"],
        ["fault", "drawdown", "--for", "999999999d"],
    ],
)
def test_a_duration_beyond_what_timers_take_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, and not when all is up or the fault is on."""
    assert cli.main([*command, "--run-dir", str(tmp_path / "run")]) == 2
    assert "a year at most" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_whose_name_is_too_long_has_no_floor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told with its name, and nothing is switched."""
    long = tmp_path / ("n" * 300)

    assert fault_command("drawdown", long, off=False, duration=None) == 1

    told = capsys.readouterr().err
    assert told.startswith(f"tapeline fault: {fault_path(long)}: File name too long")
    assert "still be on" not in told


@pytest.mark.parametrize("off", [False, True])
def test_a_fault_that_can_not_be_switched_is_told(
    run_dir: Path, capsys: pytest.CaptureFixture[str], *, off: bool
) -> None:
    """Of what can't be switched off it is said that it may be on; no draft stays behind."""
    path = fault_path(run_dir)
    path.parent.rename(run_dir / "aside")
    with mounted(path.parent, MIB):
        write_faults(path, ["drawdown"] if off else [])
        fill(path.with_name("filled"))

        assert fault_command("drawdown", run_dir, off=off, duration=None) == 1

        told = capsys.readouterr().err
        assert told.startswith(f"tapeline fault: {path}: No space left on device")
        assert ("drawdown may still be on" in told) is off
        assert sorted(path.parent.iterdir()) == [path, path.with_name("filled")]
        assert read_faults(path) == ({"drawdown"} if off else frozenset())


def test_a_fault_that_can_not_be_switched_off_again_is_told(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands in the way came while it was on."""
    path = fault_path(run_dir)

    def obstruct() -> None:
        eventually(lambda: "drawdown" in read_faults(path))
        path.unlink()
        path.mkdir()

    other = threading.Thread(target=obstruct)
    other.start()
    assert fault_command("drawdown", run_dir, off=False, duration="2s") == 1
    other.join()

    out, told = capsys.readouterr()
    assert out == "fault drawdown on\n"
    assert told.startswith(f"tapeline fault: {path}: Is a directory; drawdown may still be on")
    assert "tapeline fault drawdown --off" in told
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_that_leaves_does_not_leave_a_fault_on(run_dir: Path) -> None:
    """As `| true` does: what is told reaches nobody, and the fault ends all the same."""
    command = [sys.executable, "-m", "tapeline.cli", "fault", "drawdown", "--for", "10m"]
    with subprocess.Popen(
        [*command, "--run-dir", str(run_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 1
    assert read_faults(fault_path(run_dir)) == frozenset()


def test_a_schedule_goes_on_once_its_faults_can_be_switched(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the way is told once, and not with each attempt."""
    path, shown, attempts = fault_path(run_dir), list[str](), list[Path]()

    def counted(path: Path, **names: frozenset[str]) -> None:
        attempts.append(path)
        switch_faults(path, **names)

    monkeypatch.setattr(whole, "switch_faults", counted)
    path.unlink()
    path.mkdir()
    with whole._Scheduler(path, [Turn("drawdown", 0.0, 600.0)], shown.append):
        eventually(lambda: len(attempts) > 2)
        path.rmdir()
        eventually(lambda: bool(shown))
    assert shown == ["fault drawdown on"]
    assert read_faults(path) == {"drawdown"}
    assert capsys.readouterr().err.count("Is a directory") == 1
