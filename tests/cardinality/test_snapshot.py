"""The state's file: a clean end is told from a crash, damage is set aside, others are kept out."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeline.cardinality.snapshot import (
    Reading,
    ReadOutcome,
    SnapshotFile,
    WriteOutcome,
)
from tapeline.cardinality.snapshot_format import Plain
from tapeline.pipeline.kept_files import MAX_SET_ASIDE

STATE: Plain = {"admitted": b"\x01" * 64, "epoch": 5, "producers": [[1, 2], [3, 4]]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path in a folder that is not there yet."""
    return tmp_path / "state" / "cardinality"


def opened(path: Path, **options: int) -> SnapshotFile:
    """Return a file that has been read, as at a start."""
    file = SnapshotFile(path, version=1, **options)
    file.read()
    return file


def written(path: Path, *, clean: bool, state: Plain = STATE) -> None:
    """Leave a snapshot behind."""
    file = opened(path)
    assert file.write(state, clean=clean) is WriteOutcome.WRITTEN
    file.close()


def test_nothing_there_is_no_problem(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first start says nothing."""
    assert SnapshotFile(path, version=1).read().outcome is ReadOutcome.ABSENT
    assert caplog.records == []


def test_a_clean_end_is_seen_once(path: Path) -> None:
    """The mark goes with the first reading, so that a crash after it is seen as one."""
    written(path, clean=True)

    first = opened_reading(path)
    second = opened_reading(path)

    assert (first.outcome, first.data) == (ReadOutcome.CLEAN, STATE)
    assert (second.outcome, second.data) == (ReadOutcome.UNCLEAN, STATE)


def opened_reading(path: Path) -> Reading:
    """Read, and end without writing, as a crash does."""
    file = SnapshotFile(path, version=1)
    try:
        return file.read()
    finally:
        file.close()


def test_a_periodic_snapshot_is_unclean(path: Path) -> None:
    """Also one that follows a clean one: what was counted after it is not in it."""
    written(path, clean=True)
    written(path, clean=False)

    assert opened_reading(path).outcome is ReadOutcome.UNCLEAN


def test_a_mark_of_another_snapshot_does_not_count(path: Path) -> None:
    """It names the snapshot that it belongs to."""
    written(path, clean=True)
    mark = path.with_name("cardinality.clean").read_bytes()
    written(path, clean=False, state={"epoch": 6})
    path.with_name("cardinality.clean").write_bytes(mark)

    assert opened_reading(path).outcome is ReadOutcome.UNCLEAN


def test_a_damaged_file_is_set_aside_with_one_error(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is used, nothing of it is lost, and the next start begins anew."""
    written(path, clean=True)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)

    reading = opened_reading(path)

    assert (reading.outcome, reading.data) == (ReadOutcome.DAMAGED, None)
    assert path.with_name("cardinality.damaged-1").read_bytes() == damaged
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "set aside as cardinality.damaged-1" in caplog.text
    assert opened_reading(path).outcome is ReadOutcome.ABSENT
    assert not path.with_name("cardinality.clean").exists()


def test_another_version_is_set_aside(path: Path) -> None:
    """An upgrade that lays state out anew does not guess, and a downgrade can have it back."""
    written(path, clean=True)

    assert SnapshotFile(path, version=2).read().outcome is ReadOutcome.OTHER_VERSION
    assert path.with_name("cardinality.damaged-1").exists()


def test_only_so_many_damaged_files_are_kept(path: Path) -> None:
    """A disk that damages every file does not fill up with them."""
    written(path, clean=True)
    for number in range(MAX_SET_ASIDE + 2):
        path.write_bytes(b"damaged %d" % number)
        assert opened_reading(path).outcome is ReadOutcome.DAMAGED

    kept = sorted(path.parent.glob("*.damaged-*"))
    assert len(kept) == MAX_SET_ASIDE
    assert kept[0].read_bytes() == b"damaged 0"
    assert kept[-1].read_bytes() == b"damaged %d" % (MAX_SET_ASIDE + 1)


