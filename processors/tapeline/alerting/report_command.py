"""`tapeline report slo`: the month's SLO report, from Prometheus into a file."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tapeline.alerting.report import Month, MonthError, SloMonth, Verdict
from tapeline.alerting.report_page import as_page
from tapeline.alerting.report_source import PrometheusError, read_month
from tapeline.alerting.report_text import as_markdown
from tapeline.alerting.slo import Slo, read_slos
from tapeline.pipeline.loader import ConfigError

__all__ = ["report_command"]

_FORMS: Final = {".md": as_markdown, ".html": as_page}


def report_command(
    month: str | None, prometheus: str, output: Path, slo_folder: Path, now: datetime
) -> int:
    """Write the report; return the exit status. None is the month of `now`."""
    form = _FORMS.get(output.suffix)
    if form is None:
        return _refuse(f"--output {output}: its name must end in .md or .html", 2)
    try:
        told = Month.read(month or f"{now:%Y-%m}", now.timestamp())
        found = read_month(prometheus, told, _written(slo_folder))
    except (MonthError, ConfigError) as error:
        return _refuse(str(error), 2)
    except PrometheusError as error:
        return _refuse(str(error), 1)
    if not found:
        nothing = f"{prometheus} has recorded no SLO in {told.name}, and {slo_folder} has none"
        return _refuse(nothing, 1)
    made_at = f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    try:
        output.write_text(form(told, found, prometheus, made_at), encoding="utf-8")
    except OSError as error:
        return _refuse(f"{output}: can't be written: {error.strerror}", 2)
    sys.stdout.write(_summary(output, told, found))
    return 0


def _summary(output: Path, month: Month, slos: Sequence[SloMonth]) -> str:
    verdicts = [slo.verdict for slo in slos]
    parts = (f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict)
    return f"{output}: {month.name}, {len(slos)} SLOs: {', '.join(parts)}\n"


def _written(folder: Path) -> list[Slo]:
    """Return the SLOs of a folder; none where it is not there, as in an installed package."""
    return [slo for path in sorted(folder.glob("*.yaml")) for slo in read_slos(path)]


def _refuse(reason: str, code: int) -> int:
    sys.stderr.write(f"tapeline report slo: {reason}\n")
    return code
