"""The metrics that the transport has are those that its metadata.yaml lists."""

from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tapeline.transport
from tapeline.tap.metrics import DoorMetrics, TapMetrics
from tapeline.transport.answers import Code, Event
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.workers import Workers

METADATA = Path(tapeline.transport.__file__).with_name("metadata.yaml")


def listed() -> dict[str, dict[str, Any]]:
    """Return the metrics that the file lists."""
    metrics: dict[str, dict[str, Any]] = yaml.safe_load(METADATA.read_text(encoding="utf-8"))[
        "metrics"
    ]
    return metrics


def exposed() -> dict[str, dict[str, Any]]:
    """Return what the code exposes, in the file's shape."""
    registry = CollectorRegistry()
    TransportMetrics(registry)
    Workers(("true",), 1, registry)
    TapMetrics(registry)
    DoorMetrics(registry)
    found = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels: set[str] = set()
        for sample in family.samples:
            labels |= set(sample.labels) - {"le"}
        found[name] = {"type": family.type, "labels": labels, "description": family.documentation}
    return found


def test_the_file_and_the_code_name_the_same_metrics() -> None:
    """Type and description included; labels where a series exists before the first event."""
    in_file, in_code = listed(), exposed()

    assert set(in_file) == set(in_code)
    for name, of_code in in_code.items():
        assert in_file[name]["type"] == of_code["type"], name
        assert in_file[name]["description"] == of_code["description"], name
        if not name.startswith("tapeline_worker_"):  # made when a worker is
            assert set(in_file[name]["labels"]) == of_code["labels"], name


def test_every_failure_counter_names_its_attempts() -> None:
    """A rate of failures is only readable beside the rate of attempts."""
    metrics = listed()

    failures = [
        name
        for name in metrics
        if any(word in name for word in ("fail", "refused", "dropped", "suspicions", "rejected"))
    ]
    assert len(failures) > 5
    for name in failures:
        assert metrics[name]["attempts"] in metrics, name


def test_every_series_exists_before_the_first_request() -> None:
    """A series that begins with its first failure hides that failure from a rate."""
    registry = CollectorRegistry()
    TransportMetrics(registry)
    text = generate_latest(registry).decode()

    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")  # there until a sidecar was made in this process
    ]
    reasons = {s.labels["reason"] for s in samples if s.name == "tapeline_refused_requests_total"}
    codes = {s.labels["answer"] for s in samples if s.name == "tapeline_requests_total"}
    assert reasons == {event.value for event in Event} - {"acknowledged", "empty"} | {
        "oversize_or_gone"
    }
    assert codes == {code.name for code in Code}
    assert all(sample.value == 0 for sample in samples)
