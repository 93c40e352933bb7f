"""The promtool tests of an SLO's alerts: each fires, and is silent just below and by its guard.

All of one system's series are evaluated in each test, so a test is as short as the longest `for`
allows: a constant part of bad events is the same part in every window that has begun.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from tapeline.alerting.example_series import ExampleError, labels_for, parse_selector, series_text
from tapeline.alerting.slo import BURN_PAIRS, BurnPair, Indicator, Slo
from tapeline.alerting.slo_alerts import alert_annotations, alert_labels
from tapeline.alerting.slo_queries import bucket_bound
from tapeline.pipeline.prometheus_durations import UNITS_MS, duration_milliseconds

__all__ = ["rule_tests"]

_STEP_MIN: Final = 20
"""Minutes between evaluations: what takes long is that there are many."""
_BAD_MIN: Final = 320
"""Minutes of bad events: the longest `for` (3 h), and what the guards need before it begins."""
_GOOD_MIN: Final = 20
"""Minutes without any after them: the short windows of the pages forget."""
_SAMPLE_S: Final = 120
_GAUGE_SAMPLE_S: Final = 30
_LOOKS: Final = 3
"""Evaluations after which the fastest page would fire, if it had no guard."""
_NEAR: Final = Decimal("0.99")
_OVER: Final = Decimal("1.01")

Case = dict[str, Any]


@dataclass(frozen=True)
class _Input:
    """A part of bad events for `_BAD_MIN` minutes, then none for `_GOOD_MIN`."""

    bad_ratio: Decimal

    def ratio(self, window: str, *, ended_min: int) -> Fraction:
        """Return the part of bad ones in a window, so many minutes after the bad ones ended."""
        window_min = duration_milliseconds(window) // UNITS_MS["m"]
        minutes = min(window_min, _BAD_MIN + ended_min)
        return Fraction(self.bad_ratio) * max(0, minutes - ended_min) / minutes

    def firing(self, slo: Slo, *, ended_min: int) -> list[BurnPair]:
        """Return the pairs that fire then."""
        return [
            pair
            for pair in BURN_PAIRS
            if all(
                self.ratio(window, ended_min=ended_min) > Fraction(pair.factor * slo.budget)
                for window in (pair.long, pair.short)
            )
        ]


@dataclass(frozen=True)
class _Values:
    """What the counters of all, good and bad events are given, as promtool expands it."""

    total: str
    good: str
    bad: str


def rule_tests(slos: Sequence[Slo], rule_file: Path) -> dict[str, Any]:
    """Return the test file of one system's rules."""
    groups = [
        f"slo_{slo.system}_{slo.name.replace('-', '_')}{part}"
        for slo in slos
        for part in ("_counted", "_long", "")
    ]
    return {
        "rule_files": [str(rule_file)],
        "evaluation_interval": f"{_STEP_MIN}m",
        "group_eval_order": groups,
        "tests": [case for slo in slos for case in _cases(slo)],
    }


def _cases(slo: Slo) -> list[Case]:
    try:
        return list(_made_cases(slo))
    except ExampleError as error:
        raise ExampleError(f"{slo.name}: {error}") from error


def _made_cases(slo: Slo) -> Iterator[Case]:
    if slo.indicator.at_most is not None or slo.indicator.at_least is not None:
        # A sample is good or bad, so its bound is what is tested.
        yield _case(slo, f"{slo.alert} fires", _Input(Decimal(1)))
        yield _case(slo, f"{slo.alert} is silent just below", _Input(Decimal(0)))
    else:
        most = min(Decimal(1), BURN_PAIRS[0].factor * slo.budget * _OVER)
        yield _case(slo, f"{slo.alert} fires", _Input(most))
        for pair in BURN_PAIRS[:-1]:
            name = f"{slo.alert} of {pair.long} is silent just below"
            yield _case(slo, name, _Input(pair.factor * slo.budget * _NEAR))
        least = _Input(BURN_PAIRS[-1].factor * slo.budget * _NEAR)
        yield _case(slo, f"{slo.alert} is silent just below", least)
    guarded = _guarded(slo)
    if guarded is not None:
        yield guarded


def _case(slo: Slo, name: str, given: _Input) -> Case:
    sample_s = _SAMPLE_S if slo.indicator.counts_events else _GAUGE_SAMPLE_S
    alerts = [
        _expected(slo, _BAD_MIN, given.firing(slo, ended_min=0)),
        _expected(slo, _BAD_MIN + _GOOD_MIN, given.firing(slo, ended_min=_GOOD_MIN)),
    ]
    return {
        "name": name,
        "interval": f"{sample_s}s",
        "input_series": list(_series(slo, given.bad_ratio)),
        "alert_rule_test": alerts,
    }


def _expected(slo: Slo, minute: int, pairs: Sequence[BurnPair]) -> Case:
    return {
        "eval_time": f"{minute}m",
        "alertname": slo.alert,
        "exp_alerts": [
            {"exp_labels": alert_labels(slo, pair), "exp_annotations": alert_annotations(slo, pair)}
            for pair in pairs
        ],
    }


