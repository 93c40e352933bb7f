"""KTRDR's own figures: names, types, labels and buckets as docs/systems/ktrdr.md has them."""

import pytest
from prometheus_client import CollectorRegistry

from coverage_tables import PAGES, read_rows
from tapeline.floor.ktrdr.fields import (
    DataLogFields,
    OperationLogFields,
    TrainingLogFields,
    as_extra,
)
from tapeline.floor.ktrdr.metrics import make_metrics

ROWS = {
    row.name: row.says
    for row in read_rows(PAGES / "ktrdr.md")[0]
    if row.kind == "metric" and not row.is_another_way
}


def described(instrument: object) -> str:
    """Return an instrument as a row of the table says it."""
    kind = type(instrument).__name__
    labels = ",".join(getattr(instrument, "_labelnames", ()))
    bounds = list(getattr(instrument, "_kwargs", {}).get("buckets", ()))
    buckets = " buckets " + " ".join(f"{float(each):g}" for each in bounds) if bounds else ""
    return f"{kind}{{{labels}}}{buckets}"


@pytest.fixture(scope="module")
def instruments() -> dict[str, object]:
    """Every instrument by its name in the exposition."""
    registry = CollectorRegistry()
    make_metrics(registry)
    found: dict[str, object] = {}
    for collector in registry._collector_to_names:
        (family,) = collector.describe() if hasattr(collector, "describe") else collector.collect()
        suffix = "_total" if family.type == "counter" else ""
        found[family.name + suffix] = collector
    return found


def test_each_metric_is_as_its_row_says(instruments: dict[str, object]) -> None:
    """And there is a row for each."""
    assert ROWS
    assert {name: described(each) for name, each in instruments.items()} == ROWS


def test_fields_of_a_line_come_from_the_standard_parts() -> None:
    """The document's three, together; what is given besides wins."""
    extra = as_extra(
        OperationLogFields("op-1", "training", "started"),
        DataLogFields("AAPL", "1m", "2025-11-10", "2025-11-11", "local"),
        TrainingLogFields("m", "momentum", "MSFT", 100, 32),
        status="failed",
    )

    assert extra == {
        "operation_id": "op-1", "operation_type": "training", "status": "failed",
        "symbol": "MSFT", "timeframe": "1m", "start_date": "2025-11-10",
        "end_date": "2025-11-11", "provider": "local", "model_id": "m",
        "strategy": "momentum", "epochs": 100, "batch_size": 32,
    }  # fmt: skip
