"""A folder of recordings: names that sort, rotation, an end to its growth, one writer."""

import os
from pathlib import Path

import pytest

from otlp_client import logs
from recorded_files import read_all
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.folder import FolderBusyError, Form, RecordingFolder, Rotation
from tapeline.recorded.forms import Compression, Format
from tapeline.recorded.metadata import Policy, read_metadata

LOG = Batch(Signal.LOGS, logs(["one"]).SerializeToString())
NO_ROTATION = Rotation()
FORM = Form(Format.PROTO, Compression.NONE, "test", Policy(raw=False))


class Clocks:
    """Two clocks that tests set."""

    def __init__(self) -> None:
        self.unix_s = 1_700_000_000.0
        self.monotonic_s = 50.0


@pytest.fixture(name="clocks")
def _clocks() -> Clocks:
    return Clocks()


def opened(
    folder: Path, clocks: Clocks, rotation: Rotation = NO_ROTATION, prefix: str = "recording"
) -> RecordingFolder:
    """Return a writer into the folder."""
    return RecordingFolder(
        folder,
        prefix,
        FORM,
        rotation,
        unix_s=lambda: clocks.unix_s,
        monotonic_s=lambda: clocks.monotonic_s,
    )


def record(folder: RecordingFolder, batch: Batch = LOG) -> None:
    """Write one batch, as a queue does."""
    folder.append(batch)
    folder.flush()
    folder.tick()


def recordings(folder: Path, prefix: str = "recording") -> list[str]:
    """Return the names of the recordings, in the order of the names."""
    return sorted(path.name for path in folder.glob(f"{prefix}-*.pb"))


def test_a_file_is_called_by_its_time(tmp_path: Path, clocks: Clocks) -> None:
    """UTC, in a form that sorts; nothing is made before there is something to record."""
    folder = opened(tmp_path / "new" / "folder", clocks)
    assert recordings(tmp_path / "new" / "folder") == []
    record(folder)
    folder.close()

    assert recordings(tmp_path / "new" / "folder") == ["recording-20231114T221320Z-0001.otlp.pb"]


def test_a_large_file_is_followed_by_another(tmp_path: Path, clocks: Clocks) -> None:
    """Rotation by size, each file whole and closed."""
    folder = opened(tmp_path, clocks, Rotation(max_bytes=2 * len(LOG.payload)))
    for _ in range(5):
        record(folder)
    folder.close()

    names = recordings(tmp_path)
    assert names == [f"recording-20231114T221320Z-{number:04d}.otlp.pb" for number in (1, 2, 3)]
    held = [len(read_all((tmp_path / name).read_bytes())[0]) for name in names]
    assert held == [2, 2, 1]
    assert all((metadata := read_metadata(tmp_path / n)) and metadata.closed for n in names)


def test_an_old_file_is_followed_by_another(tmp_path: Path, clocks: Clocks) -> None:
    """Rotation by age, on a clock that nobody sets: the wall clock may jump."""
    folder = opened(tmp_path, clocks, Rotation(max_age_s=60))
    record(folder)
    clocks.unix_s += 10_000
    record(folder)
    clocks.monotonic_s += 60
    folder.tick()
    record(folder)
    folder.close()

    held = [len(read_all((tmp_path / name).read_bytes())[0]) for name in recordings(tmp_path)]
    assert held == [2, 1]


def test_names_sort_when_the_clock_goes_back(tmp_path: Path, clocks: Clocks) -> None:
    """Within a process and over restarts, a later file has a later name."""
    order = []
    for jump_s in (0, -86_400, -10, 5, 200_000, -400_000):
        clocks.unix_s += jump_s
        folder = opened(tmp_path, clocks, Rotation(max_bytes=1))
        for _ in range(2):
            record(folder)
            order += [name for name in recordings(tmp_path) if name not in order]
        folder.close()

    assert len(order) == 12
    assert order == sorted(order)


def test_a_number_may_overflow(tmp_path: Path, clocks: Clocks) -> None:
    """After 9999 files of one second the next second is used."""
    (tmp_path / "recording-20231114T221320Z-9999.otlp.pb").touch()
    folder = opened(tmp_path, clocks)
    record(folder)
    folder.close()

    assert recordings(tmp_path)[-1] == "recording-20231114T221321Z-0001.otlp.pb"


def test_never_more_than_so_many_files(tmp_path: Path, clocks: Clocks) -> None:
    """The oldest go, with their metadata, before a new one is begun."""
    folder = opened(tmp_path, clocks, Rotation(max_bytes=1, max_files=3))
    seen = 0
    for _ in range(8):
        record(folder)
        seen = max(seen, len(recordings(tmp_path)))
    folder.close()

    assert seen == 3
    assert recordings(tmp_path)[0].endswith("-0006.otlp.pb")
    assert len(list(tmp_path.glob("*.metadata.json"))) == 3
    assert folder.files_removed == 5


def test_what_is_of_others_is_never_removed(tmp_path: Path, clocks: Clocks) -> None:
    """Another worker's files, other people's files, and what a link leads to stay."""
    others = [
        "worker-1-20200101T000000Z-0001.otlp.pb",
        "recording-20200101T000000Z-0001.otlp.pb.bak",
        "recording-notes.otlp.pb",
        "orders.jsonl",
    ]
    for name in others:
        (tmp_path / name).write_text("precious", encoding="utf-8")
    outside = tmp_path / "outside"
    outside.write_text("precious", encoding="utf-8")
    (tmp_path / "recording-20200101T000000Z-0001.otlp.pb").symlink_to(outside)
    folder = opened(tmp_path, clocks, Rotation(max_bytes=1, max_files=1))
    for _ in range(3):
        record(folder)
    folder.close()

    assert all((tmp_path / name).read_text(encoding="utf-8") == "precious" for name in others)
    assert outside.read_text(encoding="utf-8") == "precious"


def test_a_prefix_has_one_writer(tmp_path: Path, clocks: Clocks) -> None:
    """A second one is refused, as long as the first is there; another prefix is free."""
    first = opened(tmp_path, clocks)
    with pytest.raises(FolderBusyError, match="another process"):
        opened(tmp_path, clocks)
    opened(tmp_path, clocks, prefix="worker-1").close()
    first.close()
    opened(tmp_path, clocks).close()


def test_the_lock_is_no_link_to_follow(tmp_path: Path, clocks: Clocks) -> None:
    """A link in its place is refused."""
    (tmp_path / ".recording.lock").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="symbolic links"):
        opened(tmp_path, clocks)
    assert not (tmp_path / "victim").exists()


def test_a_folder_that_is_none_is_refused(tmp_path: Path, clocks: Clocks) -> None:
    """A file or a pipe where the folder should be."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe"):
        with pytest.raises(OSError, match="File exists"):
            opened(tmp_path / name, clocks)


def test_a_removed_file_is_followed_by_another(tmp_path: Path, clocks: Clocks) -> None:
    """What came while the file had no name is refused, and the next one is in a new file."""
    folder = opened(tmp_path, clocks)
    record(folder)
    (tmp_path / recordings(tmp_path)[0]).unlink()
    folder.append(LOG)
    with pytest.raises(FileNotFoundError):
        folder.flush()
    record(folder)
    folder.close()

    assert len(recordings(tmp_path)) == 1
    assert len(read_all((tmp_path / recordings(tmp_path)[0]).read_bytes())[0]) == 1
