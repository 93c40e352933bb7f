"""Backups without servers: what is refused, what is left as it was, who lets a process go on."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tapeline import cli
from tapeline.stack.child import Identity, identity_of
from tapeline.stack.freezing import FreezeError, frozen
from tapeline.stack.sparse_files import Extents, extents_of, parse_extents, written_text
from waiting import eventually


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Path:
    """A run directory with some of every kind of store, and nothing that runs."""
    run = tmp_path / "run"
    for name, text in (
        ("data/loki/chunks/a", "lines"),
        ("data/loki/wal/0", "more lines"),
        ("data/prometheus/lock", "never copied"),
        ("data/prometheus/wal/0", "samples"),
    ):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text, encoding="utf-8")
    (run / "lock").touch()
    (run / "data/loki/empty").mkdir()
    (run / "data/loki/link").symlink_to("/etc/passwd")
    return run


def backed_up(run: Path, *options: str) -> Path:
    """Back up and return the backup's folder."""
    target = run.parent / "backups"
    before = set(target.glob("*"))
    state = ["--gate-state", str(run.parent / "nowhere")]
    assert cli.main(["backup", str(target), "--run-dir", str(run), *state, *options]) == 0
    (folder,) = set(target.glob("*")) - before
    return folder


def restored(backup: Path, run: Path, *options: str) -> int:
    """Restore into a run directory and return the exit code."""
    state = ["--gate-state", str(run.parent / "nowhere")]
    return cli.main(["restore", str(backup), "--run-dir", str(run), *state, *options])


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_come_back_as_they_were(run: Path, tmp_path: Path) -> None:
    """Private, with their times, without locks and links; empty folders, too."""
    backup = backed_up(run)
    fresh = tmp_path / "fresh"
    assert restored(backup, fresh) == 0
    assert files(fresh) == {
        "data/loki/chunks/a": b"lines",
        "data/loki/wal/0": b"more lines",
        "data/prometheus/wal/0": b"samples",
        "lock": b"",
    }
    assert (fresh / "data/loki/empty").is_dir()
    for path in (*fresh.rglob("*"), *backup.rglob("*"), backup):
        assert path.stat().st_mode & 0o077 == 0, path
    kept, back = run / "data/loki/chunks/a", fresh / "data/loki/chunks/a"
    assert int(back.stat().st_mtime) == int(kept.stat().st_mtime)


def test_what_is_there_is_never_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused, and with --replace moved aside; an earlier one that was moved is not replaced."""
    backup = backed_up(run)
    (run / "data/loki/chunks/a").write_text("newer", encoding="utf-8")
    before = files(run)
    assert restored(backup, run) == 1
    assert "is not empty; with --replace" in capsys.readouterr().err
    assert files(run) == before
    assert restored(backup, run, "--replace", "--store", "loki") == 0
    assert (run / "data/loki/chunks/a").read_text(encoding="utf-8") == "lines"
    assert (run / "data/loki.before-restore/chunks/a").read_text(encoding="utf-8") == "newer"
    assert restored(backup, run, "--replace", "--store", "loki") == 1
    assert "from an earlier restore" in capsys.readouterr().err


def test_a_folder_that_can_not_be_looked_at_is_said(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is changed."""
    backup = backed_up(run)
    shutil.rmtree(run)
    name = "x" * 300

    assert restored(backup, run, "--folder", f"loki={run.parent / name}") == 1

    assert f"{name}: File name too long" in capsys.readouterr().err
    assert not (run / "data").exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _version(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "version": 99}), encoding="utf-8")


def _escape(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("loki.tar.zst", "../loki.tar.zst"), encoding="utf-8")


