"""Every metric that the signals send: name, kind, unit, attributes, bounds. Pure.

Units are those of UCUM; the ones in braces are annotations, which no exporter writes into a name.
Source: docs/trading-convention.md, section 3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["BPS_BOUNDS", "LATENCY_BOUNDS_S", "METRICS", "Kind", "Metric"]


class Kind(StrEnum):
    """What a metric is, as metadata.yaml names it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    """A monotonic sum: it never falls."""
    SUM = "up_down_counter"
    """A sum that may fall. Prometheus has it as a gauge."""
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; `attributes` are those that its series may have, without their `trading.`."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...]
    bounds: tuple[Decimal, ...] = ()
    """Of a histogram: each is the greatest value of its bucket; above the last is one more."""


def _decimals(texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts.split()))


BPS_BOUNDS: Final = _decimals("-100 -50 -25 -10 -5 -2 -1 0 1 2 5 10 25 50 100")
LATENCY_BOUNDS_S: Final = _decimals(
    "0.0001 0.0002 0.0005 0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 20 50 60"
)

_BOUNDS: Final = {"{bp}": BPS_BOUNDS, "s": LATENCY_BOUNDS_S}
_MONEY: Final = "{currency}"
_OF_ACCOUNT: Final = ("account",)
_OF_INSTRUMENT: Final = ("account", "instrument", "strategy")


def _of(
    kind: Kind, unit: str, base: tuple[str, ...], more: str, descriptions: Mapping[str, str]
) -> Iterable[Metric]:
    """Yield metrics that differ in name and description only; money gets its currency."""
    attributes = {*base, *more.split()}
    if unit == _MONEY:
        attributes.add("currency")
    bounds = _BOUNDS[unit] if kind is Kind.HISTOGRAM else ()
    for name, text in descriptions.items():
        yield Metric(f"trading.{name}", kind, unit, text, tuple(sorted(attributes)), bounds)


def _executions() -> Iterable[Metric]:
    yield from _of(
        Kind.HISTOGRAM,
        "{bp}",
        _OF_INSTRUMENT,
        "venue side benchmark",
        {"slippage_bps": "Price beside a benchmark, an execution; positive costs."},
    )
    yield from _of(
        Kind.COUNTER,
        _MONEY,
        _OF_INSTRUMENT,
        "venue side benchmark",
        {
            "slippage.cost": "What executions cost beside a benchmark.",
            "slippage.improvement": "What executions saved beside a benchmark.",
            "slippage.notional": "Executed quantity at the benchmark's price.",
            "slippage.notional.reversed": "The part of it that was corrected or busted since.",
        },
    )
    yield from _of(
        Kind.HISTOGRAM,
        "{bp}",
        _OF_INSTRUMENT,
        "venue side",
        {"effective_spread_bps": "Twice the price beside the mid at receipt, an execution."},
    )
    yield from _of(
        Kind.HISTOGRAM,
        "{bp}",
        _OF_INSTRUMENT,
        "venue side horizon",
        {
            "realized_spread_bps": "Twice the price beside the mid a while later, an execution.",
            "markout_bps": "The mid a while later beside the price, an execution; positive gains.",
        },
    )
    yield from _of(
        Kind.COUNTER,
        "{execution}",
        _OF_INSTRUMENT,
        "venue side execution.kind execution.liquidity",
        {"executions": "Accepted events of executions."},
    )
    traded = {"volume": "Executed quantity.", "notional": "Executed quantity at its price."}
    for (name, text), unit in zip(traded.items(), ("{contract}", _MONEY), strict=True):
        reversed_text = f"{text} The part that was corrected or busted since."
        texts = {name: text, f"{name}.reversed": reversed_text}
        yield from _of(Kind.COUNTER, unit, _OF_INSTRUMENT, "venue side", texts)
    yield from _of(
        Kind.SUM, _MONEY, _OF_INSTRUMENT, "", {"fees": "Fees paid, less rebates, as charged."}
    )


def _orders() -> Iterable[Metric]:
    yield from _of(
        Kind.HISTOGRAM,
        "{bp}",
        _OF_INSTRUMENT,
        "side component",
        {"shortfall_bps": "Implementation shortfall, a root order and component."},
    )
    yield from _of(
        Kind.COUNTER,
        "{order}",
        _OF_INSTRUMENT,
        "venue order.state",
        {"orders": "Events of orders, by the state that they tell."},
    )
    yield from _of(
        Kind.GAUGE,
        "1",
        _OF_INSTRUMENT,
        "venue",
        {"fill_ratio": "Filled by ordered quantity of orders closed in the last hour."},
    )
    yield from _of(
        Kind.HISTOGRAM,
        "s",
        _OF_INSTRUMENT,
        "venue stage",
        {"order.latency": "Time from one stage of an order to the next."},
    )


def _positions() -> Iterable[Metric]:
    yield from _of(
        Kind.GAUGE,
        "{contract}",
        _OF_INSTRUMENT,
        "",
        {"position.quantity": "Quantity held; negative is short."},
    )
    yield from _of(
        Kind.GAUGE,
        _MONEY,
        _OF_INSTRUMENT,
        "",
        {
            "position.average_price": "Average price of what is held.",
            "position.value": "What is held, at its current price.",
            "pnl.realized": "Profit of what was closed, before fees.",
            "pnl.net": "Realised and unrealised profit less fees.",
        },
    )
    yield from _of(
        Kind.GAUGE,
        _MONEY,
        _OF_INSTRUMENT,
        "price_source",
        {"pnl.unrealized": "Profit of what is held, at the price of the source."},
    )


def _accounts() -> Iterable[Metric]:
    yield from _of(
        Kind.GAUGE,
        _MONEY,
        _OF_ACCOUNT,
        "",
        {
            "portfolio.equity": "Starting equity, cash and net profit.",
            "portfolio.exposure.gross": "Sum of the values of all positions, signs aside.",
            "portfolio.exposure.net": "Sum of the values of all positions.",
        },
    )
    yield from _of(
        Kind.GAUGE,
        "",
        _OF_ACCOUNT,
        "",
        {
            "portfolio.leverage": "Gross exposure by equity.",
            "portfolio.concentration.hhi": "Sum of the squared shares of gross exposure.",
            "portfolio.concentration.top3": "Share of the largest three in gross exposure.",
            "portfolio.open_positions": "Instruments that are held.",
            "risk.drawdown": "Fall of the return index from its peak.",
            "risk.drawdown_max": "Greatest such fall.",
            "risk.sharpe": "Annual Sharpe ratio.",
            "risk.sortino": "Annual Sortino ratio.",
            "risk.calmar": "Annual return by greatest drawdown.",
            "risk.win_rate": "Round trips that won, by those that won or lost.",
            "risk.profit_factor": "What round trips won by what they lost.",
        },
    )
    yield from _of(
        Kind.GAUGE,
        _MONEY,
        _OF_ACCOUNT,
        "confidence",
        {"risk.var": "Historical value at risk of one period; a loss is positive."},
    )


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in sorted(
            (*_executions(), *_orders(), *_positions(), *_accounts()),
            key=lambda metric: metric.name,
        )
    }
)
"""All of them by name, in the order of their names."""
