"""The page `/signals`: a report as HTML, and the scripts that draw its curves. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from tapeline.pipeline.markup import Markup, element, joined, visible
from tapeline.signals.moments import moment
from tapeline.signals.number_text import NOTHING, money, places_of, ratio
from tapeline.signals.page_parts import (
    amount,
    chart,
    columns,
    count_of,
    facts,
    name_of,
    number,
    of_price,
    of_quantity,
    rest_of,
    signed,
    table,
)
from tapeline.signals.report import Report
from tapeline.signals.report_merge import seconds
from tapeline.signals.report_text import fees_text

__all__ = ["body"]

MAX_CHARTS: Final = 12
"""Of equity: the accounts that hold most."""
MAX_ENDS: Final = 30
"""Period ends in the table of an account."""
MAX_VENUES: Final = 6
"""In the markouts, beside all together."""
MAX_SLIPPAGE: Final = 60
MAX_WORST: Final = 10
"""Of each currency; the others are behind a click."""
_NANO: Final = 1_000_000_000


def body(report: Report) -> Markup:
    """Return the page's content."""
    if not report["accounts"] and not report["positions"]:
        return _nothing(report)
    return joined(
        _troubles(report["troubles"]),
        _summary(report),
        _split(report["split_accounts"]),
        element("h2", "Portfolios"),
        _portfolios(report["accounts"]),
        rest_of(report["accounts_left_out"], "accounts"),
        element("h2", "Risk"),
        _risks(report["accounts"]),
        element("h2", "Equity"),
        _curves(report["accounts"]),
        element("h2", "Positions"),
        _positions(report["positions"]),
        rest_of(report["positions_left_out"], "positions, smaller or flat"),
        element("h2", "Slippage"),
        _slippage(report["slippage"]),
        rest_of(
            max(len(report["slippage"]) - MAX_SLIPPAGE, 0) + report["slippage_left_out"], "rows"
        ),
        element("h2", "Markouts"),
        _markouts(report["markout_all"], report["markout"]),
        element("h2", "Worst executions of seven days"),
        _worst(report["worst"], report["trace_url"]),
    )


def _nothing(report: Report) -> Markup:
    told = "No account has had an event yet."
    if report["present_ns"]:
        told += f" Telemetry comes: its latest time is {moment(report['present_ns'])}."
    return joined(
        _troubles(report["troubles"]),
        element("p", told),
        element(
            "p",
            "An event is a log record, a span event or a span of the name trading.execution,"
            " trading.order, trading.quote, trading.mark or trading.cash, or one that a mapping"
            " makes. What was refused, and why, is in tapeline_signals_rejected_events_total.",
            class_="soft",
        ),
    )


def _troubles(told: Sequence[str]) -> Markup:
    return joined(*(element("p", "The state: ", visible(each), class_="bad") for each in told))


def _summary(report: Report) -> Markup:
    positions = [row for row in report["positions"] if row["quantity"] != "0"]
    return facts(
        [
            ("accounts", count_of(len(report["accounts"]) + report["accounts_left_out"])),
            ("open positions shown", count_of(len(positions))),
            ("events up to", moment(report["present_ns"])),
            ("samples up to", moment(report["watermark_ns"])),
        ]
    )


def _split(names: Sequence[str]) -> Markup:
    if not names:
        return Markup()
    told = "Several workers have a part of these accounts, and none the whole: "
    fix = ". Route by trading.account, and begin with a new state after a change of server.workers."
    return element("p", told + ", ".join(map(visible, names)) + fix, class_="bad")


def _portfolios(rows: Sequence[Report]) -> Markup:
    heads = (
        "<account", "<currency", "equity", "net P&L", "gross", "net", "leverage", "HHI", "top 3",
        "open positions",
    )  # fmt: skip
    return table(heads, [_portfolio(row, _account_places(rows, row["currency"])) for row in rows])


def _portfolio(row: Report, places: int) -> tuple[str, ...]:
    return (
        name_of(row["account"]),
        visible(row["currency"]),
        amount(row["equity"], places),
        signed(row["net_pnl"], places),
        amount(row["gross"], places),
        amount(row["net"], places),
        ratio(row["leverage"]),
        ratio(row["hhi"], 3),
        _percent(row["top3"]),
        count_of(row["open_positions"]),
    )


def _risks(rows: Sequence[Report]) -> Markup:
    heads = (
        "<account", "<currency", "drawdown", "max drawdown", "Sharpe", "Sortino", "Calmar",
        "VaR 95%", "VaR 99%", "win rate", "profit factor",
    )  # fmt: skip
    return table(heads, [_risk(row, _account_places(rows, row["currency"])) for row in rows])


