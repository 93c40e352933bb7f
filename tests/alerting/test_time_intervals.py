"""When the clock lets low severities through: amtool looks at no time, so it is worked out here."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import yaml

from tapeline.alerting.alertmanager_lint import routes_of
from tapeline.stack.alertmanager import CONFIG_FILE, local_configuration
from tapeline.stack.binaries import SOURCE_ROOT

DOCUMENT: dict[str, Any] = yaml.safe_load((SOURCE_ROOT / CONFIG_FILE).read_text(encoding="utf-8"))
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def minutes(text: str) -> int:
    """Return the minute of the day that `08:30` names."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)


def holds(interval: Mapping[str, Any], when: datetime) -> bool:
    """Tell whether an interval of Alertmanager's holds at a time, by its documentation."""
    assert set(interval) <= {"weekdays", "times", "location"}, "this test knows no more of it"
    local = when.astimezone(ZoneInfo(interval.get("location", "UTC")))
    for span in interval.get("weekdays", ["monday:sunday"]):
        first, _, last = span.partition(":")
        if _DAYS.index(first) <= local.weekday() <= _DAYS.index(last or first):
            break
    else:
        return False
    now = local.hour * 60 + local.minute
    return any(
        minutes(times["start_time"]) <= now < minutes(times["end_time"])
        for times in interval.get("times", [{"start_time": "00:00", "end_time": "24:00"}])
    )


def is_open(document: Mapping[str, Any], name: str, when: datetime) -> bool:
    """Tell whether a named time interval holds."""
    (named,) = [each for each in document["time_intervals"] if each["name"] == name]
    return any(holds(interval, when) for interval in named["time_intervals"])


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        # Winter: New York is five hours behind.
        ("2026-01-14T12:59", False),
        ("2026-01-14T13:00", True),
        ("2026-01-14T22:59", True),
        ("2026-01-14T23:00", False),
        # Summer: four hours.
        ("2026-07-15T11:59", False),
        ("2026-07-15T12:00", True),
        ("2026-07-15T22:00", False),
        # Saturday in New York from Friday's midnight there on; and Monday morning.
        ("2026-01-17T15:00", False),
        ("2026-01-18T15:00", False),
        ("2026-01-19T15:00", True),
        # The day after its clocks were changed, a week where Europe's were not yet.
        ("2026-03-09T12:00", True),
        ("2026-03-09T11:59", False),
    ],
)
def test_info_comes_in_working_hours_of_new_york(when: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    """Summer time and weekends are those of that place."""
    assert is_open(DOCUMENT, "working-hours", datetime.fromisoformat(f"{when}+00:00")) is expected


def test_the_clock_mutes_info_alone() -> None:
    """Of all branches, the one for info has a time interval, and no other."""
    timed = [route for route in routes_of(DOCUMENT["route"]) if route.time_intervals]
    assert [route.matchers for route in timed] == [(("severity", "=", "info"),)]
    assert [route.time_intervals for route in timed] == [("working-hours",)]


def test_in_the_demo_every_hour_is_a_working_hour() -> None:
    """So that a demo at night shows what an office sees by day."""
    local = local_configuration(DOCUMENT, "http://inbox", "*.tmpl")
    week = datetime(2026, 1, 12, tzinfo=UTC)
    hours = [week + timedelta(minutes=59 * step) for step in range(171)]
    assert all(is_open(local, "working-hours", hour) for hour in hours)
    assert not all(is_open(DOCUMENT, "working-hours", hour) for hour in hours)
