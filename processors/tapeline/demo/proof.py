"""The before and after of redacted records: what the demo sent, and what the backends hold.

Asks Loki and Jaeger through their HTTP APIs, as a user would.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tapeline.demo.credentials import Credentials

__all__ = ["Proof", "find_proofs"]

POLL_S: Final = 0.5
REQUEST_TIMEOUT_S: Final = 5.0
LOOKBACK_S: Final = 3600
HEADER: Final = "http.request.header.authorization"


@dataclass(frozen=True, slots=True)
class Proof:
    """One record that leaked a credential: as it was sent, and as a backend returns it."""

    what: str
    secret: str
    before: str
    backend: str
    after: str

    @property
    def is_redacted(self) -> bool:
        """Whether the credential that was sent is not in what arrived."""
        return self.secret in self.before and self.secret not in self.after


def find_proofs(
    loki_url: str, jaeger_url: str, secrets: Credentials, timeout_s: float
) -> Iterator[Proof | str]:
    """Yield a proof for a log line and one for a span, each as soon as its backend has it.

    A text instead of a proof says what did not arrive in time.
    """
    until = time.monotonic() + timeout_s
    line = _wait(lambda: _log_line(loki_url), until)
    if line is None:
        yield f"Loki did not return the log line within {timeout_s:g} s"
    else:
        secret = secrets.log_password
        sent = f"feed login failed: user=strategy password={secret}"
        yield Proof("a log line of the strategy", secret, sent, "Loki", line)
    header = _wait(lambda: _span_header(jaeger_url), until)
    if header is None:
        yield f"Jaeger did not return the span within {timeout_s:g} s"
    else:
        secret = secrets.bearer_token
        sent, arrived = f"{HEADER} = Bearer {secret}", f"{HEADER} = {header}"
        yield Proof("a span attribute of the gateway", secret, sent, "Jaeger", arrived)


def _wait(ask: Callable[[], str | None], until: float) -> str | None:
    while (found := ask()) is None and time.monotonic() < until:
        time.sleep(POLL_S)
    return found


def _log_line(loki_url: str) -> str | None:
    query = urllib.parse.urlencode(
        {
            "query": '{service_name="strategy"} |= "feed login failed"',
            "start": time.time_ns() - LOOKBACK_S * 10**9,
            "limit": 1,
        }
    )
    answer = _get(f"{loki_url}/loki/api/v1/query_range?{query}")
    for stream in answer.get("data", {}).get("result", []):
        for _, line in stream["values"]:
            return str(line)
    return None


def _span_header(jaeger_url: str) -> str | None:
    query = urllib.parse.urlencode(
        {"service": "gateway", "operation": "POST /session", "limit": 1, "lookback": "1h"}
    )
    answer = _get(f"{jaeger_url}/api/traces?{query}")
    for trace in answer.get("data") or []:
        for span in trace["spans"]:
            for tag in span["tags"]:
                if tag["key"] == HEADER:
                    return str(tag["value"])
    return None


def _get(url: str) -> dict[str, Any]:
    """Return the JSON answer; an empty one where there is none yet (a server that just started)."""
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - our own servers
            content = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
