"""What a server answers, or in words why there is no answer: never another exception."""

import pytest

from one_answer import answering
from ports import HOST
from tapeline.alerting.json_answers import NoAnswerError, RefusedError, ask


def _http(status: str, length: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(("body", "expected"), [(b'{"a": [1]}', {"a": [1]}), (b"", None)])
def test_an_answer_is_its_json(body: bytes, expected: object) -> None:
    """None where it is empty, as after an alert was taken."""
    with answering(_http("200 OK", len(body), body)) as address:
        assert ask(f"http://{address}/x", 5.0) == expected


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
    with answering(text) as address, pytest.raises(error, match=told):
        ask(f"http://{address}/x", 5.0)


@pytest.mark.parametrize("url", [f"http://{HOST}:1/", "http://127.0.0.1:abc/", "nowhere"])
def test_an_address_where_nobody_answers_is_said(url: str) -> None:
    """Refused connections, and what is no address."""
    with pytest.raises(NoAnswerError, match=r"refused|nonnumeric|unknown url"):
        ask(url, 5.0)
