"""The table of metrics is what the convention and metadata.yaml say."""

import re
from pathlib import Path
from typing import Any

import yaml

import tapeline.signals
from markdown_pages import ROOT, page
from tapeline.signals.metric_table import METRICS, Kind

METADATA = Path(tapeline.signals.__file__).with_name("metadata.yaml")
_KINDS = {
    "histogram": Kind.HISTOGRAM,
    "monotonic sum": Kind.COUNTER,
    "sum": Kind.SUM,
    "gauge": Kind.GAUGE,
}
_CODE = re.compile(r"`([^`]+)`")


def convention() -> dict[str, tuple[Kind, str, set[str]]]:
    """Return kind, unit and further attributes of each metric in section 3 of the convention."""
    read = page(ROOT / "docs" / "trading-convention.md")
    found: dict[str, tuple[Kind, str, set[str]]] = {}
    further: set[str] = set()
    for names, kind, units, attributes in read.table("name"):
        if attributes != "same":
            further = set(_CODE.findall(attributes)) - {"0.95", "0.99"}
        groups = [_CODE.findall(group) for group in names.split(";")]
        of_groups = [_CODE.findall(unit) or [""] for unit in units.split(";")]
        for group, (unit,) in zip(groups, of_groups, strict=True):
            family = group[0].rpartition(".")[0]
            for name in group:
                whole = name if name.startswith("trading.") else family + name
                found[whole] = (_kind(kind), unit, further)
    # The table's row names the source of the price in words.
    for name, (kind_, unit, _) in found.items():
        if name.startswith("trading.pnl."):
            source = {"trading.price_source"} if name.endswith(".unrealized") else set()
            found[name] = (kind_, unit, source)
    return found


def _kind(text: str) -> Kind:
    return next(kind for words, kind in _KINDS.items() if text.startswith(words))


def test_metadata_lists_the_table() -> None:
    """Name, kind, unit, description, attributes and bounds of each metric agree."""
    listed: dict[str, dict[str, Any]] = yaml.safe_load(METADATA.read_text(encoding="utf-8"))
    shown = {
        metric.name: {
            "description": metric.description,
            "unit": metric.unit,
            "type": metric.kind.value,
            "attributes": [f"trading.{name}" for name in metric.attributes],
            **({"bounds": [float(bound) for bound in metric.bounds]} if metric.bounds else {}),
        }
        for metric in METRICS.values()
    }

    assert shown == {
        name: entry for name, entry in listed["metrics"].items() if name.startswith("trading.")
    }


def test_every_attribute_is_described() -> None:
    """And none that no metric has."""
    listed = yaml.safe_load(METADATA.read_text(encoding="utf-8"))
    used = {name for entry in listed["metrics"].values() for name in entry["attributes"]}

    assert used == set(listed["attributes"])


def test_the_table_is_that_of_the_convention() -> None:
    """Each metric with its kind, unit and attributes, money with its currency; no more, no less."""
    told = {}
    for name, (kind, unit, further) in convention().items():
        base = {"trading.account"}
        if not name.startswith(("trading.portfolio.", "trading.risk.")):
            base |= {"trading.strategy", "trading.instrument"}
        money = {"trading.currency"} if unit == "{currency}" else set()
        told[name] = (kind, unit, base | money | further)

    assert told == {
        name: (metric.kind, metric.unit, {f"trading.{each}" for each in metric.attributes})
        for name, metric in METRICS.items()
    }


def test_bounds_are_sorted_and_belong_to_histograms_only() -> None:
    """15 of basis points around 0; of seconds from 0.0001 to 60."""
    for metric in METRICS.values():
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.bounds)
        assert list(metric.bounds) == sorted(set(metric.bounds))
    assert len(METRICS["trading.slippage_bps"].bounds) == 15
    latency = METRICS["trading.order.latency"].bounds
    assert (str(latency[0]), str(latency[-1]), len(latency)) == ("0.0001", "60", 19)


def test_names_stand_in_order() -> None:
    """What goes through the table goes in the order that is sent."""
    assert list(METRICS) == sorted(METRICS)
