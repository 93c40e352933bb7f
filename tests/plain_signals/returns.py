"""Period returns of an account and the risk in them. Sections 2 and 5, "Risk", "Returns"."""

from dataclasses import dataclass, field, replace
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction
from math import floor, isinf, prod, sqrt

from plain_signals.known import Known, named
from plain_signals.portfolio import equity
from plain_signals.positions import Gauges
from plain_signals.samples import account_of
from tapeline.signals.events import Cash, Execution, Order

YEAR_NS = 365 * 86_400_000_000_000


@dataclass
class Record:
    """Time-weighted returns; it begins with the first equity above 0."""

    has_begun: bool = False
    start: Fraction | None = None
    factor: Fraction | None = Fraction(1)
    """Of the closed sub-periods of the open period; None where one had no return."""
    returns: list[Fraction] = field(default_factory=list)
    last_equity: Fraction | None = None

    def link(self, now: Fraction | None) -> None:
        """Close a sub-period."""
        if self.factor is None or not _positive(self.start) or not _positive(now):
            self.factor = None
        else:
            assert now is not None
            assert self.start is not None
            self.factor *= now / self.start

    def begin(self, now: Fraction | None) -> None:
        """Begin where nothing has begun yet."""
        if not self.has_begun and _positive(now):
            self.has_begun, self.start, self.factor = True, now, Fraction(1)

    def close(self, now: Fraction | None) -> None:
        """Close a period."""
        if not self.has_begun:
            self.begin(now)
            return
        self.link(now)
        if self.factor is not None:
            self.returns.append(self.factor - 1)
        self.last_equity = now
        self.start, self.factor = now, Fraction(1)


def _positive(value: Fraction | None) -> bool:
    return value is not None and value > 0


def record(known: Known, account: str) -> Record:
    """Return the returns of an account from its first event to the end."""
    found = Record()
    period_ns = known.settings.risk_period_ns
    own = [
        event
        for event in known.events
        if isinstance(event, Cash | Execution | Order) and event.account == account
    ]
    found.begin(Fraction(account_of(known, account).starting_equity))
    boundary_ns = (own[0].time_ns // period_ns + 1) * period_ns
    for count, event in enumerate(known.events):
        while boundary_ns <= event.time_ns:
            found.close(equity(known.before(boundary_ns), account))
            boundary_ns += period_ns
        if isinstance(event, Cash) and event.account == account:
            before = replace(known, events=known.events[:count], time_ns=event.time_ns)
            after = equity(known.up_to(count + 1), account)
            if found.has_begun:
                found.link(equity(before, account))
                found.start = after
            else:
                found.begin(after)
    while boundary_ns <= known.time_ns:
        found.close(equity(known.before(boundary_ns), account))
        boundary_ns += period_ns
    found.begin(equity(known, account))
    return found


def risk_gauges(known: Known, accounts: list[str]) -> Gauges:
    """Return drawdowns, ratios and value at risk of every account."""
    found: Gauges = {}
    for account in accounts:
        of = record(known, account)
        if not of.has_begun:
            continue
        key = named(account=account)
        found |= {(f"trading.risk.{name}", key): v for name, v in _falls(known, account, of)}
        found |= {(f"trading.risk.{name}", key): v for name, v in _ratios(known, of)}
        drawdown_max = found.get(("trading.risk.drawdown_max", key), Fraction(0))
        calmar = _calmar(known, of.returns, float(drawdown_max))
        if calmar is not None:
            found["trading.risk.calmar", key] = calmar
        if len(of.returns) >= 2 and of.last_equity is not None:
            base = account_of(known, account).base_currency
            for confidence in ("0.95", "0.99"):
                var = -_percentile(of.returns, 1 - Fraction(confidence)) * of.last_equity
                var_key = named(account=account, currency=base, confidence=confidence)
                found["trading.risk.var", var_key] = var
    return found


def _falls(known: Known, account: str, of: Record) -> list[tuple[str, Fraction]]:
    points = [Fraction(1)]
    for each in of.returns:
        points.append(points[-1] * (1 + each))
    now = replace(of)
    now.link(equity(known, account))
    if now.factor is not None:
        points.append(points[-1] * now.factor)
    elif not of.returns:
        return []
    falls = [1 - point / max(points[: n + 1]) for n, point in enumerate(points)]
    current = [] if now.factor is None else [("drawdown", falls[-1])]
    return [*current, ("drawdown_max", max(falls))]


def _ppy(known: Known) -> float:
    return known.settings.periods_per_year or YEAR_NS / known.settings.risk_period_ns


def _ratios(known: Known, of: Record) -> list[tuple[str, float]]:
    returns = of.returns
    if len(returns) < 2:
        return []
    mean = sum(returns, Fraction(0)) / len(returns)
    variance = sum(((r - mean) ** 2 for r in returns), Fraction(0)) / (len(returns) - 1)
    downside = sum((min(r, Fraction(0)) ** 2 for r in returns), Fraction(0)) / len(returns)
    named_squares = [("sharpe", variance), ("sortino", downside)]
    return [
        (name, float(mean) / sqrt(square) * sqrt(_ppy(known)))
        for name, square in named_squares
        if square > 0
    ]


def _calmar(known: Known, returns: list[Fraction], drawdown_max: float) -> float | None:
    if len(returns) < 2 or drawdown_max == 0:
        return None
    growth = prod(1 + each for each in returns)
    with localcontext(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN):
        # A double of the growth would be off by 1e-16: times the periods of a year, over a small
        # drawdown, that is a figure of its own.
        logarithm = (Decimal(growth.numerator) / growth.denominator).ln()
        annual = (logarithm * Decimal(_ppy(known)) / len(returns)).exp() - 1
        ratio = float(annual / Decimal(drawdown_max))
    return None if isinf(ratio) else ratio


def _percentile(values: list[Fraction], share: Fraction) -> Fraction:
    """Return a percentile with linear interpolation between the two nearest values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
