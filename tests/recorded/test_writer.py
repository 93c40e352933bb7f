"""A recording that is written: whole messages, honest metadata, nothing overwritten."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from otlp_client import logs
from recorded_files import FORMS, metadata_of, read_all
from sdk_requests import sdk_request
from small_disk import MIB, fill, mounted
from tapeline import __version__
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, MessageError
from tapeline.recorded.metadata import MetadataError, Policy, read_metadata
from tapeline.recorded.writer import RecordingWriter

LOG = Batch(Signal.LOGS, logs(["one", "two"]).SerializeToString())
REDACTED = Policy(raw=False, config_sha256="c" * 64, rules="r" * 8)
forms = pytest.mark.parametrize(("form", "compression"), FORMS)


def begun(path: Path, policy: Policy = REDACTED) -> RecordingWriter:
    """Return a writer of plain protobuf."""
    return RecordingWriter(path, Format.PROTO, Compression.NONE, source="test", policy=policy)


@forms
def test_what_was_written_is_read(form: Format, compression: Compression, tmp_path: Path) -> None:
    """Every form: batches come back, and the metadata tells what is in the file."""
    path = tmp_path / "r"
    writer = RecordingWriter(path, form, compression, source="gate worker 0", policy=REDACTED)
    batches = [Batch(signal, sdk_request(signal).SerializeToString()) for signal in Signal]
    for batch in batches:
        writer.append(batch)
    writer.close()

    content = path.read_bytes()
    found, flaws = read_all(content)
    assert flaws == []
    assert [item.batch.request for item in found] == [batch.request for batch in batches]
    metadata = metadata_of(path)
    times = (metadata.pop("first_unix_nano"), metadata.pop("last_unix_nano"))
    assert all(isinstance(time, int) and time > 10**18 for time in times)
    assert metadata == {
        "version": 1,
        "tapeline": __version__,
        "source": "gate worker 0",
        "format": form.value,
        "compression": compression.value,
        "signals": ["logs", "traces", "metrics"],
        "batches": 3,
        "records": {batch.signal.value: batch.framing.record_count for batch in batches},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "policy": {"raw": False, "config_sha256": "c" * 64, "rules": "r" * 8},
        "closed": True,
    }


def test_the_time_span_is_of_the_records(tmp_path: Path) -> None:
    """The metadata has the earliest and the latest record time over all batches."""
    writer = begun(tmp_path / "r")
    for time in (7, 3, 0, 5):
        request = logs(["x"])
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        record.time_unix_nano = time
        record.observed_time_unix_nano = 0
        writer.append(Batch(Signal.LOGS, request.SerializeToString()))
    writer.close()

    metadata = read_metadata(tmp_path / "r")
    assert metadata is not None
    assert (metadata.first_unix_nano, metadata.last_unix_nano) == (3, 7)
    assert metadata.only_signal is Signal.LOGS


def test_a_file_that_was_not_closed_says_so(tmp_path: Path) -> None:
    """The metadata is there from the beginning, and tells the policy of a killed recording."""
    writer = begun(tmp_path / "r", Policy(raw=True))
    writer.append(LOG)
    writer.flush()

    metadata = read_metadata(tmp_path / "r")
    assert metadata is not None
    assert (metadata.closed, metadata.policy.raw) == (False, True)
    assert len(read_all((tmp_path / "r").read_bytes())[0]) == 1
    writer.close()


def test_a_raw_recording_is_for_nobody_else(tmp_path: Path) -> None:
    """It and its metadata have mode 0600; that of a redacted one may be read by the group."""
    former = os.umask(0)
    try:
        begun(tmp_path / "raw", Policy(raw=True)).close()
        begun(tmp_path / "redacted").close()
    finally:
        os.umask(former)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {
        "raw": 0o600,
        "raw.metadata.json": 0o600,
        "redacted": 0o640,
        "redacted.metadata.json": 0o640,
    }


def test_nothing_that_is_there_is_written_to(tmp_path: Path) -> None:
    """A file, a link (a dangling one too) and a pipe are refused, and stay as they are."""
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")

    for name in ("file", "link", "dangling", "pipe"):
        with pytest.raises(FileExistsError):
            begun(tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()


def test_metadata_is_not_written_through_a_link(tmp_path: Path) -> None:
    """A link where the metadata goes is replaced, not followed."""
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "r.metadata.json").symlink_to(tmp_path / "victim")
    (tmp_path / "r.metadata.json.new").symlink_to(tmp_path / "victim")

    begun(tmp_path / "r").close()

    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert read_metadata(tmp_path / "r") is not None


def test_a_full_disk_leaves_whole_messages_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """What does not fit is refused as a whole; the same file takes more when there is room."""
    disk = tmp_path / "disk"
    with mounted(disk, MIB):
        path = disk / "r"
        writer = begun(path)
        writer.append(LOG)
        writer.flush()
        fill(disk / "filler")
        large = Batch(Signal.LOGS, logs(["x" * 300_000]).SerializeToString())
        writer.append(LOG)
        writer.append(large)
        with pytest.raises(OSError, match="No space left"):
            writer.flush()
        assert not writer.is_broken
        assert path.stat().st_size == len(LOG.payload) + 4
        (disk / "filler").unlink()
        writer.append(large)
        writer.close()

        content = path.read_bytes()
        found, flaws = read_all(content)
        assert flaws == []
        assert [item.batch.payload for item in found] == [LOG.payload, large.payload]
        metadata = read_metadata(path)
        assert metadata is not None
        assert metadata.sha256 == hashlib.sha256(content).hexdigest()
        assert metadata.records == {Signal.LOGS: 3}


def test_a_file_that_was_removed_is_noticed(tmp_path: Path) -> None:
    """What is flushed into a file without a name is not on disk for anybody."""
    writer = begun(tmp_path / "r")
    (tmp_path / "r").unlink()
    writer.append(LOG)

    with pytest.raises(FileNotFoundError):
        writer.flush()
    assert writer.is_broken
    writer.close()


def test_a_message_that_is_too_long_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by itself, and the next one is written."""
    monkeypatch.setattr("tapeline.recorded.forms.MAX_MESSAGE_BYTES", len(LOG.payload))
    writer = begun(tmp_path / "r")
    with pytest.raises(MessageError):
        writer.append(Batch(Signal.LOGS, LOG.payload + LOG.payload))
    writer.append(LOG)
    writer.close()

    assert len(read_all((tmp_path / "r").read_bytes())[0]) == 1


