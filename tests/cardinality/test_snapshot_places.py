"""Where the state should be, there is something else, or no room: batches go on, and it is told."""

import errno
import logging
import os
import socket
from pathlib import Path

import pytest

from tapeline.cardinality.snapshot import ReadOutcome, SnapshotFile, WriteOutcome

DEVICE = Path("/dev/zero")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path in a folder that is there."""
    return tmp_path / "cardinality.0"


def _make_fifo(path: Path) -> None:
    os.mkfifo(path)


def _make_folder(path: Path) -> None:
    path.mkdir()


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def _link_device(path: Path) -> None:
    path.symlink_to(DEVICE)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", ["", ".clean", ".lock", ".tmp"])
@pytest.mark.parametrize("make", [_make_fifo, _make_folder, _make_socket, _link_device])
def test_what_is_no_file_is_not_waited_for(
    path: Path, suffix: str, make: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe has no end and a device none either; nothing is kept there, and that is told once."""
    assert callable(make)
    place = path.with_name(path.name + suffix)
    make(place)
    file = SnapshotFile(path, version=1)

    reading = file.read()
    outcomes = [file.write({"a": number}) for number in range(2)]
    file.close()

    if suffix == ".tmp":
        # It is in the way only where it can't be removed.
        assert reading.outcome is ReadOutcome.ABSENT
        assert set(outcomes) == {WriteOutcome.ERROR if place.is_dir() else WriteOutcome.WRITTEN}
    else:
        assert reading.outcome is ReadOutcome.ERROR
        assert set(outcomes) == {WriteOutcome.NOT_OURS}
    if WriteOutcome.WRITTEN not in outcomes:
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert str(path) in caplog.text
    if make is _link_device:
        assert DEVICE.is_char_device()


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The last state stays as it was, and what was written of the new one is removed."""
    file = SnapshotFile(path, version=1)
    file.read()
    assert file.write({"a": 1}) is WriteOutcome.WRITTEN
    before = path.read_bytes()

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        assert file.write({"a": 2}) is WriteOutcome.ERROR
        assert file.write({"a": 2}) is WriteOutcome.ERROR
    assert [record.getMessage() for record in caplog.records] == [
        f"the state can't be written to {path}: {os.strerror(errno.ENOSPC)}"
    ]
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.tmp"))
    assert file.write({"a": 3}) is WriteOutcome.WRITTEN
    file.close()
