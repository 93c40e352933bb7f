"""The ready mappings: each file of config/mappings/ makes of its recordings the events beside them.

A recording `testdata/NAME.jsonl` is of the shape that the service's own documents show, and a
`testdata/NAME.tailed.jsonl` has such lines as a collector that parses them hands them on;
`NAME.expected.yaml` and `NAME.tailed.expected.yaml` have the events in the order of the wire,
fields at their defaults left out, what is refused, and the figures that the engine has at the end:
the total of a sum, the count and sum of a histogram's samples, the value of a gauge.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline.otlp.json_lines import request_from_json
from tapeline.pipeline.batch import Batch
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Event, Trace
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake, Taken
from tapeline.signals.points import Attributes, values_of
from trading_requests import batch, log

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "processors" / "tapeline" / "signals" / "testdata"
READY = sorted((ROOT / "config" / "mappings").glob("*.yaml"))
RECORDED = sorted(RECORDINGS.glob("*.jsonl"))


def mapping_of(recording: Path) -> Path:
    """Return the mapping file that a recording is for."""
    return ROOT / "config" / "mappings" / f"{recording.name.partition('.')[0]}.yaml"


def batches_of(recording: Path) -> list[Batch]:
    """Read a recording, a batch a line."""
    return [Batch(*request_from_json(line)) for line in recording.read_bytes().splitlines()]


def expected_of(recording: Path) -> Any:
    """Return what stands beside a recording."""
    return yaml.safe_load(recording.with_suffix(".expected.yaml").read_text("utf-8"))


def taken_with(recording: Path) -> list[Taken]:
    """Read a recording with its mapping file."""
    config = SignalsConfig(mapping_files=(mapping_of(recording),))
    intake = Intake(Instruments(), settings_of(config).mappings)
    return [intake.read(batch, None) for batch in batches_of(recording)]


def plain(event: Event) -> dict[str, Any]:
    """Return an event as the expected files spell it."""
    found: dict[str, Any] = {"event": type(event).__name__.lower()}
    for name, value in event._asdict().items():
        if value == event._field_defaults.get(name):
            continue
        if isinstance(value, Trace):
            found[name] = "-".join(part.hex() for part in value)
        else:
            found[name] = str(value) if isinstance(value, Decimal) else value
    return found


@pytest.mark.parametrize("recording", RECORDED, ids=lambda path: path.stem)
def test_a_recording_becomes_the_events_beside_it(recording: Path) -> None:
    """And what its documents leave out is refused by mapping and field."""
    expected = expected_of(recording)
    taken = taken_with(recording)

    events = [plain(event) for each in taken for event in each.events]
    refused = [
        {"mapping": why.mapping, "attribute": why.attribute, "reason": why.reason, "count": count}
        for each in taken
        for why, count in sorted(each.refused.items())
    ]

    assert events == expected["events"]
    assert refused == expected["refused"]


def figures_of(taken: list[Taken]) -> list[dict[str, Any]]:
    """Return what the engine makes of events, as the expected files spell it."""
    engine = Engine(EngineSettings())
    for each in taken:
        engine.apply(each.events, each.greatest_time_ns)
    engine.end()
    found: list[tuple[str, Attributes, dict[str, Any]]] = [
        *(
            (name, attributes, {"total": str(series.total)})
            for name, of_metric in engine.series.sums.items()
            for attributes, series in of_metric.items()
        ),
        *(
            (name, attributes, {"count": sum(series.counts), "sum": str(series.total)})
            for name, of_metric in engine.series.histograms.items()
            for attributes, series in of_metric.items()
        ),
        *((point.name, point.attributes, {"value": point.value}) for point in engine.gauges()),
    ]
    return [
        {"metric": name, "attributes": values_of(attributes), **values}
        for name, attributes, values in sorted(found, key=lambda figure: figure[:2])
    ]


@pytest.mark.parametrize("recording", RECORDED, ids=lambda path: path.stem)
def test_the_events_come_to_the_figures_beside_them(recording: Path) -> None:
    """All of them: orders by state, latencies, the fill ratio; no position without an execution."""
    assert figures_of(taken_with(recording)) == expected_of(recording)["figures"]


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_no_cumulative_fill_becomes_an_execution(path: Path) -> None:
    """None of the documents shows an execution id, and identities are not made up."""
    mappings = settings_of(SignalsConfig(mapping_files=(path,))).mappings

    assert {mapping.event for mapping in mappings} == {"trading.order"}


def test_every_recording_has_its_mapping_and_every_mapping_makes_an_event() -> None:
    """A mapping that its own recordings never meet is not tested."""
    assert {mapping_of(recording) for recording in RECORDED} == set(READY)
    for path in READY:
        whole = settings_of(SignalsConfig(mapping_files=(path,))).mappings
        recorded = [
            batch for each in RECORDED if mapping_of(each) == path for batch in batches_of(each)
        ]
        for mapping in whole:
            intake = Intake(Instruments(), (mapping,))
            assert any(intake.read(each, None).events for each in recorded), mapping.name


def test_all_ready_mappings_go_together() -> None:
    """Their names differ, and none takes a record of another's service, nor one in two forms."""
    config = SignalsConfig(mapping_files=tuple(READY))
    intake = Intake(Instruments(), settings_of(config).mappings)
    for recording in RECORDED:
        alone = taken_with(recording)
        assert [intake.read(batch, None) for batch in batches_of(recording)] == alone


def test_a_parsed_line_of_veloz_whose_body_is_still_json_is_one_event() -> None:
    """Its mappings name the texts of bodies: both forms in one record are not read twice."""
    line = {"component": "engine", "message": "Order processed", "order_id": "v-1"}
    line |= {"symbol": "BTCUSDT", "side": "BUY", "timestamp": "2026-02-23T10:00:00Z"}
    both = log(attributes=line, body=json.dumps(line))
    config = SignalsConfig(mapping_files=(ROOT / "config" / "mappings" / "veloz-logs.yaml",))

    taken = Intake(Instruments(), settings_of(config).mappings).read(batch(both), None)

    assert not taken.refused
    assert [plain(event)["state"] for event in taken.events] == ["acknowledged"]


def test_a_parsed_line_of_b25_is_one_event_once_its_message_is_the_body() -> None:
    """Its status alone chooses: with the JSON left in the body, both groups of mappings read it."""
    line = {"status": "success", "message": "order sent", "order_id": "b-1", "quantity": "1"}
    line |= {"symbol": "ETHUSDT", "side": "buy", "timestamp": "2026-02-23T10:00:00Z"}
    config = SignalsConfig(mapping_files=(ROOT / "config" / "mappings" / "b25.yaml",))
    mappings = settings_of(config).mappings

    def states(body: str) -> list[str]:
        request = log(attributes=line, body=body, resource={"service.name": "order-execution"})
        taken = Intake(Instruments(), mappings).read(batch(request), None)
        assert not taken.refused
        return [plain(event)["state"] for event in taken.events]

    assert states(line["message"]) == ["acknowledged"]
    assert states(json.dumps(line)) == ["acknowledged", "acknowledged"]
