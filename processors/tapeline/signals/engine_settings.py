"""What the engine needs of the configuration, as plain values. Times are in nanoseconds. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.instruments import Account, Instruments
from tapeline.signals.risk import DAY_NS

__all__ = ["DEFAULT_HORIZONS_NS", "EngineSettings", "Limits"]

SECOND_NS: Final = 1_000_000_000
DEFAULT_HORIZONS_NS: Final = (SECOND_NS, 10 * SECOND_NS, 60 * SECOND_NS, 300 * SECOND_NS)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept at most; what finds no room is counted, and never half-booked."""

    executions: int = 2_000_000
    """In the revision window."""
    parked: int = 10_000
    """References that wait for what they refer to."""
    orders: int = 200_000
    positions: int = 200_000
    accounts: int = 10_000
    instruments: int = 100_000
    quotes: int = 1_000_000
    waiting: int = 1_000_000
    """Executions that wait for a horizon."""
    pending: int = 2_000_000
    """Events that wait for the watermark."""
    series: int = 100_000


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How events become figures; the defaults are those of docs/trading-convention.md."""

    instruments: Instruments = field(default_factory=Instruments)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """Those that are listed; any other one takes the defaults of `Account`."""
    pairs: tuple[CurrencyPair, ...] = ()
    max_lateness_ns: int = 5 * SECOND_NS
    idle_timeout_ns: int = 30 * SECOND_NS
    max_quote_age_ns: int = 60 * SECOND_NS
    max_mark_age_ns: int | None = None
    order_grace_ns: int = 5 * SECOND_NS
    revision_window_ns: int = 7 * DAY_NS
    horizons_ns: tuple[int, ...] = DEFAULT_HORIZONS_NS
    risk_period_ns: int = DAY_NS
    periods_per_year: float | None = None
    """None: 365 days divided by the period."""
    flat_series_ns: int = 900 * SECOND_NS
    """How long the gauges of a position that went flat stay at zero."""
    workers: int = 0
    """How many share the accounts; 0: nobody said."""
    limits: Limits = field(default_factory=Limits)
