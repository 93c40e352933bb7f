"""`tapeline record`: what was acknowledged is on disk, redacted, whatever happens then."""

import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from fake_secrets import secret_text, seeded
from otlp_client import logs, send
from recorded_files import FORMS, metadata_of
from recording_process import Recording, bodies_in, files_in, post, recording, requests_in
from sdk_requests import sdk_request
from small_disk import MIB, fill, mounted
from tapeline.otlp.json_lines import request_to_json
from tapeline.otlp.signals import Signal
from tapeline.recorded.forms import Compression, Format
from waiting import eventually

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
SECRET = secret_text(seeded(7))
WITH_SECRET = f"login with pass{'word'}={SECRET} refused"


@pytest.fixture(name="running")
def _running(tmp_path: Path) -> Iterator[Recording]:
    """A raw recording of JSON lines into the folder `out`: one that starts fast."""
    with recording(tmp_path / "out", tmp_path / "said", "--raw") as running:
        yield running


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a recording that is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "record", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_all_signals_come_by_grpc(form: Format, compression: Compression, tmp_path: Path) -> None:
    """In each form the requests that an SDK sent are in the file, and the metadata counts them."""
    options = ("--raw", "--format", form.value, "--compression", compression.value)
    sent = [sdk_request(each) for each in Signal]
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        for request in sent:
            send(running.grpc, request)
        assert running.end() == 0

    (path,) = files_in(tmp_path / "out")
    found, flaws = requests_in(path)
    assert flaws == []
    assert found == sent
    metadata = metadata_of(path)
    assert (metadata["closed"], metadata["batches"]) == (True, 3)
    assert "recorded 7 log records, 2 spans" in (tmp_path / "said").read_text(encoding="utf-8")


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_all_signals_come_by_http(
    content_type: str, zipped: object, running: Recording, tmp_path: Path
) -> None:
    """Both encodings, compressed or not, on the paths of OTLP/HTTP."""
    sent = [sdk_request(each) for each in Signal]
    for each, request in zip(Signal, sent, strict=True):
        payload = request.SerializeToString()
        body = request_to_json(each, payload) if content_type == JSON else payload
        status, answer, _ = post(
            running.http, f"/v1/{each}", body, content_type, zipped=bool(zipped)
        )
        assert (status, answer) == (200, b"{}" if content_type == JSON else b"")
    assert running.end() == 0

    (path,) = files_in(tmp_path / "out")
    assert requests_in(path) == (sent, [])


def test_http_answers_in_the_encoding_of_the_request(running: Recording) -> None:
    """What can't succeed is 400, with a status that says why and quotes nothing."""
    status, body, _ = post(running.http, "/v1/logs", b"\x0a\x7f" + SECRET.encode(), PROTOBUF)
    assert status == 400
    assert Status.FromString(body).code == 3
    assert SECRET.encode() not in body

    status, body, _ = post(running.http, "/v1/logs", b'{"resourceLogs": "%b"}' % b"x", JSON)
    assert status == 400
    assert "resourceLogs: must be a list" in json.loads(body)["message"]


@pytest.mark.parametrize(
    ("path", "body", "content_type", "expected"),
    [
        ("/v1/logs", b"{}", "text/plain", 415),
        ("/v1/logs", b"not json", JSON, 400),
        ("/v1/traces", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}', JSON, 400),
        ("/v1/profiles", b"{}", JSON, 404),
        ("/v1/logs", b"", PROTOBUF, 200),
        ("/v1/logs", b"{}", JSON, 200),
    ],
)
def test_http_answers_odd_requests(
    path: str, body: bytes, content_type: str, expected: int, running: Recording
) -> None:
    """Each gets the status that OTLP/HTTP has for it."""
    assert post(running.http, path, body, content_type)[0] == expected


