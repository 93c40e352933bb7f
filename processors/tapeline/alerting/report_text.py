"""The month's SLO report as Markdown, and the words that its page uses, too. Pure."""

import math
from collections.abc import Sequence
from typing import Final

from tapeline.alerting.report import Episode, Month, SloMonth, Verdict

__all__ = [
    "COVERAGE_NOTE",
    "alert_text",
    "as_markdown",
    "count",
    "covered",
    "known_text",
    "percent",
    "spent_text",
    "verdict_text",
]

COVERAGE_NOTE: Final = (
    "Hours without data are neither good nor bad: every figure is of the hours that there is data"
    " of, and the last column says how many these are."
)
_FLOAT_NOISE: Final = 1e-6


def percent(ratio: float | None) -> str:
    """Return 0.9995 as `99.95 %`; an em dash for None.

    It is cut after three digits, not rounded: 99.8999 is no 99.9, which would be a met objective.
    """
    if ratio is None:
        return "—"
    cut = math.floor(ratio * 100_000 + _FLOAT_NOISE) / 1000
    return f"{cut:.3f}".rstrip("0").rstrip(".") + " %"


def count(number: float) -> str:
    """Return a number of events, without the fraction that an extrapolated increase has."""
    return f"{number:,.0f}".replace(",", " ")


def spent_text(spent: float | None) -> str:
    """Return what is gone of the budget."""
    return "—" if spent is None else f"{spent * 100:.1f} %"


def verdict_text(slo: SloMonth) -> str:
    """Return the verdict, and that it is one on a part, if it is."""
    verdict = slo.verdict
    if verdict in {Verdict.MET, Verdict.MISSED} and not slo.is_whole:
        return f"{verdict.value}, as far as known"
    return verdict.value


def known_text(slo: SloMonth) -> str:
    """Return how many hours there is data of."""
    return f"{len(slo.hours)} of {slo.month.hours} h"


def covered(month: Month) -> str:
    """Return what time the report is about."""
    if month.is_over:
        return f"{month.name}, all of it (UTC)"
    days, hours = divmod(month.hours, 24)
    return f"{month.name} (UTC), its first {days} days and {hours} hours: it is not over"


def alert_text(fired: Sequence[Episode]) -> str:
    """Return how often each kind of alert fired, and for how long, to five minutes."""
    words = {"critical": "page", "warning": "ticket"}
    parts = []
    for severity, word in words.items():
        some = [episode for episode in fired if episode.severity == severity]
        minutes = sum(episode.end_s - episode.begin_s for episode in some) // 60
        if some:
            parts.append(f"{len(some)} {word}{'s' * (len(some) > 1)} ({minutes} min)")
    return ", ".join(parts) or "none"


def as_markdown(month: Month, slos: Sequence[SloMonth], source: str, made_at: str) -> str:
    """Return the report; `made_at` is when it was made, as text."""
    lines = [
        f"# Service level objectives: {month.name}",
        "",
        f"Made {made_at} from {source}. It covers {covered(month)}.",
        COVERAGE_NOTE,
        "",
        "| system | SLO | objective | reached | budget spent | verdict | alerts | data |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(slo) for slo in slos),
        "",
    ]
    for slo in slos:
        lines += _section(slo)
    return "\n".join(lines)


def _row(slo: SloMonth) -> str:
    cells = (
        slo.system, slo.name, percent(slo.objective), percent(slo.reached), spent_text(slo.spent),
        verdict_text(slo), alert_text(slo.fired), known_text(slo),
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _section(slo: SloMonth) -> list[str]:
    lines = [f"## {slo.system}: {slo.name}", "", slo.description]
    if not slo.hours:
        return [*lines, "", "There is no data: nothing is known of this month.", ""]
    bad = f"{count(slo.errors)} of {count(slo.events)} events were bad"
    lines += [f"{bad}; {spent_text(slo.spent)} of the error budget is spent.", ""]
    if slo.objective is None:
        return lines
    over = [day for day in slo.days() if day.ratio is not None and slo.is_beyond(day.ratio)]
    if not over:
        return [*lines, "No day went beyond the budget.", ""]
    lines += ["| day | events | bad | reached | data |", "|---|---|---|---|---|"]
    for day in over:
        reached = None if day.ratio is None else 1 - day.ratio
        lines.append(
            f"| {day.number} | {count(day.events)} | {count(day.errors)} | {percent(reached)} |"
            f" {day.hours} h |"
        )
    return [*lines, ""]
