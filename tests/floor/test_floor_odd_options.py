"""Options of the floor that no start may hang or fail on later."""

import os
from pathlib import Path

import pytest

from tapeline import cli
from tapeline.floor.tape import TapeError, read_recorded


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