def _number(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"loki.tar.zst"', "7"), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("loki.tar.zst", _flip, "its SHA-256 differs"),
        ("prometheus.tar.zst", Path.unlink, "No such file"),
        ("manifest.json", Path.unlink, "is no backup: it has no manifest.json"),
        ("manifest.json", lambda path: path.write_bytes(b"{"), "can't be read as a backup's"),
        ("manifest.json", _version, "of version 99; this tapeline reads version 1"),
        ("manifest.json", _escape, "names a file outside of the backup"),
        ("manifest.json", _number, "can't be read as a backup's manifest"),
    ],
)
def test_a_backup_that_is_not_whole_changes_nothing(
    run: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[Path], object],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All is checked before the first store is touched."""
    backup = backed_up(run)
    change(backup / name)
    assert restored(backup, tmp_path / "fresh") == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("../outside", tarfile.REGTYPE, "which no backup of tapeline has"),
        ("/srv/tapeline-outside", tarfile.REGTYPE, "which no backup of tapeline has"),
        ("link", tarfile.SYMTYPE, "which no backup of tapeline has"),
        ("plain", tarfile.REGTYPE, "does not say how 'plain' was"),
    ],
)
def test_an_archive_of_somebody_else_is_refused(
    run: Path,
    tmp_path: Path,
    name: str,
    kind: bytes,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Even with the right hash beside it: nothing is written outside of the folder."""
    backup = backed_up(run, "--store", "loki")
    with (
        (backup / "loki.tar.zst").open("wb") as file,
        zstandard.ZstdCompressor().stream_writer(file) as writer,
        tarfile.open(fileobj=writer, mode="w|") as tar,
    ):
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        tar.addfile(member)
    manifest = json.loads((backup / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((backup / "loki.tar.zst").read_bytes()).hexdigest()
    manifest["stores"][0]["sha256"] = digest
    (backup / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    fresh = tmp_path / "fresh"
    assert restored(backup, fresh) == 1
    assert told in capsys.readouterr().err
    assert files(fresh) == {}
    assert not Path("/srv/tapeline-outside").exists()


def test_options_that_can_not_be_meant_are_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown store, a folder of none, nothing to copy."""
    target = str(tmp_path / "backups")
    options = ["--run-dir", str(run), "--gate-state", str(tmp_path / "nowhere")]
    assert cli.main(["backup", target, *options, "--store", "lokki"]) == 1
    assert "there is no store 'lokki'; there are: prometheus, loki" in capsys.readouterr().err
    assert cli.main(["backup", target, *options, "--folder", "loki"]) == 1
    assert "is not STORE=PATH" in capsys.readouterr().err
    assert cli.main(["backup", target, *options, "--keep", "-1"]) == 2
    options[1] = str(tmp_path / "empty")
    assert cli.main(["backup", target, *options]) == 1
    assert "empty holds no store: name the stack's folder" in capsys.readouterr().err
    assert list(tmp_path.glob("backups/*")) == []


def test_a_backup_of_nothing_never_ends_well(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a wrong folder it would be the gate's state alone; `--keep` would remove the rest."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "key").write_text("k", encoding="utf-8")
    state = ["--gate-state", str(tmp_path / "state")]
    good = backed_up(run)
    told = capsys.readouterr().out
    assert f"jaeger        not there: {run}/data/jaeger" in told
    target, wrong = str(good.parent), ["--run-dir", str(tmp_path / "wrong"), *state]
    assert cli.main(["backup", target, *wrong, "--keep", "1"]) == 1
    assert "holds no store" in capsys.readouterr().err
    assert cli.main(["backup", target, *wrong, "--store", "gate", "loki", "--keep", "1"]) == 1
    assert "loki is not there" in capsys.readouterr().err
    gone = [*state, "--run-dir", str(run), "--folder", f"loki={tmp_path / 'gone'}"]
    assert cli.main(["backup", target, *gone, "--keep", "1"]) == 1
    assert "loki is not there" in capsys.readouterr().err
    assert [path.name for path in good.parent.iterdir()] == [good.name]
    assert cli.main(["backup", target, *wrong, "--store", "gate"]) == 0


def test_folders_elsewhere_and_the_newest_backups(run: Path, tmp_path: Path) -> None:
    """A container's volume is named; of the backups, the newest stay."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "chunk").write_text("of a container", encoding="utf-8")
    first = backed_up(run)
    second = backed_up(run, "--folder", f"loki={volume}", "--store", "loki", "--keep", "1")
    assert not first.exists()
    to = tmp_path / "volume-again"
    assert restored(second, run, "--folder", f"loki={to}", "--store", "loki") == 0
    assert files(to) == {"chunk": b"of a container"}


def test_a_database_is_copied_whole_while_it_is_written(run: Path, tmp_path: Path) -> None:
    """By SQLite's own backup: each copy is of one moment, and no file is left beside it."""
    folder = run / "data/signals"
    folder.mkdir()
    path = folder / "signals.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE pair (a INTEGER, b INTEGER)")
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(path, timeout=30) as writing:
            for number in range(100_000):
                writing.execute("INSERT INTO pair VALUES (?, ?)", (number, number))
                writing.commit()
                if stop.is_set():
                    return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        eventually(lambda: _count(path) > 10)
        backup = backed_up(run, "--store", "signals")
    finally:
        stop.set()
        thread.join()
    assert restored(backup, tmp_path / "fresh", "--store", "signals") == 0
    assert set(files(tmp_path / "fresh/data/signals")) == {"signals.db"}
    copy = tmp_path / "fresh/data/signals/signals.db"
    assert 10 < _count(copy) <= _count(path)
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM pair WHERE a != b").fetchone() == (0,)
    assert [name for name in files(folder) if name.startswith(".")] == []


def _count(path: Path) -> int:
    with sqlite3.connect(path, timeout=30) as database:
        return int(database.execute("SELECT count(*) FROM pair").fetchone()[0])


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@pytest.fixture(name="process")
def _process() -> subprocess.Popen[bytes]:
    """A process that sleeps; it dies with the test's process group at the latest."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])


def test_a_process_stands_still_for_the_block_only(process: subprocess.Popen[bytes]) -> None:
    """And goes on after an error as well; one that is gone is an error."""
    identity = identity_of(process.pid)
    assert identity is not None
    try:
        with frozen(identity):
            assert _state(process.pid) == "T"
            os.kill(-1_000_000, 0)  # fails: there is no such process group
    except ProcessLookupError:
        pass
    eventually(lambda: _state(process.pid) != "T")
    process.kill()
    process.wait()
    with pytest.raises(FreezeError, match="is gone"), frozen(identity):
        pass
    with pytest.raises(FreezeError, match="is gone"), frozen(Identity(os.getpid(), 1)):
        pass


def test_a_killed_backup_lets_the_server_go_on(process: subprocess.Popen[bytes]) -> None:
    """Even a kill -9 of the one who held it: nobody else would know."""
    identity = identity_of(process.pid)
    assert identity is not None
    script = (
        "import time\nfrom tapeline.stack.child import Identity\n"
        "from tapeline.stack.freezing import frozen\n"
        f"with frozen({identity!r}): print('held', flush=True); time.sleep(120)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert _state(process.pid) == "T"
        holder.send_signal(signal.SIGKILL)
    eventually(lambda: _state(process.pid) != "T")
    process.kill()
    process.wait()


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=5000)), max_size=8))
def test_files_with_holes_keep_every_byte(parts: list[tuple[int, bytes]]) -> None:
    """Holes are not read, and what was written comes in its order, whatever the read sizes."""
    import tempfile

    with tempfile.TemporaryFile() as file:
        for gap, content in parts:
            file.seek(gap * 65_536, os.SEEK_CUR)
            file.write(content)
        file.flush()
        size_bytes = os.fstat(file.fileno()).st_size
        extents = extents_of(file.fileno(), size_bytes)
        assert parse_extents(written_text(extents), size_bytes) == extents
        reader = Extents(file, extents)
        content = b""
        while block := reader.read(1000):
            content += block
        assert len(content) == reader.size_bytes
        rebuilt = bytearray(size_bytes)
        for offset, length in extents:
            rebuilt[offset : offset + length], content = content[:length], content[length:]
        file.seek(0)
        assert bytes(rebuilt) == file.read()


@pytest.mark.parametrize("text", ["5+10", "0+4 2+1", "x+1", "0+-1", "1"])
def test_parts_that_do_not_fit_are_refused(text: str) -> None:
    """Beyond the end, over each other, or no numbers."""
    with pytest.raises(ValueError, match=r"does not fit|invalid literal"):
        parse_extents(text, 8)
