"""What a reader of the tap wants to see. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tapeline.otlp.signals import Signal

__all__ = ["FilterError", "TapFilter", "parse_filter"]

MAX_TEXT_CHARACTERS: Final = 200
_KEYS: Final = ("service", "signal", "name")


class FilterError(ValueError):
    """A filter that can't be used; the message names the key and what it takes, no value."""


@dataclass(frozen=True, slots=True)
class TapFilter:
    """None stands for everything.

    `service` is a whole `service.name`. `name`, in lower case, is a part of a span's or metric's
    name, or of a log's event name or body.
    """

    service: str | None = None
    signal: Signal | None = None
    name: str | None = None

    def query(self) -> dict[str, str]:
        """Return it as `parse_filter` takes it."""
        pairs = ((key, getattr(self, key)) for key in _KEYS)
        return {key: str(value) for key, value in pairs if value is not None}

    def wants_service(self, service: str) -> bool:
        """Tell whether records of a service are wanted."""
        return self.service is None or self.service == service

    def wants_name(self, *texts: str) -> bool:
        """Tell whether a record with these names, or this body, is wanted."""
        name = self.name
        return name is None or any(name in text.lower() for text in texts)


def parse_filter(query: Iterable[tuple[str, str]]) -> TapFilter:
    """Read the query of a request; raises FilterError. A key that is empty wants everything."""
    found: dict[str, str] = {}
    for key, value in query:
        if key not in _KEYS:
            raise FilterError(f"there are only the filters {', '.join(_KEYS)}")
        if key in found:
            raise FilterError(f"{key} stands here twice")
        if len(value) > MAX_TEXT_CHARACTERS:
            raise FilterError(f"{key} is longer than {MAX_TEXT_CHARACTERS} characters")
        found[key] = value
    signal = found.get("signal")
    if signal and signal not in set(Signal):
        raise FilterError(f"signal is one of {', '.join(Signal)}")
    return TapFilter(
        service=found.get("service") or None,
        signal=Signal(signal) if signal else None,
        name=(found.get("name") or "").lower() or None,
    )
