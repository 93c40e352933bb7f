"""Points in time as text, to the nanosecond: ISO 8601 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["iso_from_unix_nano", "unix_nano_from_iso"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANO: Final = 1_000_000_000
_MAX_UNIX_NANO: Final = (1 << 64) - 1
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


def iso_from_unix_nano(unix_nano: int) -> str:
    """Return `2026-11-21T15:00:00.000000001Z`, always with nine digits after the second."""
    seconds, nano = divmod(unix_nano, _NANO)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nano:09}Z"


def unix_nano_from_iso(text: str) -> int:
    """Return nanoseconds since the epoch; a time without a zone is UTC. Raises ValueError."""
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time such as 2026-11-21T15:00:00.000000001Z")
    date, time, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time}{(zone or 'Z').replace('Z', '+00:00')}")
    whole = moment - _EPOCH
    unix_nano = (whole.days * 86_400 + whole.seconds) * _NANO + int((fraction or "").ljust(9, "0"))
    if not 0 <= unix_nano <= _MAX_UNIX_NANO:
        raise ValueError(f"{text!r} is not between 1970 and 2554, which OTLP can tell")
    return unix_nano
