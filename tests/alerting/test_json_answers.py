"""What a server answers, or in words why there is no answer: never another exception."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tapeline.alerting.json_answers import NoAnswerError, RefusedError, ask

HOST = "127.0.0.1"


@contextmanager
def answering(text: bytes) -> Iterator[str]:
    """Give the address of a server that says this once, to whatever it is asked, and hangs up."""
    with socket.create_server((HOST, 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(text)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://{HOST}:{server.getsockname()[1]}/x"
        thread.join(timeout=10)


def _http(status: str, length: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(("body", "expected"), [(b'{"a": [1]}', {"a": [1]}), (b"", None)])
def test_an_answer_is_its_json(body: bytes, expected: object) -> None:
    """None where it is empty, as after an alert was taken."""
    with answering(_http("200 OK", len(body), body)) as url:
        assert ask(url, 5.0) == expected


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        (_http("400 Bad Request", 3, b"bad"), RefusedError, r"^\(400\): bad$"),
        (_http("500 Oh", 100, b"cut"), RefusedError, r"^\(500\): no reason was given$"),
        (_http("200 OK", 5, b"hello"), NoAnswerError, "Expecting value"),
        (_http("200 OK", 100, b"{"), NoAnswerError, "IncompleteRead"),
        (b"SSH-2.0-OpenSSH\r\n", NoAnswerError, "SSH-2.0-OpenSSH"),
        (b"", NoAnswerError, "closed connection"),
    ],
)
def test_what_is_no_answer_is_said(text: bytes, error: type[Exception], told: str) -> None:
    """Refused with the server's words; cut short, no JSON, or not HTTP at all."""
    with answering(text) as url, pytest.raises(error, match=told):
        ask(url, 5.0)


@pytest.mark.parametrize("url", [f"http://{HOST}:1/", "http://127.0.0.1:abc/", "nowhere"])
def test_an_address_where_nobody_answers_is_said(url: str) -> None:
    """Refused connections, and what is no address."""
    with pytest.raises(NoAnswerError, match=r"refused|nonnumeric|unknown url"):
        ask(url, 5.0)
