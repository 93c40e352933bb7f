"""The files of the collector's `file` exporter: read in every form, and ours are of the same form.

The exporter is run in its four configurations, and in the two of its native compression (a feature
gate), with and without rotation.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import zstandard

from otlp_client import logs, send
from ports import free_port
from recorded_files import read_all
from sdk_requests import sdk_request
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recording.comparison import compare
from tapeline.stack.binaries import require
from waiting import eventually

pytestmark = pytest.mark.stack

PLAIN = Compression.NONE
EXPORTERS: dict[str, dict[str, object]] = {
    "json": {"format": "json"},
    "json-zstd": {"format": "json", "compression": "zstd"},
    "proto": {"format": "proto"},
    "proto-zstd": {"format": "proto", "compression": "zstd"},
    "json-rotated": {"format": "json", "compression": "zstd", "rotation": {"max_megabytes": 1}},
    "proto-rotated": {"format": "proto", "compression": "zstd", "rotation": {"max_megabytes": 1}},
}
SENT = [sdk_request(signal) for signal in Signal] + [logs(["two\nlines", "\N{SNOWMAN}" * 1000])]
BATCHES = [
    Batch(signal, request.SerializeToString())
    for signal, request in zip((*Signal, Signal.LOGS), SENT, strict=True)
]


@contextmanager
def collector(folder: Path, append: Mapping[str, object], *arguments: str) -> Iterator[str]:
    """Run a collector that writes all signals to a file for each exporter; yield its address."""
    port = free_port()
    exporters = {
        f"file/{name}": {"path": str(folder / name), "flush_interval": "100ms", **config, **append}
        for name, config in EXPORTERS.items()
        if not (append and "rotation" in config)
    }
    pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {signal.value: pipeline for signal in Signal},
        },
    }
    path = folder / "collector.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = [str(require("collector")), "--config", str(path), *arguments]
    with (
        (folder / "collector.log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def written_by_collector(folder: Path, *arguments: str, append: bool = False) -> None:
    """Let a collector write what is sent to it."""
    with collector(folder, {"append": True} if append else {}, *arguments) as address:
        eventually(lambda: _answers(address))
        for request in SENT:
            send(address, request)


def _answers(address: str) -> bool:
    """Tell whether the collector takes OTLP: a request without records leaves no trace."""
    try:
        send(address, logs([]), timeout_s=1)
    except grpc.RpcError:
        return False
    return True


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the exporter as it is by default."""
    folder = tmp_path_factory.mktemp("files")
    written_by_collector(folder)
    return folder


@pytest.fixture(name="native", scope="module")
def _native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the exporter with native compression."""
    folder = tmp_path_factory.mktemp("native")
    written_by_collector(folder, "--feature-gates=exporter.file.nativeCompression")
    return folder


def batches_of(content: bytes) -> list[Batch]:
    """Return what a file holds; it must be without a flaw."""
    found, flaws = read_all(content)
    assert flaws == []
    return [item.batch for item in found]


@pytest.mark.parametrize("name", EXPORTERS)
def test_files_of_the_collector_are_read(name: str, files: Path) -> None:
    """All three signals out of one file, and they say what was sent."""
    batches = batches_of((files / name).read_bytes())

    assert [batch.signal for batch in batches] == [batch.signal for batch in BATCHES]
    assert compare(BATCHES, batches).is_same


@pytest.mark.parametrize("name", EXPORTERS)
def test_natively_compressed_files_are_read(name: str, native: Path) -> None:
    """Streams of zstd frames, one a flush or one a message."""
    content = (native / name).read_bytes()

    assert content.startswith(b"\x28\xb5\x2f\xfd") is ("compression" in EXPORTERS[name])
    assert compare(BATCHES, batches_of(content)).is_same


def test_a_file_that_was_appended_to_in_another_form_is_read(tmp_path: Path) -> None:
    """`append: true`, and the feature gate turned on between two runs of the collector."""
    written_by_collector(tmp_path, append=True)
    written_by_collector(tmp_path, "--feature-gates=exporter.file.nativeCompression", append=True)

    for name in ("json", "json-zstd", "proto", "proto-zstd"):
        batches = batches_of((tmp_path / name).read_bytes())
        assert compare([*BATCHES, *BATCHES], batches).is_same


def test_our_protobuf_is_the_collectors_byte_for_byte(files: Path) -> None:
    """What was read from its file, written by us, is its file again."""
    content = (files / "proto").read_bytes()
    encode = encoder(Format.PROTO, PLAIN)

    assert b"".join(map(encode, batches_of(content))) == content


def test_our_lines_are_of_the_collectors_form(files: Path) -> None:
    """One request a line: the same documents, but for what is empty and the order of fields."""
    content = (files / "json").read_bytes()
    encode = encoder(Format.JSON, PLAIN)
    ours = b"".join(map(encode, batches_of(content)))

    lines = [content.splitlines(keepends=True), ours.splitlines(keepends=True)]
    assert len(lines[0]) == len(lines[1]) == len(BATCHES)
    for theirs, own in zip(*lines, strict=True):
        assert (theirs[:1], theirs[-2:]) == (own[:1], own[-2:]) == (b"{", b"}\n")
        assert without_empty(json.loads(theirs)) == without_empty(json.loads(own))


def without_empty(value: object) -> object:
    """Return a JSON value without members that say nothing: an empty scope, a text of nothing."""
    if isinstance(value, dict):
        members = {key: without_empty(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member not in ({}, [], "", 0)}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


@pytest.mark.parametrize("form", list(Format))
def test_our_compressed_messages_are_of_the_collectors_form(form: Format, files: Path) -> None:
    """A length, then one frame with a checksum and the size of its content, without a newline."""
    content = (files / f"{form}-zstd").read_bytes()
    encode = encoder(form, Compression.ZSTD)
    ours = b"".join(map(encode, batches_of(content)))

    frames = [list(framed(content)), list(framed(ours))]
    assert len(frames[0]) == len(frames[1]) == len(BATCHES)
    for theirs, own in zip(*frames, strict=True):
        headers = [zstandard.get_frame_parameters(frame) for frame in (theirs, own)]
        assert [header.has_checksum for header in headers] == [True, True]
        contents = [zstandard.decompress(frame) for frame in (theirs, own)]
        assert [header.content_size for header in headers] == [len(each) for each in contents]
        if form is Format.PROTO:
            assert contents[0] == contents[1]
        else:
            assert not any(each.endswith(b"\n") for each in contents)


def framed(content: bytes) -> Iterator[bytes]:
    """Yield each message of a file by the plain rule: four bytes of length, then the message."""
    position = 0
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        yield content[position + 4 : position + 4 + length]
        position += 4 + length
    assert position == len(content)
