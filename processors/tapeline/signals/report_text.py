"""A report as tables of text, for a terminal. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby

from tapeline.pipeline.markup import visible
from tapeline.signals.moments import moment
from tapeline.signals.number_text import NOTHING, bps, money, places_of, price, quantity, ratio
from tapeline.signals.report import Report

__all__ = ["report_text", "table"]


def report_text(report: Report) -> str:
    """Return positions, P&L, portfolios, slippage and markouts; rounded as amounts are read."""
    if not report["accounts"] and not report["positions"]:
        return "No account has had an event yet.\n"
    present, watermark = moment(report["present_ns"]), moment(report["watermark_ns"])
    parts = [f"As of {present}; samples are taken up to {watermark}.\n"]
    if report["split_accounts"]:
        parts.append(
            "Several workers have a part of these accounts, and none the whole:"
            f" {', '.join(map(visible, report['split_accounts']))}.\n"
        )
    for title, rows in (
        ("Portfolios", _accounts(report["accounts"])),
        ("Positions", _positions(report["positions"])),
        ("Slippage", _slippage(report["slippage"])),
        ("Markouts", _markout(report["markout_all"])),
    ):
        heads, *lines = rows
        if lines:
            parts.append(f"\n{title}\n{table(heads, lines)}")
    return "".join(parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return columns: those whose head begins with a blank stand to the right."""
    lines = [[head.strip() for head in heads], *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return "".join(
        "  "
        + "  ".join(
            cell.rjust(width) if head.startswith(" ") else cell.ljust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _accounts(rows: Sequence[Report]) -> Iterator[Sequence[str]]:
    yield (
        "account", "currency", " equity", " net P&L", " gross", " net", " leverage", " positions",
        " drawdown",
    )  # fmt: skip
    for currency, group in groupby(
        sorted(rows, key=lambda row: (row["currency"], row["account"])), lambda row: row["currency"]
    ):
        held = list(group)
        places = places_of(currency, (row[name] for row in held for name in ("equity", "gross")))
        for row in held:
            drawdown = row["risk"].get("drawdown")
            yield (
                row["account"], currency,
                *(money(row[name], places) for name in ("equity", "net_pnl", "gross", "net")),
                ratio(row["leverage"]), str(row["open_positions"]),
                NOTHING if drawdown is None else f"{drawdown:.2%}",
            )  # fmt: skip


def _positions(rows: Sequence[Report]) -> Iterator[Sequence[str]]:
    yield (
        "account", "strategy", "instrument", " quantity", " average price", "currency", " value",
        " realized", " unrealized", "at", " fees", " net P&L",
    )  # fmt: skip
    places = {row["currency"]: _places(rows, row["currency"]) for row in rows}
    for row in sorted(rows, key=lambda row: (row["account"], row["strategy"], row["instrument"])):
        of_row = places[row["currency"]]
        base = row["base_currency"]
        yield (
            row["account"], row["strategy"], row["instrument"],
            quantity(row["quantity"]), price(row["average_price"]), row["currency"],
            *(money(row[name], of_row) for name in ("value", "realized", "unrealized")),
            row["price_source"] or "", fees_text(row["fees"], row["currency"]),
            f"{money(row['net_pnl'], places.get(base, 2))} {base}",
        )  # fmt: skip


def _places(rows: Iterable[Report], currency: str) -> int:
    amounts = (row[name] for row in rows for name in ("value", "realized", "unrealized")
               if row["currency"] == currency)  # fmt: skip
    return places_of(currency, amounts)


def fees_text(fees: dict[str, str], currency: str) -> str:
    """Return fees by currency; that of the row's own goes without its name."""
    shown = [
        f"{money(amount, places_of(name, [amount]))}{'' if name == currency else f' {name}'}"
        for name, amount in sorted(fees.items())
        if Decimal(amount)
    ]
    return ", ".join(shown) or money("0")


def _slippage(rows: Sequence[Report]) -> Iterator[Sequence[str]]:
    yield "venue", "benchmark", " average bps", "currency", " cost", " improvement", " notional"
    places = {
        row["currency"]: places_of(
            row["currency"],
            (each["notional"] for each in rows if each["currency"] == row["currency"]),
        )
        for row in rows
    }
    for row in rows:
        of_row = places[row["currency"]]
        yield (
            row["venue"] or NOTHING, row["benchmark"], bps(row["average_bps"]), row["currency"],
            *(money(row[name], of_row) for name in ("cost", "improvement", "net_notional")),
        )  # fmt: skip


def _markout(rows: Sequence[Report]) -> Iterator[Sequence[str]]:
    yield "horizon", " mean bps", " samples"
    for row in rows:
        yield row["horizon"], bps(row["mean_bps"]), f"{row['count']:,}"
