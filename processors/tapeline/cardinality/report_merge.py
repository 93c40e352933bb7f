"""One report of several workers' reports.

The collector sends all points of a metric to one worker (`routing_key: metric`), so sums are exact.
Where it does otherwise they still are for streams, each of which comes to one worker, and for
evictions and refusals; a label's distinct values are then the most that one worker saw, which is
too few where workers saw different ones. Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tapeline.cardinality.report import MAX_LABELS, MAX_METRICS, MAX_SAMPLES, Report

__all__ = ["merge_reports"]

_SUMMED: Final = ("admitted", "overflowed_streams", "demand", "evictions", "state_bytes")


def merge_reports(reports: Sequence[Report]) -> Report:
    """Return one report of all workers; raises ValueError where there is none.

    Limits of one metric hold for each worker and are shown as they are; the limit on all series is
    divided among workers and so is added up. Ratios are those of the worst worker.
    """
    if not reports:
        raise ValueError("no reports to merge")
    metrics = _merged_by(_all(reports, "metrics"), lambda one: one["metric"], _metric)
    metrics.sort(key=lambda one: (-one["ratio"], one["metric"]))
    texts = _merged_by(_all(reports, "texts"), lambda one: (one["kind"], one["name"]), _text)
    left_out = sum(report["metrics_left_out"] for report in reports)
    return {
        "mode": reports[0]["mode"],
        "metrics": metrics[:MAX_METRICS],
        "metrics_left_out": left_out + max(len(metrics) - MAX_METRICS, 0),
        "texts": texts,
        "totals": _totals([report["totals"] for report in reports]),
    }


def _all(reports: Sequence[Report], name: str) -> list[Report]:
    return [one for report in reports for one in report[name]]


def _merged_by(
    reports: Iterable[Report],
    key: Callable[[Report], object],
    merge: Callable[[Sequence[Report]], Report],
) -> list[Report]:
    groups: dict[object, list[Report]] = {}
    for report in reports:
        groups.setdefault(key(report), []).append(report)
    return [merge(group) if len(group) > 1 else group[0] for group in groups.values()]


def _metric(reports: Sequence[Report]) -> Report:
    labels = _merged_by(_all(reports, "labels"), lambda one: one["label"], _label)
    labels.sort(key=lambda one: (-one["distinct_values"], one["label"]))
    return {
        **reports[0],
        **{name: sum(one[name] for one in reports) for name in _SUMMED},
        "limit": max(one["limit"] for one in reports),
        "ratio": max(one["ratio"] for one in reports),
        "refused": _added(one["refused"] for one in reports),
        "labels": labels[:MAX_LABELS],
    }


def _label(reports: Sequence[Report]) -> Report:
    worst = max(reports, key=lambda one: int(one["distinct_values"]))
    samples = dict.fromkeys(sample for one in reports for sample in one["samples"])
    offenders: dict[str, int] = {}
    for one in _all(reports, "top_offenders"):
        offenders[one["value"]] = offenders.get(one["value"], 0) + one["streams"]
    ranked = sorted(offenders.items(), key=lambda item: (-item[1], item[0]))
    fixes = [one["fix"] for one in reports if one["fix"] is not None]
    merged = {
        **worst,
        "samples": list(samples)[:MAX_SAMPLES],
        "top_offenders": [
            {"value": value, "streams": streams} for value, streams in ranked[:MAX_SAMPLES]
        ],
        "fix": worst["fix"] or (fixes[0] if fixes else None),
    }
    if "admitted_values" in worst:
        merged["admitted_values"] = max(one.get("admitted_values", 0) for one in reports)
    return merged


def _text(reports: Sequence[Report]) -> Report:
    return {
        **reports[0],
        "admitted": max(one["admitted"] for one in reports),
        "replaced": sum(one["replaced"] for one in reports),
    }


def _totals(totals: Sequence[Mapping[str, Any]]) -> Report:
    return {
        name: _added(one[name] for one in totals)
        if isinstance(totals[0][name], Mapping)
        else sum(one[name] for one in totals)
        for name in totals[0]
    }


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    added: dict[str, int] = {}
    for of_one in counts:
        for name, count in of_one.items():
            added[name] = added.get(name, 0) + count
    return added
