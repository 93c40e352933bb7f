"""Whose a run directory is: what a stack may use, and remove at its end."""

import os
import stat
from pathlib import Path

import pytest

from tapeline.stack.child import Identity
from tapeline.stack.run_directory import RunDirectory, RunDirectoryError, State


def _opened(path: Path) -> RunDirectory:
    directory = RunDirectory(path)
    directory.open()
    return directory


@pytest.mark.parametrize("kind", ["file with text", "folder", "link to a file with text"])
def test_a_lock_of_others_is_no_mark_of_ours(tmp_path: Path, kind: str) -> None:
    """A project's own `lock` beside its `data`: nothing of it is taken for a stack's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    lock = tmp_path / "lock"
    if kind == "folder":
        lock.mkdir()
    elif kind == "file with text":
        lock.write_text("left-pad 1.3\n", encoding="utf-8")
    else:
        (tmp_path / "lock.txt").write_text("left-pad 1.3\n", encoding="utf-8")
        lock.symlink_to("lock.txt")

    with pytest.raises(RunDirectoryError, match="holds data, lock"):
        _opened(tmp_path)

    assert (tmp_path / "data" / "precious").exists()


def test_who_knows_that_it_is_a_stacks_may_say_so(tmp_path: Path) -> None:
    """Data that an older version restored, or of another machine: the error names the way."""
    (tmp_path / "data" / "loki").mkdir(parents=True)
    with pytest.raises(RunDirectoryError, match=rf"touch {tmp_path}/lock$"):
        _opened(tmp_path)

    (tmp_path / "lock").touch()

    directory = _opened(tmp_path)
    assert directory.is_open
    directory.close()


def test_what_can_not_be_removed_is_still_ours(tmp_path: Path) -> None:
    """`data` on another disk, by a link: the next stack starts there, too."""
    disk, run = tmp_path / "disk", tmp_path / "run"
    disk.mkdir()
    run.mkdir()
    for _ in range(2):
        if not (run / "data").is_symlink():
            (run / "data").symlink_to(disk)
        directory = _opened(run)
        (run / "data" / "block").touch()
        directory.remove_contents()
        directory.close()

    assert (disk / "block").exists()
    assert not (run / "config").exists()


def test_a_claim_is_taken_back_only_where_nothing_came_of_it(tmp_path: Path) -> None:
    """Half of a restore is a stack's: the other half must still be able to follow."""
    directory = RunDirectory(tmp_path / "run")
    assert directory.claim()
    directory.disclaim()
    assert not directory.path.exists()

    assert directory.claim()
    (directory.path / "data").mkdir()
    (directory.path / "data" / "restored").touch()
    directory.disclaim()
    assert not directory.claim()


def test_the_state_is_its_owners_alone(tmp_path: Path) -> None:
    """Also in a folder that others may read."""
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    try:
        directory = _opened(tmp_path)
        directory.write_state(State(Identity(1, 1), keep=False, ready=True, units=()))
        mode = (tmp_path / "state.json").stat().st_mode
        directory.close()
    finally:
        os.umask(before)

    assert stat.S_IMODE(mode) == 0o600
