"""The end of the floor's services where nobody takes their telemetry."""

import socket
from pathlib import Path

from floor.floor_service import running_services
from ports import HOST
from tapeline.floor import service, whole

# One of each way of setting a process up.
SERVICES = (
    "b25-order-execution",
    "ktrdr-ib-host-service",
    "py-rt-execution-engine",
    "veloz-engine",
    "veloz-gateway",
)


def test_a_service_has_the_time_to_say_that_telemetry_was_lost(tmp_path: Path) -> None:
    """A collector that takes connections and never answers holds no service for longer."""
    with socket.create_server((HOST, 0)) as deaf:
        port = deaf.getsockname()[1]
        with running_services(tmp_path, *SERVICES, otlp_port=port, otlp_timeout_s=60) as running:
            for name in SERVICES:
                running.get(name, "/nothing")  # a span, at least

    for name in SERVICES:
        assert "telemetry did not go within 5000 ms" in (tmp_path / f"{name}.out").read_text(), name


def test_a_service_ends_before_it_would_be_killed() -> None:
    """Its open requests and its telemetry each have their part of the time."""
    parts_s = service._GRACE_S + service.TELEMETRY_GRACE_MS / 1_000
    assert parts_s < whole._GRACE_S
