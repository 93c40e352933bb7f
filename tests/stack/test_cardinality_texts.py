"""Floods of what Loki and Jaeger index by: bounded, as their own APIs show it."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import Jaeger, Loki
from otlp_client import Span, logs, send, traces
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

LIMIT = 5
NAMES = 40
OTHER = "__other__"
CONFIG = f"""\
server: {{listen: "${{env:TAPELINE_LISTEN}}"}}
downstream: {{endpoint: "${{env:TAPELINE_DOWNSTREAM}}"}}
admin: {{listen: "${{env:TAPELINE_ADMIN}}"}}
cardinality:
  logs: {{labels: {{service.name: {{limit: {LIMIT}}}}}}}
  traces: {{span_names: {{limit: {LIMIT}, normalize: [uuid]}}}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the servers with small limits, every trace kept."""
    folder: Path = tmp_path_factory.mktemp("texts")
    config = folder / "gate.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    changed = Overrides(
        gate_config=config,
        egress_files=(SOURCE_ROOT / "collector" / "no_sampling.yaml",),
        environment={"collector": {"TAPELINE_DECISION_WAIT": "1s"}},
    )
    servers = ("collector", "gate", "loki", "jaeger")
    with Stack(folder / "run", Ports.free(), servers=servers, overrides=changed) as running:
        yield running


def test_a_flood_of_services_is_bounded_in_loki(stack: Stack) -> None:
    """Loki gets so many values of its label and one for all others; no line is lost."""
    otlp, loki = f"{HOST}:{stack.ports.otlp_grpc}", Loki(stack.url("loki"))
    services = [f"service-{number}" for number in range(NAMES)]
    for _ in range(2):
        for service in services:
            send(otlp, logs([f"hello from {service}"], {"service.name": service}))

    def lines() -> int:
        return len(loki.entries('{service_name=~".+"}'))

    eventually(lambda: lines() == 2 * NAMES)
    # Batches on the way meet in no fixed order, so which of them are the first is not known.
    values = loki.label_values("service_name")
    assert len(values) == LIMIT + 1
    assert OTHER in values
    assert set(values) - {OTHER} <= set(services)
    assert len(loki.lines(OTHER)) == NAMES - LIMIT


def test_a_flood_of_span_names_is_bounded_in_jaeger(stack: Stack) -> None:
    """Ids in names become one name; of others so many stay, and one is for the rest."""
    otlp, jaeger = f"{HOST}:{stack.ports.otlp_grpc}", Jaeger(stack.url("jaeger"))
    source = random.Random(5)  # noqa: S311 - a test's ids
    names = [f"step {chr(65 + number // 26)}{chr(97 + number % 26)}" for number in range(NAMES)]
    paths = [f"GET /orders/{uuid.UUID(int=source.getrandbits(128), version=4)}" for _ in names]
    spans = [
        Span(number.to_bytes(16, "big"), name)
        for number, name in enumerate([*paths, *names], start=1)
    ]
    for span in spans:
        send(otlp, traces([span], {"service.name": "steps"}))

    eventually(lambda: len(jaeger.traces("steps")) == len(spans))
    operations = jaeger.operations("steps")
    assert len(operations) == LIMIT + 1
    assert {"GET /orders/{uuid}", OTHER} <= set(operations)
    assert set(operations) <= {"GET /orders/{uuid}", OTHER, *names}
