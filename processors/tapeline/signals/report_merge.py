"""One report of several workers' reports, with the averages that only their sums give. Pure.

An account's events reach one worker, so its positions and its portfolio are whole there. One that
several workers know is named: each then holds a part, and neither can say what the whole is.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from tapeline.signals.decimals import ZERO, add, divide
from tapeline.signals.number_text import exact
from tapeline.signals.report import (
    MAX_ACCOUNTS,
    MAX_GROUPS,
    MAX_POSITIONS,
    Report,
    account_rank,
    position_rank,
    worst_rank,
)
from tapeline.signals.slippage import Benchmark, average_bps
from tapeline.signals.worst import MAX_SHOWN

__all__ = ["merge_all", "merge_reports"]

_SUMS = ("cost", "improvement", "notional", "notional_reversed")
_BENCHMARKS = {str(each): place for place, each in enumerate(Benchmark)}


def merge_reports(reports: Sequence[Report]) -> Report:
    """Return one report of all workers; raises ValueError where there is none.

    What was merged may be merged again. Rows are limited, and the rest is counted.
    """
    return merge_all(reports, max_positions=MAX_POSITIONS, max_accounts=MAX_ACCOUNTS)


def merge_all(
    reports: Sequence[Report], *, max_positions: int | None, max_accounts: int | None
) -> Report:
    """Return one report of all workers, with other limits; None is no limit."""
    if not reports:
        raise ValueError("no reports to merge")
    positions = sorted(_all(reports, "positions"), key=position_rank)
    accounts = sorted(_all(reports, "accounts"), key=account_rank)
    slippage = [_slippage(group) for group in _groups(_all(reports, "slippage"), _slippage_key)]
    slippage.sort(key=lambda row: (row["venue"], _BENCHMARKS[row["benchmark"]], row["currency"]))
    markout = [_markout(group) for group in _groups(_all(reports, "markout"), _markout_key)]
    over_venues = [_markout(group) for group in _groups(markout, lambda row: row["horizon"])]
    return {
        "present_ns": max(report["present_ns"] for report in reports),
        "watermark_ns": min(report["watermark_ns"] for report in reports),
        "trace_url": reports[0]["trace_url"],
        "troubles": list(dict.fromkeys(_texts(reports, "troubles"))),
        "split_accounts": _split(reports),
        "accounts": accounts[:max_accounts],
        "accounts_left_out": _left_out(reports, "accounts", accounts, max_accounts),
        "positions": positions[:max_positions],
        "positions_left_out": _left_out(reports, "positions", positions, max_positions),
        "slippage": slippage[:MAX_GROUPS],
        "slippage_left_out": _left_out(reports, "slippage", slippage, MAX_GROUPS),
        "markout": sorted(markout, key=lambda row: (row["venue"], seconds(row["horizon"]))),
        "markout_all": [
            {key: value for key, value in row.items() if key != "venue"}
            for row in sorted(over_venues, key=lambda row: seconds(row["horizon"]))
        ],
        "worst": _worst(_all(reports, "worst")),
    }


def seconds(horizon: str) -> Decimal:
    """Return how long a horizon is, of its name: `10s`."""
    return Decimal(horizon.removesuffix("s"))


def _all(reports: Iterable[Report], name: str) -> list[Report]:
    return [one for report in reports for one in report[name]]


def _texts(reports: Iterable[Report], name: str) -> list[str]:
    return [text for report in reports for text in report[name]]


def _groups(rows: Iterable[Report], key: Callable[[Report], Any]) -> list[list[Report]]:
    groups: dict[Any, list[Report]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _left_out(
    reports: Iterable[Report], name: str, rows: Sequence[Report], limit: int | None
) -> int:
    before = sum(int(report[f"{name}_left_out"]) for report in reports)
    return before + len(rows) - len(rows[:limit])


def _split(reports: Sequence[Report]) -> list[str]:
    known = Counter(
        name
        for report in reports
        for name in {row["account"] for row in (*report["accounts"], *report["positions"])}
    )
    before = {name for report in reports for name in report.get("split_accounts", ())}
    return sorted(before | {name for name, count in known.items() if count > 1})


def _slippage_key(row: Report) -> tuple[str, str, str]:
    return (row["venue"], row["benchmark"], row["currency"])


def _slippage(rows: Sequence[Report]) -> Report:
    sums = {name: _sum(rows, name) for name in _SUMS}
    notional = add(sums["notional"], -sums["notional_reversed"])
    average = average_bps(sums["cost"], sums["improvement"], notional)
    return {
        **rows[0],
        **{name: exact(total) for name, total in sums.items()},
        "net_notional": exact(notional),
        "average_bps": None if average is None else exact(average),
    }


def _markout_key(row: Report) -> tuple[str, str]:
    return (row["venue"], row["horizon"])


def _markout(rows: Sequence[Report]) -> Report:
    total, count = _sum(rows, "sum_bps"), sum(row["count"] for row in rows)
    mean = exact(divide(total, Decimal(count))) if count else None
    return {**rows[0], "sum_bps": exact(total), "count": count, "mean_bps": mean}


def _sum(rows: Iterable[Report], name: str) -> Decimal:
    total = ZERO
    for row in rows:
        total = add(total, Decimal(row[name]))
    return total


def _worst(lists: Iterable[Report]) -> list[Report]:
    merged = []
    for group in _groups(lists, lambda one: one["currency"]):
        rows = sorted(_all(group, "executions"), key=worst_rank)[:MAX_SHOWN]
        for row in rows:
            row["slippage_bps"] = exact(
                average_bps(Decimal(row["cost"]), ZERO, Decimal(row["notional"])) or ZERO
            )
        merged.append({"currency": group[0]["currency"], "executions": rows})
    return sorted(merged, key=lambda one: one["currency"])
