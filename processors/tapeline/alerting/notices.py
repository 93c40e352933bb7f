"""What Alertmanager's webhook says, and the last of it that an inbox remembers. Pure.

The format is version 4 of Alertmanager's webhook payload
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Inbox", "Notice", "NoticeError", "read_notices"]

MAX_KEPT: Final = 5000
"""So many alerts are remembered, a few kB each in practice."""
MAX_KEPT_CHARACTERS: Final = 32 * 1024 * 1024
"""Of all that is remembered: where alerts are near the limits below, there are fewer of them."""
MAX_ALERTS: Final = 1000
MAX_PAIRS: Final = 64
MAX_CHARACTERS: Final = 4000
_STATUSES: Final = ("firing", "resolved")


class NoticeError(ValueError):
    """The payload is not what Alertmanager sends; the message says what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert as a receiver was told of it. Times are RFC 3339; one that fires has no end."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    ends_at: str
    fingerprint: str
    received_at: str

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get("alertname", "")

    @property
    def characters(self) -> int:
        """How long its texts are, together."""
        pairs = (*self.labels.items(), *self.annotations.items())
        texts = (self.receiver, self.starts_at, self.ends_at, self.fingerprint)
        return sum(map(len, texts)) + sum(len(name) + len(value) for name, value in pairs)

    def as_json(self) -> dict[str, object]:
        """Return it with the names that Alertmanager uses."""
        return {
            "receiver": self.receiver,
            "status": self.status,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": self.starts_at,
            "endsAt": self.ends_at,
            "fingerprint": self.fingerprint,
            "received_at": self.received_at,
        }


def read_notices(payload: object, receiver: str, received_at: str) -> tuple[Notice, ...]:
    """Return the alerts of one notification; raises NoticeError.

    `receiver` is what the address said; texts beyond the limits are cut.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("alerts"), list):
        raise NoticeError(
            "expected an object with a list `alerts`, as Alertmanager's webhook sends"
        )
    alerts = payload["alerts"]
    if len(alerts) > MAX_ALERTS:
        raise NoticeError(
            f"{len(alerts)} alerts in one notification; at most {MAX_ALERTS} are read"
        )
    return tuple(
        _read(alert, position, receiver, received_at) for position, alert in enumerate(alerts)
    )


def _read(alert: Any, position: int, receiver: str, received_at: str) -> Notice:
    where = f"alerts[{position}]"
    if not isinstance(alert, dict):
        raise NoticeError(f"{where} is no object")
    status = alert.get("status")
    if status not in _STATUSES:
        raise NoticeError(f"{where}.status is {status!r}; expected firing or resolved")
    return Notice(
        receiver=_cut(receiver),
        status=str(status),
        labels=_pairs(alert.get("labels"), f"{where}.labels"),
        annotations=_pairs(alert.get("annotations"), f"{where}.annotations"),
        starts_at=_text(alert.get("startsAt"), f"{where}.startsAt"),
        # Alertmanager writes year 1 for an alert that has no end yet.
        ends_at="" if status == "firing" else _text(alert.get("endsAt"), f"{where}.endsAt"),
        fingerprint=_text(alert.get("fingerprint", ""), f"{where}.fingerprint"),
        received_at=received_at,
    )


def _pairs(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_PAIRS:
        raise NoticeError(f"{where} is no object of at most {MAX_PAIRS} texts")
    return {_cut(str(name)): _text(text, f"{where}.{name}") for name, text in value.items()}


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise NoticeError(f"{where} is {type(value).__name__}, not a text")
    return _cut(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


@dataclass(slots=True)
class Inbox:
    """The last notices, oldest first. `received` counts all that ever came."""

    max_kept: int = MAX_KEPT
    received: int = 0
    max_characters: int = MAX_KEPT_CHARACTERS
    _kept: deque[Notice] = field(default_factory=deque)
    _characters: int = 0

    def add(self, notices: tuple[Notice, ...]) -> None:
        """Take these; the oldest go where there are too many."""
        self.received += len(notices)
        self._kept.extend(notices)
        self._characters += sum(notice.characters for notice in notices)
        while len(self._kept) > self.max_kept or self._characters > self.max_characters:
            self._characters -= self._kept.popleft().characters

    @property
    def forgotten(self) -> int:
        """How many were received and are no longer kept."""
        return self.received - len(self._kept)

    def newest_first(self) -> Iterator[Notice]:
        """Give what is kept, the last received first."""
        return reversed(self._kept)

    def firing(self) -> tuple[tuple[Notice, tuple[str, ...]], ...]:
        """Return each alert whose last notice says that it fires, with who was told, newest first.

        Two alerts are the same where their labels are.
        """
        last: dict[tuple[tuple[str, str], ...], Notice] = {}
        told: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for notice in self.newest_first():
            key = tuple(sorted(notice.labels.items()))
            last.setdefault(key, notice)
            if notice.starts_at == last[key].starts_at and notice.receiver not in told.setdefault(
                key, []
            ):
                told[key].append(notice.receiver)
        return tuple(
            (notice, tuple(sorted(told[key])))
            for key, notice in last.items()
            if notice.status == "firing"
        )
