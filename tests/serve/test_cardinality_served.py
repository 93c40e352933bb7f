"""`/cardinality` of a running gate: what two workers limit, on one page, after the redaction."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from prometheus_client.parser import text_string_to_metric_families

from fake_secrets import secret_text, seeded
from gate_answers import ask
from gate_workers import running_workers
from otlp_client import key_values
from ports import HOST, ports_in_a_row
from sidecars import client
from tapeline.otlp.signals import Signal
from waiting import eventually

LIMIT = 20
SECRET = secret_text(seeded(1))
UUIDS = [str(uuid.UUID(int=seeded(number).getrandbits(128), version=4)) for number in range(100)]


@dataclass
class Gate:
    """A running gate of two workers."""

    config: Path
    port: int

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of what the admin server answers."""
        status, _, text = ask(self.port + 2, path)
        return status, text

    def report(self) -> dict[str, Any]:
        """Return the page's data."""
        status, text = self.get("/cardinality?format=json")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def values(self, name: str) -> dict[tuple[str, str], float]:
        """Return a metric's values by worker and metric name."""
        return {
            (sample.labels["worker"], sample.labels["metric"]): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name
        }

    def send(self, worker: int, name: str, points: Sequence[dict[str, str]]) -> None:
        """Send a counter's points, one for each set of labels, to a worker."""
        request = ExportMetricsServiceRequest()
        container = request.resource_metrics.add()
        container.resource.attributes.extend(key_values({"service.name": "gateway"}))
        metric = container.scope_metrics.add().metrics.add(name=name)
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = (
            AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        )
        now = time.time_ns()
        for labels in points:
            point = metric.sum.data_points.add(
                start_time_unix_nano=now - 1_000_000_000, time_unix_nano=now, as_int=1
            )
            point.attributes.extend(key_values(labels))
        with client(f"{HOST}:{self.port + worker}") as sender:
            answer = sender.export(request.SerializeToString(), Signal.METRICS)
        assert answer.code.name == "OK", answer


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Run a gate of two workers, one of them flooded."""
    folder = tmp_path_factory.mktemp("gate")
    port = ports_in_a_row(3)
    config = folder / "gate.yaml"
    document: dict[str, object] = {
        "server": {"listen": f"{HOST}:{port}", "workers": 2},
        "downstream": {"endpoint": "discard"},
        "admin": {"listen": f"{HOST}:{port + 2}"},
        "chain": {"logs": [], "traces": [], "metrics": ["redaction", "cardinality"]},
        "cardinality": {"default_limit": LIMIT},
    }
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    with running_workers(config, port + 2):
        running = Gate(config, port)
        running.send(
            0,
            "orders.placed",
            [{"order.id": one, "note": f"password={SECRET}", "side": "buy"} for one in UUIDS],
        )
        running.send(1, "fills", [{"venue": f"venue-{number}"} for number in range(5)])
        yield running


def test_both_workers_are_on_one_page(gate: Gate) -> None:
    """The flooded metric first, with its demand, and the other as it is."""
    report = gate.report()

    assert report["workers"] == {"asked": 2, "answered": 2}
    flooded, calm = report["metrics"]
    assert (flooded["metric"], calm["metric"]) == ("orders.placed", "fills")
    assert (flooded["admitted"], flooded["overflowed_streams"]) == (LIMIT, len(UUIDS) - LIMIT)
    assert flooded["demand"] == pytest.approx(len(UUIDS), rel=0.1)
    assert (calm["admitted"], calm["demand"], calm["ratio"]) == (5, 5, 5 / LIMIT)
    assert report["totals"]["admitted"] == LIMIT + 5


def test_the_worst_label_is_named_with_what_would_fix_it(gate: Gate) -> None:
    """A gate takes the configuration with the fix in it."""
    worst = gate.report()["metrics"][0]["labels"][0]
    document = yaml.safe_load(gate.config.read_text(encoding="utf-8"))
    fix = yaml.safe_load(worst["fix"]["yaml"])
    document["cardinality"] |= fix["cardinality"]
    fixed = gate.config.with_name("fixed.yaml")
    fixed.write_text(yaml.safe_dump(document), encoding="utf-8")

    checked = subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "check", "--config", str(fixed)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert worst["label"] == "order.id"
    assert fix["cardinality"]["metrics"][0]["normalize"] == {"order.id": ["uuid"]}
    assert set(worst["samples"]) <= set(UUIDS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_secret_is_on_the_page_or_in_the_metrics(gate: Gate) -> None:
    """Samples are what leaves the redaction."""
    texts = [gate.get(path)[1] for path in ("/cardinality", "/cardinality?format=json", "/metrics")]

    assert "password=[REDACTED" in texts[1]
    assert all("Zq7" not in text for text in texts)
    assert "<title>Cardinality · Tapeline</title>" in texts[0]


def test_the_metrics_say_who_is_near_a_limit(gate: Gate) -> None:
    """Of each worker, by the metric's name; the alert asks for this one."""

    def shown() -> dict[tuple[str, str], float] | None:
        found = gate.values("tapeline_cardinality_limit_ratio")
        return found if len(found) == 2 else None

    ratios = eventually(shown, timeout_s=20)

    assert ratios["0", "orders.placed"] == pytest.approx(len(UUIDS) / LIMIT, rel=0.1)
    assert ratios["1", "fills"] == 5 / LIMIT
