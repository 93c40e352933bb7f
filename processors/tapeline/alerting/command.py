"""`tapeline alert test` and `tapeline alert lint`."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tapeline.alerting.alertmanager_api import (
    AlertmanagerError,
    HandmadeAlert,
    base_url,
    send,
    sent,
)
from tapeline.alerting.alertmanager_files import LintSources, lint_files

__all__ = ["alert_from", "alert_test_command", "lint_command"]

_LABEL: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_LOOK_S: Final = 5.0
_LASTS_MAX_S: Final = 7 * 86_400.0


def alert_from(name: str, severity: str, labels: Sequence[str], lasts_s: float) -> HandmadeAlert:
    """Return the alert that these options mean; raises ValueError for what can't be."""
    if lasts_s > _LASTS_MAX_S:
        raise ValueError("--lasts must be 7d at most: it is a test")
    # Before it is sent: asked for by such a name, Alertmanager could not say where it went.
    given = (
        ("--alertname", name),
        ("--severity", severity),
        *(("--label", each) for each in labels),
    )
    for option, text in given:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{option} {text!r} is not UTF-8")
    made = {
        "alertname": name,
        "severity": severity,
        "service": "test",
        "system": "tapeline",
        "team": "platform",
        "instance": "test-instance",
    }
    for text in labels:
        match = _LABEL.fullmatch(text)
        if match is None:
            raise ValueError(f"--label {text!r} is not name=value, as team=risk")
        made[match[1]] = match[2]
    if not made["alertname"]:
        raise ValueError("an alert must have a name: give one with --alertname")
    return HandmadeAlert(
        labels={key: value for key, value in made.items() if value},
        summary="Test alert: nothing is wrong",
        description="Sent by `tapeline alert test` to see that notifications arrive.",
        lasts_s=lasts_s,
    )


def alert_test_command(alertmanager: str, alert: HandmadeAlert) -> int:
    """Send an alert and say where it goes; return 0, 1 where it is not taken, 2 for bad options."""
    try:
        base = base_url(alertmanager)
        send(base, alert)
        receivers = sent(base, alert, _LOOK_S if alert.lasts_s else 0.0)
    except ValueError as error:
        sys.stderr.write(f"tapeline alert test: {error}\n")
        return 2
    except AlertmanagerError as error:
        sys.stderr.write(f"tapeline alert test: {error}\n")
        return 1
    told = " ".join(f"{name}={value}" for name, value in alert.labels.items())
    if not alert.lasts_s:
        print(f"ended: {told}")
        return 0
    print(f"sent: {told}")
    print(f"it goes to: {', '.join(receivers) or 'nobody yet'}")
    return 0 if receivers else 1


def lint_command(configuration: Path, rules: Sequence[Path], secrets: Path | None) -> int:
    """Print what is wrong with a configuration; return 0 where nothing is, 1, or 2 for no file."""
    try:
        problems = lint_files(LintSources(configuration, tuple(rules), secrets))
    except OSError as error:
        sys.stderr.write(f"tapeline alert lint: {error.filename}: {error.strerror}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"tapeline alert lint: {error}\n")
        return 2
    for problem in problems:
        print(problem)
    print(f"{configuration}: {len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0
