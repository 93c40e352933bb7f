"""Asks a server of this machine or network for JSON: an answer, or in words why there is none."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final

__all__ = ["NoAnswerError", "RefusedError", "ask"]

_TOLD_CHARACTERS: Final = 300
# Never by a proxy: it is on this machine or in this network.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RefusedError(Exception):
    """The server answered with an error: `(400): bad query`."""


class NoAnswerError(Exception):
    """No server, or none that speaks JSON over HTTP; the message is the reason."""


def ask(url: str, timeout_s: float, body: object = None) -> Any:
    """Return the JSON of an answer, None for an empty one; a body is posted as JSON.

    Raises RefusedError and NoAnswerError, whose text goes behind the server's address.
    """
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data=data)  # noqa: S310 - the caller's own server
        request.add_header("Content-Type", "application/json")
        with _OPENER.open(request, timeout=timeout_s) as answer:
            text = answer.read()
        return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        raise RefusedError(f"({error.code}): {_told(error)}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswerError(str(getattr(error, "reason", error))) from error


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return error.read().decode(errors="replace")[:_TOLD_CHARACTERS].strip()
    except (OSError, http.client.HTTPException):
        return "no reason was given"
