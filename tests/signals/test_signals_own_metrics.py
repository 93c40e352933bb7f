"""What the signals count of themselves: that of metadata.yaml, bounded, and it moves."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tapeline.signals
from signal_steps import at, built, event, fill, other, samples
from tapeline.signals.decimals import NumberFault
from tapeline.signals.intake import IntakeFault
from tapeline.signals.mapping_times import TimeFault
from tapeline.signals.mappings import MappingFault
from tapeline.signals.metrics import (
    EVENT_KINDS,
    FIGURES,
    LATE_KINDS,
    MISSING,
    STORE_FAILURES,
    metrics_on,
)
from tapeline.signals.processor import SignalsProcessor
from tapeline.signals.reading import EventFault
from trading_requests import batch, log

METADATA: dict[str, Any] = yaml.safe_load(
    Path(tapeline.signals.__file__).with_name("metadata.yaml").read_text(encoding="utf-8")
)
PREFIX = "tapeline_signals_"
REFUSALS = {*EventFault, *NumberFault, *IntakeFault, *TimeFault, *MappingFault}


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry with the metrics, before anything came."""
    registry = CollectorRegistry()
    metrics_on(registry)
    return registry


def values_of(registry: CollectorRegistry, name: str) -> set[str]:
    """Return the values of a metric's only label."""
    return {key[1] for key in samples(registry) if key[0] == name}


def test_the_file_and_the_code_name_the_same_metrics(registry: CollectorRegistry) -> None:
    """Type, description and labels included; one refused event, since those have no zeros."""
    processor = built(registry=registry)
    processor.process(fill("e1", price="?"), at(0))
    processor.tick(at(0))
    in_code = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        in_code[name] = (family.type, family.documentation, labels)

    assert in_code == {
        name: (listed["type"], listed["description"], set(listed["attributes"]))
        for name, listed in METADATA["metrics"].items()
        if name.startswith(PREFIX)
    }


def test_the_file_and_the_code_name_the_same_values(registry: CollectorRegistry) -> None:
    """Whoever writes an alert reads the file."""
    of_code = {
        "kind": {*EVENT_KINDS, *LATE_KINDS, *values_of(registry, "duplicate_events_total")},
        "figure": set(FIGURES),
        "limit": values_of(registry, "limit_hits_total"),
        "reason": {
            *REFUSALS,
            *values_of(registry, "without_effect_total"),
            *MISSING,
            *STORE_FAILURES,
        },
    }
    for label, values in of_code.items():
        assert set(METADATA["attributes"][label]["values"]) == values, label


def test_counters_begin_at_nothing(registry: CollectorRegistry) -> None:
    """A rate over a counter that begins with its first event hides that event."""
    found = samples(registry)
    assert set(found.values()) == {0}
    names = {name for name, *_ in found}
    counters = {
        name.removeprefix(PREFIX)
        for name, listed in METADATA["metrics"].items()
        if name.startswith(PREFIX) and listed["type"] == "counter"
    }
    assert counters - names == {"rejected_events_total"}


def test_a_scrape_is_readable_whatever_a_mapping_is_called(registry: CollectorRegistry) -> None:
    """Labels come from the configuration and from the convention, never from an event."""
    section = {
        "mappings": [
            {
                "name": 'fills "of"\\ \n the gateway',
                "match": {"signal": "logs", "resource": {"service.name": "g"}},
                "event": "trading.execution",
                "fields": {"trading.execution.id": "body.id"},
            }
        ]
    }
    processor = built(section, registry=registry)
    for index in range(50):
        hostile: dict[str, Any] = {
            "side": f"s{index}",
            "instrument": f'"{index}',
            "account": f"a\n{index}",
        }
        processor.process(fill(f"e{index}", **hostile), at(0))
        record = log("", resource={"service.name": "g", "trading.side": f"s{index}"})
        processor.process(batch(record), at(0))
    processor.tick(at(0))
    text = generate_latest(registry).decode()
    read = {
        tuple(sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{PREFIX}rejected_events_total"
    }
    by_name = {"reason": "unknown_value", "attribute": "trading.side", "mapping": ""}
    mapped = {
        "reason": "missing",
        "attribute": "trading.instrument",
        "mapping": 'fills "of"\\ \n the gateway',
    }
    assert read == {tuple(sorted(labels.items())) for labels in (by_name, mapped)}


def steps(processor: SignalsProcessor) -> None:
    """Send what each of the first counters is there for."""
    processor.process(fill("e1"), at(0))
    processor.process(fill("e1"), at(0))
    processor.process(fill("e1", price="7"), at(0))
    processor.process(fill("e2", side="?"), at(0))
    processor.process(fill("e3", instrument="XYZ", fee="1", fee_currency="JPY"), at(0))
    bust = {"execution__kind": "bust", "instrument": "BTCUSDT"}
    processor.process(
        event("execution", 1, execution__id="b1", execution__ref_id="nobody", **bust), at(1)
    )
    order = {"order__id": "o1", "order__state": "submitted", "instrument": "BTCUSDT"}
    processor.process(event("order", 2, **order), at(2))
    processor.process(other(60), at(60))
    processor.process(fill("late", 10), at(61))


def test_each_counts_what_it_says(registry: CollectorRegistry) -> None:
    """By what was sent."""
    processor = built(registry=registry)
    steps(processor)
    processor.tick(at(61))
    found = {key: value for key, value in samples(registry).items() if value}
    assert found == {
        ("events_total", "trade"): 5,
        ("events_total", "bust"): 1,
        ("events_total", "order"): 1,
        ("late_events_total", "execution"): 1,
        ("duplicate_events_total", "execution"): 1,
        ("conflicting_events_total", "execution"): 1,
        ("rejected_events_total", "unknown_value", "trading.side", ""): 1,
        ("unknown_instruments_total",): 1,
        ("missing_samples_total", "slippage_decision", "no_benchmark"): 3,
        ("missing_samples_total", "slippage_arrival", "no_benchmark"): 3,
        ("missing_samples_total", "slippage_limit", "no_benchmark"): 3,
        ("missing_samples_total", "slippage_quote", "no_benchmark"): 3,
        ("missing_samples_total", "effective_spread", "no_mid_at_receipt"): 3,
        ("missing_samples_total", "realized_spread", "no_mid_at_receipt"): 4,
        ("missing_samples_total", "markout", "no_later_mid"): 4,
        ("missing_rates_total",): found["missing_rates_total",],
        ("open_orders",): 1,
        ("watermark_lag_seconds",): 6,
        ("series",): len(processor._recorder.engine.series),
        ("positions",): 2,
        ("held_executions",): 4,
        ("parked_references",): 1,
    }
    assert found["missing_rates_total",] >= 1


def test_a_registry_has_the_metrics_once() -> None:
    """Two collectors on one registry would be one scrape with each series twice."""
    registry = CollectorRegistry()
    assert metrics_on(registry) is metrics_on(registry)
    assert len({family.name for family in registry.collect()}) == len(list(registry.collect()))