def test_a_bomb_over_http_is_refused_in_bounded_memory(running: Recording) -> None:
    """A body that decompresses to half a gigabyte is 413, and is not held in memory."""
    status, _, _ = post(running.http, "/v1/logs", bytes(1 << 29), PROTOBUF, zipped=True)

    assert status == 413
    kernel = Path(f"/proc/{running.process.pid}/status").read_text(encoding="utf-8")
    peak_kib = next(int(line.split()[1]) for line in kernel.splitlines() if "VmHWM" in line)
    assert peak_kib < 400 * 1024


def test_a_body_that_is_not_what_it_says_is_refused(running: Recording) -> None:
    """A damaged gzip body is the sender's mistake."""
    host, port = running.http.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Content-Encoding: gzip\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot gzip!"
        )
        assert b" 400 " in connection.recv(1000).splitlines()[0]


def test_what_is_written_was_redacted(tmp_path: Path) -> None:
    """By the built-in rules, where nothing else is said, over both protocols."""
    body = request_to_json(Signal.LOGS, logs([WITH_SECRET]).SerializeToString())
    with recording(tmp_path / "out", tmp_path / "said") as running:
        send(running.grpc, logs([WITH_SECRET]))
        assert post(running.http, "/v1/logs", body, JSON)[0] == 200
        assert running.end() == 0

    (path,) = files_in(tmp_path / "out")
    assert SECRET.encode() not in path.read_bytes()
    assert bodies_in(path) == [f"login with pass{'word'}=[REDACTED:password] refused"] * 2
    policy = metadata_of(path)["policy"]
    assert isinstance(policy, dict)
    assert policy["raw"] is False
    assert len(policy["config_sha256"]) == len(policy["rules"]) == 64


def test_rules_of_a_configuration_are_enforced(tmp_path: Path) -> None:
    """Its rules count, and its observing and its exempted services do not."""
    config = tmp_path / "gate.yaml"
    config.write_text(
        "redaction:\n  mode: observe\n  deny: {values: [Gravelotte]}\n"
        "  allow: {services: [legacy]}\n  signals: {logs: {mode: observe}}\n",
        encoding="utf-8",
    )
    options = ("--config", str(config))
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        send(running.grpc, logs([f"Gravelotte {WITH_SECRET}"], {"service.name": "legacy"}))
        assert running.end() == 0

    content = files_in(tmp_path / "out")[0].read_bytes()
    assert b"Gravelotte" not in content
    assert SECRET.encode() not in content