def _risk(row: Report, places: int) -> tuple[str, ...]:
    risk = row["risk"]
    at_risk = [risk.get(name) for name in ("var_95", "var_99")]
    return (
        name_of(row["account"]),
        visible(row["currency"]),
        _percent(risk.get("drawdown")),
        _percent(risk.get("drawdown_max")),
        ratio(risk.get("sharpe")),
        ratio(risk.get("sortino")),
        ratio(risk.get("calmar")),
        *(money(None if found is None else repr(found), places) for found in at_risk),
        _percent(risk.get("win_rate")),
        ratio(risk.get("profit_factor")),
    )


def _account_places(rows: Iterable[Report], currency: str) -> int:
    held = [row for row in rows if row["currency"] == currency]
    return places_of(currency, (row[name] for row in held for name in ("equity", "gross")))


def _curves(rows: Sequence[Report]) -> Markup:
    drawn = [row for row in rows if row["curve"]][:MAX_CHARTS]
    if not drawn:
        return element("p", "No equity is known yet.", class_="soft")
    charts = [
        chart(
            f"equity {row['account']}",
            f"{row['account']}, {row['currency']}",
            {
                "is_live": True,
                "x": [time_ns / _NANO for time_ns, _ in row["curve"]],
                "series": [
                    {
                        "label": visible(row["currency"]),
                        "y": [float(equity) for _, equity in row["curve"]],
                    }
                ],
            },
        )
        for row in drawn
    ]
    return joined(
        columns(*charts),
        *(_ends(row, _account_places(rows, row["currency"])) for row in drawn),
        rest_of(sum(1 for row in rows if row["curve"]) - len(drawn), "accounts"),
    )


def _ends(row: Report, places: int) -> Markup:
    lines = [
        (moment(time_ns), amount(equity, places))
        for time_ns, equity in reversed(row["curve"][-MAX_ENDS:])
    ]
    name = f"{visible(row['account'])}, {visible(row['currency'])}"
    heading = f"{name}: equity now, and at the ends of the last periods"
    return element(
        "details",
        element("summary", heading),
        table(("<time", "equity"), lines),
        data_key=f"equity {visible(row['account'])}",
    )


def _positions(rows: Sequence[Report]) -> Markup:
    if not rows:
        return element("p", "There is none.", class_="soft")
    places = {
        currency: places_of(
            currency, [row[name] for row in group for name in ("value", "realized")]
        )
        for currency, group in _by(rows, "currency")
    }
    lines = [
        (
            name_of(row["account"]),
            name_of(row["strategy"]),
            name_of(row["instrument"]),
            of_quantity(row["quantity"]),
            of_price(row["average_price"]),
            visible(row["currency"]),
            amount(row["value"], places[row["currency"]]),
            signed(row["realized"], places[row["currency"]]),
            signed(row["unrealized"], places[row["currency"]]),
            row["price_source"] or NOTHING,
            visible(fees_text(row["fees"], row["currency"])),
            signed(row["net_pnl"], places.get(row["base_currency"], 2)),
            visible(row["base_currency"]),
        )
        for row in rows
    ]
    heads = (
        "<account", "<strategy", "<instrument", "quantity", "average price", "<currency", "value",
        "realized", "unrealized", "<at", "fees", "net P&L", "<base",
    )  # fmt: skip
    return table(heads, lines)


def _slippage(rows: Sequence[Report]) -> Markup:
    if not rows:
        return element("p", "No execution had a benchmark yet.", class_="soft")
    places = {
        currency: places_of(currency, [row["notional"] for row in group])
        for currency, group in _by(rows, "currency")
    }
    lines = [
        (
            name_of(row["venue"]),
            row["benchmark"],
            _cost_bps(row["average_bps"]),
            amount(row["cost"], places[row["currency"]]),
            amount(row["improvement"], places[row["currency"]]),
            amount(row["net_notional"], places[row["currency"]]),
            visible(row["currency"]),
        )
        for row in rows[:MAX_SLIPPAGE]
    ]
    heads = ("<venue", "<benchmark", "average bps", "cost", "improvement", "notional", "<currency")
    note = "Positive bps cost money. Corrections and busts are taken out of notional."
    return joined(element("p", note, class_="soft"), table(heads, lines))