def test_a_state_that_is_too_large_is_neither_written_nor_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one stays; its mark does not, if it was ever there."""
    written(path, clean=False)
    before = path.read_bytes()

    file = opened(path, max_bytes=len(before))
    large: Plain = {"admitted": b"\x01" * len(before)}
    outcomes = [file.write(large, clean=True) for _ in range(3)]
    file.close()
    refused = SnapshotFile(path, version=1, max_bytes=10).read()

    assert outcomes == [WriteOutcome.TOO_LARGE] * 3
    assert refused.outcome is ReadOutcome.TOO_LARGE
    assert path.with_name("cardinality.damaged-1").read_bytes() == before
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2  # three writes are told once


def test_files_are_for_their_owner_alone(path: Path) -> None:
    """Under any umask: hashes of label values are in there."""
    before = os.umask(0)
    try:
        written(path, clean=True)
    finally:
        os.umask(before)

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["cardinality", "cardinality.clean", "cardinality.lock"], 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_failed_write_leaves_the_last_snapshot(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so once, until it works again."""
    written(path, clean=False)
    before = path.read_bytes()
    file = opened(path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        outcomes = [file.write({"epoch": 9}) for _ in range(3)]

    assert outcomes == [WriteOutcome.ERROR] * 3
    assert path.read_bytes() == before
    assert [record.message for record in caplog.records] == [
        f"the state can't be written to {path}: No space left on device"
    ]
    assert file.write({"epoch": 9}) is WriteOutcome.WRITTEN
    file.close()
    assert opened_reading(path).data == {"epoch": 9}


def test_a_folder_that_can_not_be_made_is_an_outcome(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A gate without its old state is better than none."""
    (tmp_path / "file").write_text("x")
    file = SnapshotFile(tmp_path / "file" / "state", version=1)

    assert file.read().outcome is ReadOutcome.ERROR
    assert file.write(STATE) is WriteOutcome.NOT_OURS
    assert "can't be read" in caplog.text


OTHER_PROCESS = """
import sys
from pathlib import Path
from tapeline.cardinality.snapshot import SnapshotFile
file = SnapshotFile(Path(sys.argv[1]), version=1)
print(file.read().outcome, file.write({"epoch": 1}), flush=True)
"""


def test_another_process_keeps_its_hands_off(path: Path) -> None:
    """Two gates with one state path would restore each other's totals."""
    written(path, clean=True)
    ours = SnapshotFile(path, version=1)
    assert ours.read().outcome is ReadOutcome.CLEAN

    def other() -> str:
        command = [sys.executable, "-c", OTHER_PROCESS, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert other() == "in_use not_ours"
    ours.write(STATE, clean=True)
    ours.close()
    assert other() == "clean written"


def test_workers_have_a_file_each(path: Path) -> None:
    """Neither sees the other's state."""
    files = [SnapshotFile.of_worker(path, index, version=1) for index in (0, 1)]
    for index, file in enumerate(files):
        file.read()
        assert file.write({"worker": index}, clean=True) is WriteOutcome.WRITTEN
        file.close()

    again = [SnapshotFile.of_worker(path, index, version=1).read().data for index in (0, 1)]

    assert again == [{"worker": 0}, {"worker": 1}]
    assert path.with_name("cardinality.1").exists()


def test_a_successor_in_the_same_process_takes_the_mark_away(path: Path) -> None:
    """At a reload nothing is read, but a crash after it must be seen as one."""
    written(path, clean=True)
    successor = SnapshotFile(path, version=1)

    assert successor.claim()
    successor.close()

    assert opened_reading(path).outcome is ReadOutcome.UNCLEAN


def test_a_mark_that_can_not_be_removed_stops_everything(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it to stay, the next crash would be taken for a clean end, and be counted twice."""
    written(path, clean=True)

    def fixed(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(1, f"{self} stays, {missing_ok}")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fixed)
        file = SnapshotFile(path, version=1)
        assert file.read().outcome is ReadOutcome.ERROR
        assert file.write(STATE) is WriteOutcome.NOT_OURS
        assert not SnapshotFile(path, version=1).claim()
