"""The PromQL of an SLO's indicator: how many events there were in a window, and how many bad."""

from decimal import Decimal
from typing import Final

from tapeline.alerting.slo import Indicator, Latency, Slo

__all__ = ["LABELS", "bucket_bound", "errors", "events", "recorded"]

LABELS: Final = ("slo", "system", "service")
"""What every series of an SLO carries."""

GAUGE_STEP: Final = "30s"
"""How often a gauge with a bound is looked at; `Slo.guard` counts these looks."""

_EXPONENT_MIN: Final = -4
_EXPONENT_MAX: Final = 6


def bucket_bound(bound: float) -> str:
    """Return the value of the label `le` as Prometheus 3 stores it: 100.0, 0.1, 1e+06.

    That is Go's shortest `%g` with `.0` where there is neither a point nor an exponent.
    """
    digits = Decimal(repr(bound)).normalize()
    exponent = digits.adjusted()
    if _EXPONENT_MIN <= exponent < _EXPONENT_MAX:
        plain = f"{digits:f}"
        return plain if "." in plain else f"{plain}.0"
    mantissa = f"{digits.scaleb(-exponent):f}"
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def events(indicator: Indicator, window: str) -> str:
    """Return the query of the number of events in a window, or of a gauge's samples."""
    if indicator.good_gauge is not None:
        return f"sum(count_over_time({_samples(indicator, window, judged=False)}))"
    return f"sum(increase({_total(indicator)}[{window}]))"


def errors(indicator: Indicator, window: str) -> str:
    """Return the query of the number of bad ones. No series of bad ones is zero, not nothing."""
    counted = events(indicator, window)
    if indicator.good_gauge is not None:
        return f"{counted} - sum(sum_over_time({_samples(indicator, window, judged=True)}))"
    if indicator.errors is not None:
        bad = f"(sum(increase({indicator.errors}[{window}])) or 0 * {counted})"
        # A counter of its own may count several errors of one event: no more than all are bad.
        return bad if _is_part_of_total(indicator) else f"({bad} <= {counted} or {counted})"
    good = f"(sum(increase({_good(indicator)}[{window}])) or 0 * {counted})"
    # Counters are read at moments of their own: good ones may be ahead by one.
    return f"clamp_min({counted} - {good}, 0)"


def recorded(slo: Slo, name: str) -> str:
    """Return the selector of a recorded series of one SLO."""
    return f'{name}{{slo="{slo.name}",system="{slo.system}"}}'


def _is_part_of_total(indicator: Indicator) -> bool:
    """Tell whether bad events are series of the same counter as all events."""
    return _name(indicator.errors) == _name(indicator.total)


def _name(selector: str | None) -> str:
    return (selector or "").partition("{")[0].strip()


def _samples(indicator: Indicator, window: str, *, judged: bool) -> str:
    gauge = indicator.good_gauge
    operator, bound = "<=", indicator.at_most
    if bound is None:
        operator, bound = ">=", indicator.at_least
    if bound is None:
        return f"{gauge}[{window}]"
    if not judged:
        return f"{gauge}[{window}:{GAUGE_STEP}]"
    return f"({gauge} {operator} bool {_written(bound)})[{window}:{GAUGE_STEP}]"


def _written(bound: float) -> str:
    """Return every digit of a number: `g` would cut 1234567 to 1.23457e+06."""
    return f"{Decimal(repr(bound)).normalize():f}"


def _total(indicator: Indicator) -> str:
    if indicator.latency is None:
        return str(indicator.total)
    return f"{indicator.latency.histogram}_count{_matchers(indicator.latency)}"


def _good(indicator: Indicator) -> str:
    if indicator.latency is None:
        return str(indicator.good)
    bound = f'le="{bucket_bound(indicator.latency.at_most)}"'
    return f"{indicator.latency.histogram}_bucket{_matchers(indicator.latency, bound)}"


def _matchers(latency: Latency, *more: str) -> str:
    texts = [text for text in (latency.selector, *more) if text]
    return f"{{{','.join(texts)}}}" if texts else ""