def test_a_raw_recording_is_asked_for_and_says_so(tmp_path: Path) -> None:
    """It holds what came in, is for its owner alone, and the metadata tells."""
    sent = logs([WITH_SECRET])
    options = ("--raw", "--format", "proto")
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        send(running.grpc, sent)
        assert running.end() == 0
        assert running.said.count("RAW: what arrives is written as it is, secrets included") == 1

    (path,) = files_in(tmp_path / "out")
    assert path.read_bytes()[4:] == sent.SerializeToString()
    for each in (path, path.with_name(path.name + ".metadata.json")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert metadata_of(path)["policy"] == {"raw": True, "config_sha256": "", "rules": ""}


def test_killed_it_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    """Every acknowledged body is in the file, which opens; a restart goes on in a new one."""
    out = tmp_path / "out"
    acknowledged: list[str] = []
    with recording(out, tmp_path / "said", "--raw", "--format", "proto") as running:
        stop = threading.Event()

        def send_on(sender: int) -> None:
            number = 0
            while not stop.is_set():
                body = f"{sender}-{number}"
                try:
                    send(running.grpc, logs([body]), timeout_s=5)
                except grpc.RpcError:
                    return
                acknowledged.append(body)
                number += 1

        senders = [threading.Thread(target=send_on, args=(number,)) for number in range(4)]
        for sender in senders:
            sender.start()
        eventually(lambda: len(acknowledged) > 200)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(10)
        stop.set()
        for sender in senders:
            sender.join(20)

    (first,) = files_in(out)
    recorded = bodies_in(first)
    assert set(acknowledged) <= set(recorded)
    assert metadata_of(first)["closed"] is False
    with recording(out, tmp_path / "said again", "--raw", "--format", "proto") as running:
        send(running.grpc, logs(["after"]))
        assert running.end() == 0
    assert files_in(out)[0] == first
    assert bodies_in(*files_in(out)) == [*recorded, "after"]


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """UNAVAILABLE with a delay and 503, said once; what was acknowledged is whole, and no more."""
    disk = tmp_path / "disk"
    with mounted(disk, 4 * MIB):
        options = ("--raw", "--format", "proto")
        with recording(disk / "out", tmp_path / "said", *options) as running:
            send(running.grpc, logs(["before"]))
            fill(disk / "filler")
            large = logs(["x" * 100_000])
            for _ in range(3):
                with pytest.raises(grpc.RpcError) as refused:
                    send(running.grpc, large)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
                trailers = {item.key for item in refused.value.trailing_metadata()}
                assert "grpc-status-details-bin" in trailers
            status, _, headers = post(running.http, "/v1/logs", large.SerializeToString(), PROTOBUF)
            assert (status, headers["Retry-After"]) == (503, "1")
            (disk / "filler").unlink()
            send(running.grpc, logs(["after"]))
            assert running.end() == 1
            assert running.said.count("can't be written (No space left on device)") == 1
            assert running.said.count("the recording goes on") == 1
            assert "refused 4 batches that could not be written" in running.said

        (path,) = files_in(disk / "out")
        assert requests_in(path)[1] == []
        assert bodies_in(path) == ["before", "after"]
        assert metadata_of(path)["closed"] is True


def test_files_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    """`--rotate-size` in MiB, `--keep` in files."""
    options = ("--rotate-size", "1", "--keep", "2", "--raw", "--format", "proto")
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        for number in range(5):
            send(running.grpc, logs([f"{number}" * 1_100_000]))
        assert running.end() == 0

    assert [body[0] for body in bodies_in(*files_in(tmp_path / "out"))] == ["3", "4"]


def test_old_files_are_closed_though_nothing_comes(tmp_path: Path) -> None:
    """`--rotate-age` closes a file when it is old enough, not with the next batch."""
    options = ("--raw", "--rotate-age", "1s")
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        send(running.grpc, logs(["one"]))
        (path,) = files_in(tmp_path / "out")
        eventually(lambda: metadata_of(path)["closed"])
        running.end()


def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    """By signal, service and time; the rest is acknowledged, and counted."""
    options = ("--raw", "--signal", "logs", "--service", "orders", "--from", "2020-01-01T00:00:00Z")
    with recording(tmp_path / "out", tmp_path / "said", *options) as running:
        send(running.grpc, logs(["wanted"], {"service.name": "orders"}))
        send(running.grpc, logs(["of another"], {"service.name": "risk"}))
        old = logs(["old"], {"service.name": "orders"})
        old.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = 1
        send(running.grpc, old)
        send(running.grpc, sdk_request(Signal.TRACES))
        assert running.end() == 0
        assert "left out 4 records that were not selected" in running.said

    assert bodies_in(*files_in(tmp_path / "out")) == ["wanted"]


def test_one_file_is_written_where_out_is_one(tmp_path: Path) -> None:
    """A name with an ending is a file; it must not be there yet."""
    out = tmp_path / "session.jsonl"
    with recording(out, tmp_path / "said", "--raw") as running:
        send(running.grpc, logs(["one"]))
        assert running.end() == 0
    assert bodies_in(out) == ["one"]
    assert metadata_of(out)["closed"] is True

    again = run(
        str(out), "--raw", "--for", "1s", "--listen-http", "none", "--listen-grpc", "127.0.0.1:0"
    )
    assert again.returncode == 2
    assert "never written over" in again.stderr
    assert bodies_in(out) == ["one"]


def test_a_link_or_a_pipe_is_no_file_to_record_into(tmp_path: Path) -> None:
    """Nothing is written through a link, and no pipe is waited for."""
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in ("link.jsonl", "pipe.jsonl"):
        assert run(str(tmp_path / name), "--raw", "--for", "1s").returncode == 2
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"


def test_two_recordings_do_not_share_a_folder(running: Recording, tmp_path: Path) -> None:
    """The second is refused and says why; the first goes on."""
    ports = ("--raw", "--listen-grpc", "127.0.0.1:0", "--listen-http", "none")
    second = run(str(tmp_path / "out"), "--for", "5s", *ports)
    assert second.returncode == 1
    assert "another process records here" in second.stderr

    send(running.grpc, logs(["one"]))
    assert running.end() == 0


def test_a_taken_port_is_told(running: Recording, tmp_path: Path) -> None:
    """For either protocol, and nothing is left behind."""
    for option, other, taken in (
        ("--listen-grpc", "--listen-http", running.grpc),
        ("--listen-http", "--listen-grpc", running.http),
    ):
        ended = run(str(tmp_path / "other"), "--raw", option, taken, other, "none")
        assert ended.returncode == 1
        assert taken in ended.stderr

        # Nothing came: the name is free for the next try.
        ended = run(str(tmp_path / "one.jsonl"), "--raw", option, taken, other, "none")
        assert ended.returncode == 1
        assert not list(tmp_path.glob("one.jsonl*"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--listen-grpc", "none", "--listen-http", "none"), "nothing to listen on"),
        (("--listen-grpc", "http://localhost:1"), "scheme"),
        (("--rotate-size", "0"), "--rotate-size takes 1 or more"),
        (("--for", "soon"), "not a duration"),
        (("--keep", "-1"), "--keep takes 1 or more"),
        (("--rotate-age", "5"), "not a duration"),
        (("--rotate-age", "0s"), "above 0"),
        (("--from", "yesterday"), "is no time"),
        (("--raw", "--config", "gate.yaml"), "leave one out"),
        (("--config", "/nonexistent.yaml"), "nonexistent.yaml"),
    ],
)
def test_wrong_usage_is_told(options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    """Exit code 2, one line that says what to change, and no folder made."""
    ended = run(str(tmp_path / "out"), *options)

    assert ended.returncode == 2
    assert told in ended.stderr
    assert not (tmp_path / "out").exists()


def test_standard_output_is_no_place_for_a_recording() -> None:
    """OK means on disk, and nothing in a pipe is."""
    ended = run("-")

    assert ended.returncode == 2
    assert "not -" in ended.stderr


def test_rotation_of_one_file_is_refused(tmp_path: Path) -> None:
    """One file can't be several."""
    ended = run(str(tmp_path / "one.jsonl"), "--keep", "2")

    assert ended.returncode == 2
    assert "give a folder" in ended.stderr


def test_a_recording_ends_by_itself(tmp_path: Path) -> None:
    """`--for`, and a report even where nothing came."""
    ended = run(
        str(tmp_path / "out"),
        "--raw",
        "--for",
        "1s",
        "--listen-grpc",
        "127.0.0.1:0",
        "--listen-http",
        "none",
    )

    assert ended.returncode == 0
    assert "recorded 0 log records, 0 spans, 0 data points" in ended.stderr
    assert "\x1b" not in ended.stderr


def test_a_terminal_shows_what_came(tmp_path: Path) -> None:
    """On a terminal a line is drawn anew with the counts; elsewhere nothing is drawn."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "tapeline.cli", "record", str(tmp_path / "out"), "--raw"]
    ports = ["--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([*command, *ports], stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        try:
            while b"on 127.0.0.1" not in shown or b"(HTTP)" not in shown:
                shown += os.read(leader, 4096)
            address = re.search(rb"on (127\.0\.0\.1:\d+)", shown)
            assert address is not None
            send(address[1].decode(), logs(["one", "two"]))
            while b"2 log records, 0 spans" not in shown:
                shown += os.read(leader, 4096)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(leader)
    assert b"\x1b[" in shown
    assert b"records/s" in shown


def test_a_request_without_records_writes_nothing(running: Recording, tmp_path: Path) -> None:
    """It is acknowledged, and no message without a signal gets into a file."""
    for body in (b"", b"\x0a\x00"):
        assert post(running.http, "/v1/traces", body, PROTOBUF)[0] == 200
    running.end()

    assert files_in(tmp_path / "out") == []
