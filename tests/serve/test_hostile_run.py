"""After a hostile run no secret is in anything that Tapeline writes about itself."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from fake_secrets import SHAPES, seeded
from planting import nested_lists, plant_attribute, plant_text, request_of
from ports import free_port
from strategies import disguise
from tapeline.otlp.fields import FIELDS, Kind
from tapeline.otlp.json_lines import request_to_json
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from waiting import eventually

MARK = "Zq7"
"""What every secret of the run begins with, or holds; nothing else does."""

SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"
GATE_TOKEN = "Zq7GateToken0x8Kd0wLmV4tR1sPq"
TRACES = {
    MARK.encode(),
    MARK.encode().hex().encode(),
    *(base64.b64encode(b"x" * shift + SECRET.encode())[4:20] for shift in range(3)),
}
"""A secret as it may show: in the clear, in hexadecimal, in base64 at any offset."""

METADATA = (
    ("authorization", f"Bearer {GATE_TOKEN}"),
    ("x-api-key", SECRET),
    ("cookie", f"session={SECRET}"),
)


def _requests(kind: Signal, word: str) -> Iterator[bytes]:
    """Yield requests with secrets in every field: whole, disguised, cut, broken, too deep."""
    request: Any = request_of(kind)
    for number, row in enumerate(row for row in FIELDS if row.signal is kind):
        for template, make in SHAPES.values():
            plant_text(request, row, f"{word} {template.format(make(seeded(number)))}")
        plant_text(request, row, f"{word} password={SECRET}")
        if row.kind in {Kind.ATTRIBUTES, Kind.ANY_VALUE}:
            plant_attribute(request, row, "password", AnyValue(string_value=SECRET))
            plant_attribute(request, row, f"?password={SECRET}", AnyValue(int_value=1))
    whole = bytes(request.SerializeToString())
    yield whole
    yield disguise(request, seeded(1))
    yield whole[:-7]
    yield whole.replace(b"password=", b"password\xff")
    yield whole + b"\xfa\x3f\x20password=" + SECRET.encode()[:23]
    yield f"password={SECRET}".encode()
    deep: Any = request_of(kind)
    for row in FIELDS:
        if row.signal is kind and row.kind is Kind.ATTRIBUTES:
            value = nested_lists(AnyValue(string_value=f"password={SECRET}"), 40)
            plant_attribute(deep, row, "x", value)
    yield bytes(deep.SerializeToString())
    long: Any = request_of(kind)
    plant_text(
        long, next(row for row in FIELDS if row.signal is kind), f"password={SECRET} " * 4_000
    )
    yield bytes(long.SerializeToString())


def _get(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return bytes(error.read())


def _send(port: int, random: Random) -> list[bytes]:
    """Send it all, with and without a valid token; return what the gate answered in words."""
    said: list[bytes] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for kind in Signal:
            call: Any = channel.unary_unary(EXPORT_METHODS[kind])
            for word in ("fine", "explode"):
                for payload in _requests(kind, word):
                    metadata = METADATA if random.random() < 0.9 else METADATA[1:]
                    # As often as it takes to be given up.
                    for _ in range(3 if word == "explode" else 1):
                        try:
                            said.append(call(payload, timeout=30, metadata=metadata))
                        except grpc.RpcError as error:
                            said.append(repr(error).encode())
                            trailing: Any = error.trailing_metadata() or ()
                            said.append(repr(tuple(trailing)).encode())
    return said


def _config(folder: Path, port: int, admin_port: int, chain: list[str], mode: str) -> Path:
    (folder / "tokens").write_text(f"{GATE_TOKEN}\n", encoding="utf-8")
    (folder / "key").write_text(f"Zq7{'k' * 64}\n", encoding="utf-8")
    document = {
        "server": {
            "listen": f"127.0.0.1:{port}",
            "max_attempts": 2,
            "max_message_mib": 2,
            "quarantine": {"folder": str(folder / "quarantine")},
            "auth": {"token_file": str(folder / "tokens")},
            "forward_metadata": ["x-api-key", "cookie"],
        },
        "downstream": {"endpoint": "discard"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "chain": {kind.value: chain for kind in Signal},
        "redaction": {
            "mode": mode,
            "hmac_key_file": str(folder / "key"),
            "audit_lines_per_minute": 6000,
            "deny": {"values": [SECRET]},
        },
    }
    path = folder / "gate.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    return path


def _written(folder: Path, inputs: set[Path]) -> dict[str, bytes]:
    """Return every file of the run that the test itself did not write."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path not in inputs
    }


def _leaks(written: dict[str, bytes]) -> list[str]:
    return [
        f"{name}: {trace!r} in …{content[max(0, content.find(trace) - 80) :][:160]!r}…"
        for name, content in written.items()
        for trace in TRACES
        if trace in content
    ]


