"""The little of Alertmanager's API v2 that Tapeline uses: send an alert, ask where it went."""

import json
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tapeline.alerting.json_answers import NoAnswerError, RefusedError, ask

__all__ = ["AlertmanagerError", "HandmadeAlert", "alerts_named", "base_url", "call", "send", "sent"]

TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.1


class AlertmanagerError(Exception):
    """Alertmanager does not answer, or refuses; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class HandmadeAlert:
    """An alert made by hand. It ends by itself after `lasts_s`; 0 ends it now."""

    labels: Mapping[str, str]
    summary: str
    description: str
    lasts_s: float

    def as_json(self, now: datetime) -> dict[str, object]:
        """Return what `POST /api/v2/alerts` takes. One that has ended began a minute ago."""
        ended = self.lasts_s == 0
        begin = now - timedelta(minutes=1) if ended else now
        return {
            "labels": dict(self.labels),
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": "docs/operations.md",
            },
            "startsAt": begin.isoformat(),
            "endsAt": (now + timedelta(seconds=self.lasts_s)).isoformat(),
        }


def base_url(text: str) -> str:
    """Return the address of an Alertmanager without a slash at its end; raises ValueError."""
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text!r} is no address of an Alertmanager: write http://127.0.0.1:9093")
    return text.rstrip("/")


def send(alertmanager: str, alert: HandmadeAlert) -> None:
    """Hand an alert over; raises AlertmanagerError."""
    call(f"{alertmanager}/api/v2/alerts", [alert.as_json(datetime.now(UTC))])


def alerts_named(alertmanager: str, name: str) -> list[Mapping[str, Any]]:
    """Return the alerts of a name as Alertmanager has them; raises AlertmanagerError."""
    # A matcher's text is escaped as a string of Go's; JSON's escapes are a part of those.
    query = urllib.parse.urlencode({"filter": f"alertname={json.dumps(name, ensure_ascii=False)}"})
    found: list[Mapping[str, Any]] = call(f"{alertmanager}/api/v2/alerts?{query}")
    return found


def sent(alertmanager: str, alert: HandmadeAlert, timeout_s: float) -> tuple[str, ...]:
    """Return the receivers that an alert leads to, once Alertmanager tells of it.

    Empty where it does not within the time, as for one that has ended already.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        for found in alerts_named(alertmanager, alert.labels["alertname"]):
            if dict(found["labels"]) == dict(alert.labels):
                return tuple(receiver["name"] for receiver in found["receivers"])
        if time.monotonic() > deadline:
            return ()
        time.sleep(_POLL_S)


def call(url: str, body: object = None) -> Any:
    """Return the JSON of an answer; raises AlertmanagerError."""
    try:
        return ask(url, TIMEOUT_S, body)
    except RefusedError as error:
        raise AlertmanagerError(f"{url} refuses {error}") from error
    except NoAnswerError as error:
        raise AlertmanagerError(
            f"{url} does not answer ({error}); start it with `tapeline stack up`, or name another"
            " with --alertmanager"
        ) from error