def _series(slo: Slo, bad_ratio: Decimal) -> Iterator[Mapping[str, str]]:
    """Yield the input: events at a rate that passes every guard within minutes."""
    if slo.indicator.good_gauge is not None:
        yield _gauge(slo.indicator, bad_ratio)
        return
    events = max(1_000_000, *(slo.guard(pair) for pair in BURN_PAIRS))
    yield from _counters(slo.indicator, Decimal(events), Decimal(round(events * bad_ratio)))


def _gauge(indicator: Indicator, bad_ratio: Decimal) -> Mapping[str, str]:
    """Return a gauge that is bad to this degree, then well: exactly at its bound, if it has one."""
    steps, more = (minutes * 60 // _GAUGE_SAMPLE_S for minutes in (_BAD_MIN, _GOOD_MIN))
    good, bad = Decimal(1), 1 - bad_ratio
    bound = indicator.at_most if indicator.at_most is not None else indicator.at_least
    if bound is not None:
        good = Decimal(repr(bound))
        beyond = max(abs(good), Decimal(1)) / 100
        bad = good + beyond * bad_ratio * (1 if indicator.at_least is None else -1)
    return {"series": _gauge_series(indicator), "values": f"{bad:f}x{steps} {good:f}x{more}"}


def _gauge_series(indicator: Indicator) -> str:
    gauge = parse_selector(str(indicator.good_gauge))
    return series_text(gauge.name, labels_for(gauge.matchers))


def _counters(indicator: Indicator, events: Decimal, bad: Decimal) -> Iterator[Mapping[str, str]]:
    """Yield counters that grow so much in each step, the bad ones up to `_BAD_MIN`."""
    steps, more = (minutes * 60 // _SAMPLE_S for minutes in (_BAD_MIN, _GOOD_MIN))
    good = events - bad
    after = f"{good * steps + events:f}+{events:f}x{more - 1}"
    values = _Values(
        total=f"0+{events:f}x{steps + more}",
        good=f"0+{good:f}x{steps} {after}",
        bad=f"0+{bad:f}x{steps} {bad * steps:f}x{more - 1}",
    )
    yield from _event_series(indicator, values)


def _event_series(indicator: Indicator, values: _Values) -> Iterator[Mapping[str, str]]:
    """Yield the counters that an indicator reads."""
    if indicator.latency is not None:
        latency = indicator.latency
        labels = labels_for(parse_selector(f"x{{{latency.selector}}}").matchers)
        within = {**labels, "le": bucket_bound(latency.at_most)}
        yield _one(f"{latency.histogram}_count", labels, values.total)
        yield _one(f"{latency.histogram}_bucket", within, values.good)
        return
    total = parse_selector(str(indicator.total))
    part = parse_selector(indicator.errors or str(indicator.good))
    part_values, rest = values.bad, values.good
    if indicator.errors is None:
        part_values, rest = values.good, values.bad
    if part.name != total.name:
        yield _one(part.name, labels_for(part.matchers), part_values)
        yield _one(total.name, labels_for(total.matchers), values.total)
        return
    yield _one(part.name, labels_for((*total.matchers, *part.matchers)), part_values)
    yield _one(total.name, labels_for(total.matchers, refused=part.matchers), rest)


def _one(name: str, labels: Mapping[str, str], values: str) -> Mapping[str, str]:
    return {"series": series_text(name, labels), "values": values}


def _guarded(slo: Slo) -> Case | None:
    """Return the case in which everything is bad, but too little of it for each pair's guard."""
    least = min(slo.guard(pair) for pair in BURN_PAIRS)
    case = {"name": f"{slo.alert} is silent by its volume guard"}
    if slo.indicator.good_gauge is not None:
        if least <= _LOOKS:
            return None
        bad = _gauge(slo.indicator, Decimal(1))["values"].partition("x")[0]
        unseen = _STEP_MIN * 60 // _GAUGE_SAMPLE_S - 2
        # One sample at each evaluation, which ends at once: the part of bad ones is all of them.
        values = " ".join([f"{bad} stale _x{unseen - 1}"] * (_LOOKS - 1) + [bad])
        return {
            **case,
            "interval": f"{_GAUGE_SAMPLE_S}s",
            "input_series": [{"series": _gauge_series(slo.indicator), "values": values}],
            "alert_rule_test": [_expected(slo, (_LOOKS - 1) * _STEP_MIN, [])],
        }
    steps = _BAD_MIN * 60 // _SAMPLE_S
    some = f"0+{(_NEAR * least / (steps + 1)).quantize(Decimal('0.0001'), ROUND_DOWN):f}x{steps}"
    none = f"0x{steps}"
    return {
        **case,
        "interval": f"{_SAMPLE_S}s",
        "input_series": list(_event_series(slo.indicator, _Values(some, none, some))),
        "alert_rule_test": [_expected(slo, _BAD_MIN, [])],
    }