@pytest.mark.parametrize(
    "content",
    [
        f"x {SECRET} y".encode(),
        SECRET.encode().hex().encode(),
        *(base64.b64encode(b"y" * shift + SECRET.encode()) for shift in range(3)),
    ],
)
def test_the_search_is_not_blind(content: bytes) -> None:
    """It finds a secret in each form in which it might show."""
    assert _leaks({"log": content})
    assert not _leaks({"log": b"redaction: rule=password path=resource_logs[]"})


@pytest.mark.parametrize(
    ("chain", "mode"),
    [(["loudmouth", "redaction"], "enforce"), (["redaction", "loudmouth"], "observe")],
)
def test_no_secret_is_in_what_a_gate_writes_about_itself(
    tmp_path: Path, chain: list[str], mode: str
) -> None:
    """Log, metrics, health, answers, quarantine: of requests that pass, fail, or are no requests.

    Also of a reload with a mistake next to a secret, and of a crash that dumps every thread.
    """
    port, admin_port = free_port(), free_port()
    config = _config(tmp_path, port, admin_port, chain, mode)
    inputs = {config, tmp_path / "tokens", tmp_path / "key"}
    log = tmp_path / "gate.log"
    state = tmp_path / "state"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "hostile_gate", "serve", "--config", str(config)],
            cwd=Path(__file__).parent,
            env=os.environ | {"TAPELINE_STATE_DIR": str(state), "GATE_PASSWORD": SECRET},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(
                lambda: _get(admin_port, "/health/ready") == b"ready\n" or _ready(admin_port)
            )
            said = _send(port, seeded(7))
            config.write_text(
                config.read_text().replace('"discard"', '"${env:GATE_PASSWORD}"'), encoding="utf-8"
            )
            process.send_signal(signal.SIGHUP)
            eventually(lambda: b"gate.yaml" in log.read_bytes())
            pages = [_get(admin_port, path) for path in ("/metrics", "/health", "/nothing")]
            process.send_signal(signal.SIGABRT)
            process.wait(30)
        finally:
            process.kill()
            process.wait(30)

    written = _written(tmp_path, inputs)
    written |= {f"answer {number}": answer for number, answer in enumerate(said)}
    written |= {f"page {number}": page for number, page in enumerate(pages)}
    assert _leaks(written) == []
    # The run was as hostile as it says: something passed, failed, was given up and was refused.
    text = log.read_text(encoding="utf-8")
    assert "the chain failed on a" in text
    assert "redaction: rule=" in text
    assert "Fatal Python error: Aborted" in text
    assert any(name.startswith("quarantine/") for name in written)
    metrics = pages[0].decode()
    assert "tapeline_redaction_hits_total{" in metrics
    assert 'outcome="refused"' in metrics
    assert any(b"refuses this client" in answer for answer in said)
    assert any(b"INVALID_ARGUMENT" in answer for answer in said)


def _ready(admin_port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/health/ready", timeout=5) as answer:
        return bool(answer.status == 200)


def test_no_secret_is_in_what_the_commands_say(tmp_path: Path) -> None:
    """`process` on broken recordings and `check` on a broken file name places, never content."""
    recording = tmp_path / "in.jsonl"
    lines = [request_to_json(kind, next(_requests(kind, "fine"))) for kind in Signal]
    lines += [line[:-9] for line in lines] + [f'{{"password": "{SECRET}"}}'.encode()]
    recording.write_bytes(b"\n".join(lines))
    config = tmp_path / "gate.yaml"
    config.write_text("redaction: {mode: enforce}\n", encoding="utf-8")
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "redaction: {mode: '${env:GATE_PASSWORD}', hmac_key_file: 'x', rules: ['${GATE_PASSWORD}'],"
        " disable: ['${env:GATE_PASSWORD}'], deny: {keys: ['${env:GATE_PASSWORD}', ''],"
        " values: ['${env:GATE_PASSWORD}é']}}\n",
        encoding="utf-8",
    )

    runs = [
        subprocess.run(
            [sys.executable, "-m", "tapeline.cli", *arguments],
            env=os.environ | {"GATE_PASSWORD": SECRET},
            capture_output=True,
            timeout=120,
            check=False,
        )
        for arguments in (
            ["process", "--config", str(config), str(recording)],
            ["check", "--config", str(broken)],
            ["check", "--config", str(broken), "--json"],
            ["serve", "--config", str(broken)],
        )
    ]

    assert [run.returncode for run in runs] == [1, 2, 2, 2]
    outputs = {f"{n}": run.stdout + run.stderr for n, run in enumerate(runs)}
    assert all(outputs.values())
    assert _leaks(outputs) == []
