"""A state that can't be written: telemetry flows by, and the events wait and then count once."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backends import Jaeger, Loki
from otlp_client import send
from signals_stack import (
    RESOURCE,
    SECOND_NS,
    Setting,
    Trading,
    chunks,
    demo_session,
    differences,
    in_logs,
    in_span_events,
    own_count,
    passed,
    scraped,
    shown_by,
)
from small_disk import MIB, fill, mounted
from tapeline.doctor.hops import Addresses, check_hops, hops_of
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from trading_requests import AnyMessage
from waiting import eventually

pytestmark = pytest.mark.stack

NO_SAMPLING = SOURCE_ROOT / "collector" / "no_sampling.yaml"
SERVERS = ("collector", "signals", "loki", "jaeger")
# Traces come by a queue of their own, so they may overtake the logs.
SETTING = Setting({"max_lateness": "10m"})
STEPS = 200
FAILURES = "tapeline_signals_store_failures_total"
REFUSALS = "tapeline_refused_requests_total"
SAID = "the state of the signals: "


@dataclass(frozen=True)
class Troubled:
    """A stack whose signals have their state on a small disk, and a session in two halves."""

    stack: Stack
    disk: Path
    halves: Sequence[Sequence[Trading]]

    @property
    def database(self) -> Path:
        """The file of the state."""
        return self.disk / "signals.db"

    def send(self, events: Sequence[Trading]) -> list[AnyMessage]:
        """Send events as the gate does: orders as span events, all else as logs."""
        orders = [each for each in events if each.event.name == "trading.order"]
        rest = [each for each in events if each.event.name != "trading.order"]
        requests: list[AnyMessage] = [in_logs(chunk) for chunk in chunks(rest, 50)]
        requests += [in_span_events(chunk) for chunk in chunks(orders, 100)]
        for request in requests:
            send(f"{HOST}:{self.stack.ports.egress}", request)
        return requests

    def said(self) -> list[str]:
        """Return what the sidecar's log says of its state."""
        lines = self.stack.log("signals").read_text(encoding="utf-8").splitlines()
        return [line.partition(SAID)[2] for line in lines if SAID in line]

    def settles_at(self, requests: Sequence[AnyMessage]) -> None:
        """Wait until the figures are those of an engine that took the same."""
        expected = shown_by(SETTING.engine_of(requests))
        eventually(lambda: _no(differences(scraped(self.stack), expected)), timeout_s=60)


def _no(found: list[str]) -> bool:
    assert not found, found
    return True


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[Troubled]:
    """Start a stack with the first half of a session in it."""
    disk = tmp_path / "disk"
    config = SETTING.write(tmp_path / "signals.yaml")
    changed = Overrides(
        egress_files=(NO_SAMPLING,),
        signals_config=config,
        environment={"signals": {"TAPELINE_SIGNALS_STATE": f"sqlite:///{disk / 'signals.db'}"}},
    )
    begin_ns = time.time_ns() - 100 * SECOND_NS
    session = demo_session(23, STEPS, begin_ns, SECOND_NS // 4)
    halves = (session[: len(session) // 2], session[len(session) // 2 :])
    with (
        mounted(disk, 2 * MIB),
        Stack(tmp_path / "run", Ports.free(), servers=SERVERS, overrides=changed) as stack,
    ):
        yield Troubled(stack, disk, halves)


def flows_by(troubled: Troubled, events: Sequence[Trading]) -> None:
    """Wait until the backends have what the signals can't take."""
    stack = troubled.stack
    logged = [each for each in events if each.event.name != "trading.order"]
    loki, jaeger = Loki(stack.url("loki")), Jaeger(stack.url("jaeger"))
    selector = f'{{service_name="{RESOURCE["service.name"]}"}}'
    ids = {
        each.event.attributes["trading.execution.id"]
        for each in logged
        if each.event.name == "trading.execution"
    }
    eventually(
        lambda: ids <= {each.labels.get("trading_execution_id") for each in loki.entries(selector)},
        timeout_s=60,
    )
    last = next(each for each in reversed(events) if each.event.name == "trading.order")
    eventually(lambda: jaeger.trace(last.trace_id.hex()))


def test_a_full_disk_holds_up_the_figures_and_nothing_else(troubled: Troubled) -> None:
    """The collector is told to retry; that is counted and said once; then every event counts."""
    stack, (first, second) = troubled.stack, troubled.halves
    sent = troubled.send(first)
    troubled.settles_at(sent)

    ballast = troubled.disk / "ballast"
    fill(ballast)
    held = troubled.send(second)
    eventually(lambda: own_count(stack, REFUSALS, reason="not_now") >= 5)
    eventually(lambda: own_count(stack, FAILURES, reason="full") >= 5)
    flows_by(troubled, second)
    (said,) = troubled.said()
    assert "full; make room" in said
    assert state_by_the_doctor(stack) == said
    assert own_count(stack, FAILURES) == own_count(stack, FAILURES, reason="full")
    # Nothing that waits is shown.
    assert not differences(scraped(stack), shown_by(SETTING.engine_of(sent)))

    ballast.unlink()
    end = passed(troubled.halves[1][-1].time_ns + 1200 * SECOND_NS)
    eventually(
        lambda: own_count(stack, "tapeline_signals_events_total") == len(first) + len(second)
    )
    send(f"{HOST}:{stack.ports.egress}", end)
    troubled.settles_at([*sent, *held, end])
    assert len(troubled.said()) == 1
    assert state_by_the_doctor(stack) is None


def state_by_the_doctor(stack: Stack) -> str | None:
    """Return what the last hop of the doctor's walk finds wrong."""
    nothing = Addresses(*[""] * 11)
    addresses = replace(nothing, signals_admin=f"{HOST}:{stack.ports.signals_admin}")
    *_, (hop, finding) = check_hops(hops_of(addresses))
    assert hop.name == "signals, state"
    return None if finding is None else finding.problem


def test_a_locked_state_holds_up_the_figures_and_nothing_else(troubled: Troubled) -> None:
    """Likewise while another process, as a backup, keeps the database locked."""
    stack, (first, second) = troubled.stack, troubled.halves
    sent = troubled.send(first)
    troubled.settles_at(sent)

    with closing(sqlite3.connect(troubled.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        held = troubled.send(second)
        eventually(lambda: own_count(stack, FAILURES, reason="locked") >= 1, timeout_s=60)
        eventually(lambda: own_count(stack, REFUSALS, reason="not_now") >= 1, timeout_s=60)
        flows_by(troubled, second)
        (said,) = troubled.said()
        assert "lock" in said
    end = passed(second[-1].time_ns + 1200 * SECOND_NS)
    eventually(
        lambda: own_count(stack, "tapeline_signals_events_total") >= len(first) + len(second),
        timeout_s=60,
    )
    send(f"{HOST}:{stack.ports.egress}", end)
    troubled.settles_at([*sent, *held, end])
