"""The signals are off the way of the telemetry: away, or with a full queue, they are in no way."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backends import Loki, fetch
from otlp_client import send
from signals_stack import (
    RESOURCE,
    SECOND_NS,
    Setting,
    chunks,
    demo_session,
    differences,
    in_logs,
    own_count,
    passed,
    scraped,
    shown_by,
)
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SERVERS = ("collector", "signals", "gate", "loki")
# That of the convention: what is in order on its way is never late, however fast it is sent.
SETTING = Setting({})
SMALL_QUEUE = "exporters: {otlp_grpc/signals: {sending_queue: {queue_size: 100000}}}\n"
SELECTOR = f'{{service_name="{RESOURCE["service.name"]}"}}'
TAKEN = "tapeline_signals_events_total"


def counted(port: int, prefix: str, **labels: str) -> float:
    """Return the sum of what a process on this port counts under names of this prefix."""
    text = fetch(f"http://{HOST}:{port}/metrics").decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(prefix) and labels.items() <= sample.labels.items()
    )


def test_what_is_missed_while_it_is_away_is_made_up_for(tmp_path: Path) -> None:
    """Loki has everything meanwhile; then the figures are those of one that was never away."""
    session = demo_session(31, 120, time.time_ns() - 60 * SECOND_NS, SECOND_NS // 4)
    requests = [in_logs(chunk) for chunk in chunks(session, 50)]
    changed = Overrides(signals_config=SETTING.write(tmp_path / "signals.yaml"))
    with Stack(tmp_path / "run", Ports.free(), servers=SERVERS, overrides=changed) as stack:
        address = f"{HOST}:{stack.ports.otlp_grpc}"
        for request in requests[:8]:
            send(address, request)
        first = sum(len(chunk) for chunk in list(chunks(session, 50))[:8])
        eventually(lambda: own_count(stack, TAKEN) == first)

        assert stack.terminate("signals") == 0
        for request in requests[8:]:
            send(address, request)
        loki = Loki(stack.url("loki"))
        eventually(lambda: len(loki.entries(SELECTOR)) == len(session), timeout_s=60)

        stack.restart("signals")
        eventually(lambda: own_count(stack, TAKEN) == len(session), timeout_s=60)
        end = passed(session[-1].time_ns + 1200 * SECOND_NS)
        send(address, end)
        expected = shown_by(SETTING.engine_of([*requests, end]))
        eventually(lambda: _no(differences(scraped(stack), expected)), timeout_s=60)


def _no(found: list[str]) -> bool:
    assert not found, found
    return True


def test_what_is_sent_fast_stays_in_order(tmp_path: Path) -> None:
    """Ten minutes of trading within seconds: nothing is late, though 5 s would do."""
    session = demo_session(53, 1200, time.time_ns() - 900 * SECOND_NS, SECOND_NS // 2)
    requests = [in_logs(chunk) for chunk in chunks(session, 100)]
    changed = Overrides(signals_config=SETTING.write(tmp_path / "signals.yaml"))
    servers = ("collector", "signals", "gate")
    with Stack(tmp_path / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        stack.terminate("gate")  # so that all of it waits in the queue before it
        for request in requests:
            send(f"{HOST}:{stack.ports.otlp_grpc}", request)
        stack.restart("gate")
        eventually(lambda: own_count(stack, TAKEN) == len(session), timeout_s=60)
        assert own_count(stack, "tapeline_signals_late_events_total") == 0
        expected = shown_by(SETTING.engine_of(requests))
        eventually(lambda: _no(differences(scraped(stack), expected)))


def test_figures_outlive_a_stop_of_the_whole_stack(tmp_path: Path) -> None:
    """With `keep`, the next start shows them again, before anything is sent."""
    session = demo_session(41, 60, time.time_ns() - 60 * SECOND_NS, SECOND_NS // 4)
    requests = [in_logs(session), passed(session[-1].time_ns + 1200 * SECOND_NS)]
    expected = shown_by(SETTING.engine_of(requests))
    changed = Overrides(signals_config=SETTING.write(tmp_path / "signals.yaml"))
    servers = ("collector", "signals")
    for is_first in (True, False):
        run = Stack(
            tmp_path / "run", Ports.free(), servers=servers, overrides=changed, keep=is_first
        )
        with run as stack:
            for request in requests if is_first else ():
                send(f"{HOST}:{stack.ports.egress}", request)
            eventually(lambda stack=stack: _no(differences(scraped(stack), expected)))  # type: ignore[misc]
            assert own_count(stack, "tapeline_received_records_total") == (
                len(session) + 1 if is_first else 0
            )


@contextmanager
def flooded(folder: Path, overlay: str) -> Iterator[tuple[Stack, int]]:
    """Yield a stack without a sidecar, with more in it than the queue for one holds."""
    path = folder / "small.yaml"
    path.write_text(SMALL_QUEUE + overlay, encoding="utf-8")
    session = demo_session(37, 400, time.time_ns() - 120 * SECOND_NS, SECOND_NS // 4)
    servers = ("collector", "gate", "loki")
    changed = Overrides(egress_files=(path,))
    with Stack(folder / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        for chunk in chunks(session, 50):
            send(f"{HOST}:{stack.ports.otlp_grpc}", in_logs(chunk))
            time.sleep(0.05)  # as a stream comes, not as one batch
        yield stack, len(session)


def test_a_full_queue_is_counted_and_makes_nobody_send_again(tmp_path: Path) -> None:
    """The gate hears OK at the first attempt, each record goes to Loki once, the misses count."""
    with flooded(tmp_path, "") as (stack, sent):
        loki = Loki(stack.url("loki"))
        eventually(lambda: len(loki.entries(SELECTOR)) == sent, timeout_s=60)
        missed = counted(
            stack.ports.collector_metrics,
            "otelcol_exporter_enqueue_failed_log_records",
            exporter="otlp_grpc/signals",
        )
        assert 0 < missed < sent
        admin = stack.ports.gate_admin
        assert counted(admin, "tapeline_forwarded_records_total", signal="logs") == sent
        assert counted(admin, "tapeline_forward_failures_total") == 0


def test_without_the_batch_in_between_the_gate_sends_again(tmp_path: Path) -> None:
    """So the test above would notice."""
    overlay = "service: {pipelines: {logs/signals: {processors: []}}}\n"
    with flooded(tmp_path, overlay) as (stack, _):
        admin = stack.ports.gate_admin
        eventually(lambda: counted(admin, "tapeline_forward_failures_total") > 3)
