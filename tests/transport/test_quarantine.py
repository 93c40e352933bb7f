"""What is given up is bounded, private, and redacted or without content."""

import hashlib
import json
import stat
from pathlib import Path

import pytest

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.transport.config import QuarantineConfig
from tapeline.transport.quarantine import AttemptCounts, Quarantine, QuarantineForm

BATCH = Batch(Signal.LOGS, b"secret payload")


def made(folder: Path, form: QuarantineForm | None, **limits: int) -> Quarantine:
    """Return a prepared quarantine."""
    quarantine = Quarantine(QuarantineConfig(folder=folder, **limits), form)
    quarantine.prepare()
    return quarantine


def test_a_redacted_form_is_written_beside_its_note(tmp_path: Path) -> None:
    """Files 0600 in a folder 0700; the note has no word of the exception's message."""
    folder = tmp_path / "deep" / "quarantine"
    quarantine = made(folder, lambda _batch: b"redacted payload")

    written = quarantine.put(BATCH, ValueError("secret"), 17)

    note, content = sorted(folder.iterdir())
    assert written.path == note
    assert written.problem is None
    assert content.read_bytes() == b"redacted payload"
    assert json.loads(note.read_text(encoding="utf-8")) == {
        "signal": "logs",
        "size_bytes": 14,
        "sha256": hashlib.sha256(b"secret payload").hexdigest(),
        "exception": "ValueError",
        "time_unix_nano": 17,
        "content": True,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (note, content)} == {0o600}


def _raises(_batch: Batch) -> bytes:
    raise RuntimeError("secret")


@pytest.mark.parametrize("form", [None, lambda _batch: None, _raises])
def test_without_a_redacted_form_only_the_note_is_written(
    tmp_path: Path, form: QuarantineForm | None
) -> None:
    """Redacted or not at all: the chain just failed on it, so its redaction may fail too."""
    quarantine = made(tmp_path / "q", form)

    written = quarantine.put(BATCH, ValueError("secret"), 17)

    assert written.problem == "not_redacted"
    (note,) = (tmp_path / "q").iterdir()
    assert "secret" not in note.read_text(encoding="utf-8")
    assert json.loads(note.read_text(encoding="utf-8"))["content"] is False


def test_the_folder_takes_no_more_files_than_its_limit(tmp_path: Path) -> None:
    """What is there already counts too: a restart does not start anew."""
    quarantine = made(tmp_path, None, max_files=3)
    (tmp_path / "left behind").write_bytes(b"x")

    problems = [quarantine.put(BATCH, ValueError(), now).problem for now in range(4)]

    assert problems == ["not_redacted", "not_redacted", "full", "full"]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_folder_takes_no_more_bytes_than_its_limit(tmp_path: Path) -> None:
    """A note that fits is not written without the content that does not."""
    quarantine = made(tmp_path, lambda _batch: bytes(700 * 1024), max_mib=1)

    problems = [quarantine.put(BATCH, ValueError(), now).problem for now in range(2)]

    assert problems == [None, "full"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_went_away_is_counted_not_raised(tmp_path: Path) -> None:
    """The answer to the client must not depend on a disk."""
    quarantine = made(tmp_path / "q", None)
    (tmp_path / "q").rmdir()

    assert quarantine.put(BATCH, ValueError(), 1).problem == "write_error"


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    """Nor is a symbolic link followed that somebody put in place of a file."""
    quarantine = made(tmp_path / "q", None)
    first = quarantine.put(BATCH, ValueError(), 1).path
    assert first is not None
    before = first.read_bytes()

    assert quarantine.put(BATCH, TypeError(), 1).problem == "write_error"
    assert first.read_bytes() == before


def test_attempts_are_counted_for_each_payload() -> None:
    """Settling one forgets only that one."""
    counts = AttemptCounts()

    assert [counts.failed(b"a"), counts.failed(b"b"), counts.failed(b"a")] == [1, 1, 2]
    counts.settled(b"a")
    assert [counts.failed(b"a"), counts.failed(b"b")] == [1, 2]


def test_attempts_are_bounded_and_forgetting_is_counted() -> None:
    """The least recently failed goes first."""
    counts = AttemptCounts(capacity=2)
    for digest in (b"a", b"b", b"a", b"c"):
        counts.failed(digest)

    assert len(counts) == 2
    assert counts.forgotten == 1
    assert counts.failed(b"a") == 3
    assert counts.failed(b"b") == 1