def _cost_bps(value: str | None) -> Markup:
    if value is None:
        return number(NOTHING)
    is_bad, is_good = Decimal(value) > 0, Decimal(value) < 0
    return number(money(value), value, "bad" if is_bad else "good" if is_good else "")


def _markouts(over_venues: Sequence[Report], by_venue: Sequence[Report]) -> Markup:
    if not over_venues:
        return element("p", "No horizon of an execution has passed yet.", class_="soft")
    horizons = [row["horizon"] for row in over_venues]
    means: dict[str, dict[str, str | None]] = {}
    counts: dict[str, int] = {}
    for row in by_venue:
        means.setdefault(row["venue"], {})[row["horizon"]] = row["mean_bps"]
        counts[row["venue"]] = counts.get(row["venue"], 0) + row["count"]
    venues = sorted(counts, key=lambda venue: (-counts[venue], venue))
    if len(venues) == 1:
        venues = []  # It is all of them.
    shown = venues[:MAX_VENUES]
    curves = [("all", {row["horizon"]: row["mean_bps"] for row in over_venues})]
    curves += [(visible(venue) or "none", means[venue]) for venue in shown]
    data: dict[str, Any] = {
        "x": list(range(len(horizons))),
        "labels": horizons,
        "series": [
            {"label": label, "y": [_double(found.get(horizon)) for horizon in horizons]}
            for label, found in curves
        ],
    }
    lines = [
        (
            row["horizon"],
            _gain_bps(row["mean_bps"]),
            count_of(row["count"]),
            *(_gain_bps(means[venue].get(row["horizon"])) for venue in shown),
        )
        for row in sorted(over_venues, key=lambda row: seconds(row["horizon"]))
    ]
    heads = ("<after", "mean bps", "samples", *(visible(venue) or "none" for venue in shown))
    return joined(
        element("p", "Positive: the market moved the trader's way.", class_="soft"),
        columns(chart("markout", "Mean markout, bps", data)),
        table([heads[0], *(head.lstrip("<") for head in heads[1:])], lines),
        rest_of(len(venues) - len(shown), "venues"),
    )


def _gain_bps(value: str | None) -> Markup:
    return number(NOTHING) if value is None else signed(value, 2)


def _worst(lists: Sequence[Report], trace_url: str | None) -> Markup:
    if not lists:
        return element("p", "No execution cost anything beside arrival or quote.", class_="soft")
    parts = []
    for found in lists:
        places = places_of(found["currency"], [row["cost"] for row in found["executions"]])
        lines = [_execution(row, places, trace_url) for row in found["executions"]]
        first, more = lines[:MAX_WORST], lines[MAX_WORST:]
        heads = (
            "<time", f"cost, {visible(found['currency'])}", "bps", "<beside", "<account",
            "<strategy", "<instrument", "<venue", "<side", "quantity", "price", "<id", "<trace",
        )  # fmt: skip
        parts.append(table(heads, first))
        if more:
            told = element("summary", f"{len(more)} more in {visible(found['currency'])}")
            parts.append(
                element(
                    "details",
                    told,
                    table(heads, more),
                    data_key=f"worst {visible(found['currency'])}",
                )
            )
    return joined(*parts)


def _execution(row: Report, places: int, trace_url: str | None) -> tuple[str, ...]:
    return (
        moment(row["time_ns"]),
        amount(row["cost"], places),
        _cost_bps(row["slippage_bps"]),
        row["benchmark"],
        name_of(row["account"]),
        name_of(row["strategy"] or "default"),
        name_of(row["instrument"]),
        name_of(row["venue"]),
        row["side"],
        of_quantity(row["quantity"]),
        of_price(row["price"]),
        name_of(row["id"]),
        _trace(row["trace_id"], trace_url),
    )


def _trace(trace_id: str | None, trace_url: str | None) -> Markup:
    if trace_id is None:
        return element("span", "none", class_="soft")
    if trace_url is None or not trace_url.startswith(("http://", "https://")):
        return element("code", trace_id)
    address = trace_url.replace("{trace_id}", trace_id)
    return element("a", element("code", trace_id[:8] + "…"), href=address, title=trace_id)


def _percent(value: float | str | None) -> str:
    return NOTHING if value is None else f"{float(value):.2%}"


def _double(value: str | None) -> float | None:
    return None if value is None else float(value)


def _by(rows: Iterable[Report], name: str) -> list[tuple[str, list[Report]]]:
    ordered = sorted(rows, key=lambda row: str(row[name]))
    return [(key, list(group)) for key, group in groupby(ordered, lambda row: str(row[name]))]
