"""The inbox as a process: what it takes, what it serves, and what it tells a browser."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tapeline.alerting import inbox as module
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack

BODY: dict[str, Any] = {
    "version": "4",
    "receiver": "team",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "First", "severity": "critical"},
            "annotations": {"summary": "so it is"},
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "00",
        }
    ],
}


@pytest.fixture(name="port", scope="module")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    ports = Ports.free()
    with Stack(tmp_path_factory.mktemp("inbox") / "run", ports, servers=("inbox",)):
        yield ports.inbox


def ask(
    port: int, path: str, body: bytes | None = None, content_type: str = "application/json"
) -> tuple[int, http.client.HTTPMessage, str]:
    """Return status, headers and text of an answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    headers = {} if body is None else {"Content-Type": content_type}
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def test_a_notification_is_taken_and_told(port: int) -> None:
    """By its receiver's address; newest first, on the page and as JSON, picked by name."""
    assert ask(port, "/receivers/slack-critical", json.dumps(BODY).encode())[0] == 200
    later = {**BODY["alerts"][0], "labels": {"alertname": "Second"}}
    changed = {**BODY, "alerts": [later]}
    assert ask(port, "/receivers/slack-info", json.dumps(changed).encode())[0] == 200
    told = json.loads(ask(port, "/api/alerts")[2])
    assert [(one["receiver"], one["labels"]["alertname"]) for one in told["alerts"]] == [
        ("slack-info", "Second"),
        ("slack-critical", "First"),
    ]
    assert told["received"] == 2
    picked = json.loads(ask(port, "/api/alerts?alertname=First&status=firing")[2])["alerts"]
    assert [one["labels"]["alertname"] for one in picked] == ["First"]
    assert json.loads(ask(port, "/api/alerts?status=resolved")[2])["alerts"] == []
    status, headers, text = ask(port, "/")
    assert status == 200
    assert text.index("Second") < text.index("First")
    assert "script-src" not in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (json.dumps(BODY).encode(), "text/plain", 415),
        (json.dumps(BODY).encode(), "application/x-www-form-urlencoded", 415),
        (b" " * (9 * 1024 * 1024), "application/json", 413),
    ],
)
def test_what_is_no_notification_is_refused(
    port: int, body: bytes, content_type: str, status: int
) -> None:
    """With the reason; and what a page of another site could post is not taken."""
    before = json.loads(ask(port, "/api/alerts")[2])
    assert ask(port, "/receivers/x", body, content_type)[0] == status
    after = json.loads(ask(port, "/api/alerts")[2])
    assert after["received"] == before["received"]
    assert after["refused"] == before["refused"] + 1


def test_runbooks_are_served_by_name_only(port: int) -> None:
    """Each of the folder, and nothing outside of it."""
    names = sorted(path.stem for path in (SOURCE_ROOT / "docs" / "runbooks").glob("*.md"))
    assert names
    status, _, text = ask(port, f"/runbooks/{names[0]}")
    assert status == 200
    assert f"<h1>{names[0]}</h1>" in text
    assert ask(port, f"/runbooks/{names[0]}.md")[0] == 200
    for path in ("NoSuchAlert", "..%2foperations", "../operations.md", "%2fetc%2fpasswd", "a%00b"):
        assert ask(port, f"/runbooks/{path}")[0] == 404, path


def test_it_tells_that_it_is_ready(port: int) -> None:
    """For the stack's table, compose and doctor."""
    for path in ("/health", "/health/live", "/health/ready"):
        assert ask(port, path)[0] == 200


def test_a_taken_or_wrong_address_is_said(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a traceback."""
    assert module.main([f"--listen={HOST}:{port}"]) == 1
    assert f"{HOST}:{port} can't be listened on" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        module.main(["--listen=nowhere"])
    assert "HOST:PORT" in capsys.readouterr().err