def test_metadata_that_is_not_there_is_none(tmp_path: Path) -> None:
    """A recording of the collector has none."""
    assert read_metadata(tmp_path / "collector.jsonl") is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"closed": "yes"},
        {"records": {}},
        {"signals": ["profiles"]},
        {"batches": -1},
        {"sha256": ""},
        {"policy": None},
        {"first_unix_nano": "soon"},
    ],
)
def test_metadata_that_was_tampered_with_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """The message names the file."""
    writer = begun(tmp_path / "r")
    writer.append(LOG)
    writer.close()
    beside = tmp_path / "r.metadata.json"
    beside.write_text(json.dumps(metadata_of(tmp_path / "r") | change), encoding="utf-8")

    with pytest.raises(MetadataError, match=str(beside)):
        read_metadata(tmp_path / "r")


def test_hostile_metadata_ends_quickly(tmp_path: Path) -> None:
    """Nests of lists, gigabytes and pipes are refused."""
    beside = tmp_path / "r.metadata.json"
    for content in (b"[" * 100_000, b" " * 2_000_000, b"\xff\xfe", b"{}", b"[]", b"1" * 5000):
        beside.write_bytes(content)
        with pytest.raises(MetadataError):
            read_metadata(tmp_path / "r")
    beside.unlink()
    os.mkfifo(beside)
    with pytest.raises(OSError, match="not a regular file"):
        read_metadata(tmp_path / "r")
