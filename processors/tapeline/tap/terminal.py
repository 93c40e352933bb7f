"""`tapeline tap`: the events of a gate's tap on a terminal, or as lines of JSON."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from rich.console import Console
from rich.text import Text

from tapeline.pipeline.addresses import parse_address
from tapeline.pipeline.markup import visible
from tapeline.pipeline.token_files import bearer_header, read_tokens
from tapeline.tap.feed import Kind

__all__ = ["TapRequest", "tap_command"]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
_SILENCE_S: Final = 15.0
"""The gate tells its counts every second."""
_MAX_LINE_BYTES: Final = 1024 * 1024
_MAX_REFUSAL_BYTES: Final = 1000
_COLOURS: Final = {"logs": "cyan", "traces": "magenta", "metrics": "green"}
_LEFT_OUT: Final = {
    "left_out": "wanted, but beyond the rate",
    "not_examined": "not looked at: too many at once",
    "withheld": "withheld: a policy lets secrets pass there",
}


class TapError(Exception):
    """The gate can't be asked, or refuses; the message is for the user."""


@dataclass(frozen=True, slots=True)
class TapRequest:
    """Whom to ask, and for what. `limit` 0 is no limit."""

    admin: str
    token_file: Path
    query: Mapping[str, str] = field(default_factory=dict)
    limit: int = 0


def tap_command(request: TapRequest, *, as_json: bool) -> int:
    """Show records until the limit or Ctrl-C; return the exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        connection, token = _prepared(request)
    except (OSError, ValueError) as error:
        errors.print(f"tapeline tap: {error}", markup=False)
        return EXIT_USAGE
    show = _print_json if as_json else _Screen(Console(highlight=False)).show
    counts: dict[str, Any] = {}
    try:
        _follow(connection, token, request, show, counts)
    except TapError as error:
        errors.print(f"tapeline tap: {visible(str(error))}", markup=False)
        return EXIT_FAILED
    except KeyboardInterrupt:
        pass  # It is how one ends it.
    finally:
        connection.close()
        for line in _left_out(counts):
            errors.print(line, markup=False)
    return EXIT_OK


def _prepared(request: TapRequest) -> tuple[HTTPConnection, str]:
    address = parse_address(request.admin)
    token = read_tokens(request.token_file)[0]
    return HTTPConnection(address.host, address.port, timeout=_SILENCE_S), token


def _follow(
    connection: HTTPConnection,
    token: str,
    request: TapRequest,
    show: Callable[[dict[str, Any]], None],
    counts: dict[str, Any],
) -> None:
    """Show every record; put the latest counts into `counts`."""
    query = urlencode({key: value for key, value in request.query.items() if value})
    shown = 0
    try:
        connection.request("GET", f"/tap/events?{query}", headers=dict([bearer_header(token)]))
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise TapError(_refusal(request.admin, response))
        for kind, told in _events(response):
            if kind == Kind.COUNTS:
                counts.update(told)
                continue
            show(told)
            shown += 1
            if shown == request.limit:
                return
    except (OSError, HTTPException, ValueError) as error:
        # A closed pipe of our own output is not the gate's business.
        if isinstance(error, BrokenPipeError):
            raise
        what = type(error).__name__ if not str(error) else str(error)
        raise TapError(f"{request.admin} does not answer: {what}") from error
    raise TapError(f"{request.admin} ended the stream")


def _refusal(admin: str, response: HTTPResponse) -> str:
    if response.status == HTTPStatus.NOT_FOUND:
        return f"{admin} has no tap: set admin.tap in the gate's configuration, and start it anew"
    told = response.read(_MAX_REFUSAL_BYTES).decode("utf-8", "replace").strip()
    return f"{admin} refused ({response.status}): {told}"


def _events(response: HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    while line := response.readline(_MAX_LINE_BYTES):
        if line.startswith(b"event: "):
            kind = line.removeprefix(b"event: ").decode().strip()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line.removeprefix(b"data: "))


def _left_out(counts: Mapping[str, Any]) -> Iterator[str]:
    for key, told in _LEFT_OUT.items():
        if counts.get(key):
            yield f"{counts[key]:,} of {counts.get('passed', 0):,} records {told}"


def _print_json(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class _Screen:
    """Writes records for a person. What they hold is text, never markup nor a control sequence."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, told: dict[str, Any]) -> None:
        head = Text()
        head.append(f"{told['time'][11:26]} ", "dim")
        head.append(f"{told['signal']:7} ", _COLOURS.get(told["signal"], ""))
        head.append(f"{visible(told['service'])} ", "bold")
        head.append(visible(told["name"] or told["fields"].get("body", "")))
        if told["fate"] != "kept":
            head.append(f"  {told['fate']}", "yellow")
        self._console.print(head, soft_wrap=True)
        for change in told["changed"]:
            self._console.print(_change(change, told["fate"]), soft_wrap=True)


def _change(change: Mapping[str, Any], fate: str) -> Text:
    """Return a line of a field: where the redaction alone has changed it, as it was before."""
    line = Text("    ")
    line.append(visible(change["field"]), "dim")
    line.append(": ")
    line.append("-" if change["before"] is None else visible(change["before"]), "red")
    if fate != "kept":
        line.append(" → ")
        line.append("-" if change["after"] is None else visible(change["after"]), "green")
    return line
