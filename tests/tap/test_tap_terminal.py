"""`tapeline tap` where something is wrong: what it says, and its exit code."""

import socket
from pathlib import Path

import pytest

from one_answer import answering
from tapeline.cli import main

TOKEN = "0123456789abcdef" * 2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    """A file with a token."""
    path = tmp_path / "token"
    path.write_text(f"# mine\n\n{TOKEN}\n", encoding="ascii")
    return str(path)


@pytest.mark.parametrize("content", [None, "", "# nothing\n", "t\xf6ken"])
def test_a_token_file_that_holds_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    """Said before anything is asked, and without the token."""
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["tap", "--token-file", str(path)]) == 2
    told = capsys.readouterr().err
    assert "tapeline tap:" in told
    assert "t\xf6ken" not in told


def test_an_address_that_is_none_is_wrong_usage(
    token_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """HOST:PORT it must be."""
    assert main(["tap", "--token-file", token_file, "--admin", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_gate_that_is_away_is_named(token_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what the machine says of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert main(["tap", "--token-file", token_file, "--admin", address]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"{address} does not answer: " in told


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (HEAD, "ended the stream"),
        (HEAD + b"event: record\ndata: {broken\n\n", "does not answer"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\ntoo\x1b[31many", "refused (503)"),
        (b"nonsense\r\n\r\n", "does not answer"),
    ],
)
def test_what_is_no_stream_of_a_tap_ends_it(
    token_file: str, capsys: pytest.CaptureFixture[str], answer: bytes, reason: str
) -> None:
    """With exit code 1, and without control characters of whoever answered."""
    with answering(answer) as address:
        assert main(["tap", "--token-file", token_file, "--admin", address]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert reason in told
    assert "\x1b" not in told


def test_what_was_left_out_is_told_at_the_end(
    token_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In plain words."""
    counts = b'{"passed": 1200, "shown": 3, "left_out": 1100, "not_examined": 0, "withheld": 7}'
    with answering(HEAD + b"event: counts\ndata: " + counts + b"\n\n") as address:
        main(["tap", "--token-file", token_file, "--admin", address])
    told = capsys.readouterr().err
    assert "1,100 of 1,200 records wanted, but beyond the rate" in told
    assert "7 of 1,200 records withheld" in told
    assert "not looked at" not in told
