"""What an engine shows of itself beside its metrics: for the page and for `tapeline signals`. Pure.

Plain data, numbers as texts, so that nothing is rounded on the way. Each worker makes its own;
`report_merge` makes one of them, with averages.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from tapeline.signals.accounts import AccountRecord
from tapeline.signals.decimals import ZERO, add
from tapeline.signals.engine import Engine
from tapeline.signals.gauges import AccountFigures, PositionView
from tapeline.signals.number_text import exact
from tapeline.signals.points import Attributes, GaugePoint, values_of
from tapeline.signals.worst import MAX_SHOWN, WorstExecution

__all__ = ["MAX_ACCOUNTS", "MAX_GROUPS", "MAX_POSITIONS", "Report", "prepare_report"]

Report: TypeAlias = dict[str, Any]

MAX_POSITIONS: Final = 200
MAX_ACCOUNTS: Final = 50
MAX_CURVE_POINTS: Final = 365
"""Of each account: period ends, and now."""
MAX_GROUPS: Final = 500
"""Of venue, benchmark and currency; of venue and horizon."""

_SUMS: Final = ("cost", "improvement", "notional", "notional.reversed")
_PREFIX: Final = "trading.slippage."
_RISK: Final = "trading.risk."

_Looked = list[tuple[Attributes, Decimal]]


class _Looks(NamedTuple):
    """What was looked at, all of it immutable."""

    sums: dict[str, _Looked]
    markouts: list[tuple[Attributes, Decimal, int]]
    worst: list[tuple[str, list[WorstExecution]]]


def prepare_report(
    engine: Engine,
    *,
    trace_url: str | None = None,
    trouble: str | None = None,
    max_positions: int | None = MAX_POSITIONS,
    max_accounts: int | None = MAX_ACCOUNTS,
) -> Callable[[], Report]:
    """Look at everything now, and return what makes the report of it, in any thread.

    `trouble` is what is wrong with the state, in words. Looking takes as long as an emission;
    making texts of it is the longer part.
    """
    figures, now_ns = engine.figures, engine.present_ns
    missing_rate_count = engine.market.missing_rate_count
    records = engine.sampled.accounts
    views = [(view, records.terms(view.key[0]).base_currency) for view in figures.positions(now_ns)]
    accounts = [
        (
            each,
            list(figures.account_points(each)),
            _curve(engine.sampled.accounts.get(each.account)),
        )
        for each in figures.accounts([view for view, _ in views], now_ns)
    ]
    # A figure that is looked at once more lacks no further rate.
    engine.market.missing_rate_count = missing_rate_count
    looks = _Looks(
        {
            name: [(key, each.total) for key, each in engine.series.sums[_PREFIX + name].items()]
            for name in _SUMS
        },
        [
            (key, each.total, sum(each.counts))
            for key, each in engine.series.histograms["trading.markout_bps"].items()
        ],
        engine.sampled.bookkeeper.worst.look(now_ns),
    )
    head: Report = {
        "present_ns": engine.greatest_time_ns and now_ns,
        "watermark_ns": engine.watermark_ns,
        "trace_url": trace_url,
        "troubles": [] if trouble is None else [trouble],
    }

    def make() -> Report:
        ranked = sorted(views, key=_view_rank)
        positions = [_position(*each) for each in ranked[:max_positions]]
        shown = sorted(
            (_account(*each, now_ns=head["present_ns"]) for each in accounts), key=account_rank
        )
        slippage, slippage_left_out = _slippage(looks.sums)
        return {
            **head,
            "accounts": shown[:max_accounts],
            "accounts_left_out": len(shown[len(shown[:max_accounts]) :]),
            "positions": positions,
            "positions_left_out": len(views) - len(positions),
            "slippage": slippage,
            "slippage_left_out": slippage_left_out,
            "markout": _markout(looks.markouts),
            "worst": [
                {"currency": currency, "executions": _worst(held)}
                for currency, held in looks.worst
                if held
            ],
        }

    return make


def position_rank(row: Report) -> tuple[Any, ...]:
    """Sort open positions before flat ones, the largest first, by value in base currency."""
    size = row["base_value"] or "0"
    return (row["quantity"] == "0", -abs(Decimal(size)), *_names(row))


def _view_rank(each: tuple[PositionView, str]) -> tuple[Any, ...]:
    """Sort as `position_rank` does, without a text for each of very many."""
    view, _ = each
    return (not view.state.quantity, -abs(view.figures.base_value or ZERO), *view.key)


def account_rank(row: Report) -> tuple[Any, ...]:
    """Sort accounts by what they hold, the largest first."""
    return (-Decimal(row["gross"] or "0"), row["account"])


def worst_rank(row: Report) -> tuple[Any, ...]:
    """Sort executions by what they cost, the worst first; of the same cost the earlier one."""
    return (-Decimal(row["cost"]), row["time_ns"], row["account"], row["id"])


def _names(row: Report) -> tuple[str, str, str]:
    return (row["account"], row["strategy"], row["instrument"])


def _curve(record: AccountRecord | None) -> list[tuple[int, Decimal]]:
    return [] if record is None else list(record.curve)[1 - MAX_CURVE_POINTS :]


def _position(view: PositionView, base_currency: str) -> Report:
    figures = view.figures
    return {
        "account": view.key[0],
        "strategy": view.key[1],
        "instrument": view.key[2],
        "currency": view.currency,
        "quantity": exact(view.state.quantity),
        "average_price": _text(view.average_price),
        "value": _text(figures.value),
        "realized": exact(view.state.realised),
        "unrealized": _text(figures.unrealised),
        "price_source": None if figures.source is None else str(figures.source),
        "fees": {name or view.currency: exact(fee) for name, fee in view.state.fees},
        "base_currency": base_currency,
        "base_value": _text(figures.base_value),
        "net_pnl": _text(figures.base_net_pnl),
    }


def _account(
    figures: AccountFigures,
    points: Iterable[GaugePoint],
    curve: Iterable[tuple[int, Decimal]],
    *,
    now_ns: int,
) -> Report:
    held = figures.portfolio
    ends = [(time_ns, exact(equity)) for time_ns, equity in curve]
    if held.equity is not None and now_ns and (not ends or now_ns > ends[-1][0]):
        ends.append((now_ns, exact(held.equity)))
    risk: dict[str, float] = {}
    for point in points:
        if point.name.startswith(_RISK):
            confidence = values_of(point.attributes).get("trading.confidence", "")
            risk[point.name.removeprefix(_RISK) + confidence.replace("0.", "_")] = point.value
    return {
        "account": figures.account,
        "currency": figures.base_currency,
        "equity": _text(held.equity),
        "net_pnl": _text(held.net_pnl),
        "gross": _text(held.gross),
        "net": _text(held.net),
        "leverage": _text(held.leverage),
        "hhi": _text(held.hhi),
        "top3": _text(held.top3),
        "open_positions": held.open_positions,
        "risk": risk,
        "curve": [list(end) for end in ends],
    }


def _slippage(looked: dict[str, _Looked]) -> tuple[list[Report], int]:
    groups: dict[tuple[str, str, str], dict[str, Decimal]] = {}
    for name, series in looked.items():
        for key, total in series:
            found = values_of(key)
            group = groups.setdefault(
                (
                    found.get("trading.venue", ""),
                    found.get("trading.benchmark", ""),
                    found.get("trading.currency", ""),
                ),
                dict.fromkeys(_SUMS, ZERO),
            )
            group[name] = add(group[name], total)
    rows = [
        {
            "venue": venue,
            "benchmark": benchmark,
            "currency": currency,
            **{name.replace(".", "_"): exact(total) for name, total in sums.items()},
        }
        for (venue, benchmark, currency), sums in sorted(groups.items())
    ]
    return rows[:MAX_GROUPS], max(len(rows) - MAX_GROUPS, 0)


def _markout(looked: Iterable[tuple[Attributes, Decimal, int]]) -> list[Report]:
    groups: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for key, total, count in looked:
        found = values_of(key)
        group = (found.get("trading.venue", ""), found.get("trading.horizon", ""))
        sum_bps, samples = groups.get(group, (ZERO, 0))
        groups[group] = (add(sum_bps, total), samples + count)
    return [
        {"venue": venue, "horizon": horizon, "sum_bps": exact(total), "count": count}
        for (venue, horizon), (total, count) in sorted(groups.items())
    ][:MAX_GROUPS]


def _worst(held: Sequence[WorstExecution]) -> list[Report]:
    rows = []
    for execution, benchmark, cost, notional in held:
        trace_id = execution.trace.trace_id
        rows.append(
            {
                "time_ns": execution.time_ns,
                "account": execution.account,
                "strategy": execution.strategy,
                "venue": execution.venue,
                "instrument": execution.instrument,
                "id": execution.id,
                "side": "buy" if execution.side > 0 else "sell",
                "quantity": _text(execution.quantity),
                "price": _text(execution.price),
                "benchmark": str(benchmark),
                "cost": exact(cost),
                "notional": exact(notional),
                "trace_id": trace_id.hex() if trace_id else None,
            }
        )
    return sorted(rows, key=worst_rank)[:MAX_SHOWN]


def _text(value: Decimal | None) -> str | None:
    return None if value is None else exact(value)
