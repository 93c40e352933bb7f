"""kill -9 of each server under load, and restart: what a client was told OK for arrives."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends import Loki, of
from load import Load, arrived, missing_logs, missing_traces
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

NO_SAMPLING = SOURCE_ROOT / "collector" / "no_sampling.yaml"
VICTIMS = ("collector", "gate", "loki", "jaeger", "prometheus")
KILLS = 40
SAMPLED_KILLS = 10
DECISION_WAIT_S = 3.0
# From the client's OK until tail sampling has the span and, after the wait, hands it on: queue
# batches of 100 ms, the gate, and a look at what is due once a second.
SLACK_S = 2.5
IN_MEMORY = "exporters: {otlp_grpc/gate: {sending_queue: {storage: null}}}\n"


def overrides(*egress_files: Path) -> Overrides:
    """Return a stack's differences: every trace is kept, and Prometheus scrapes every second."""
    return Overrides(egress_files=(NO_SAMPLING, *egress_files), scrape_interval_s=1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the whole stack with sampling off."""
    folder = tmp_path_factory.mktemp("kills") / "run"
    with Stack(folder, Ports.free(), servers=VICTIMS, overrides=overrides()) as running:
        yield running


def otlp(stack: Stack) -> str:
    """Return the address that services send to."""
    return f"{HOST}:{stack.ports.otlp_grpc}"


def test_nothing_acknowledged_is_lost_over_a_kill_of_each(stack: Stack) -> None:
    """Logs by id, spans by trace, counters by value, over one kill of each under load."""
    with Load(otlp(stack), "each") as running:
        for name in VICTIMS:
            running.proceed(requests=20)
            stack.kill(name)
            # The load goes on against what is left, except where nobody takes it.
            if name != "collector":
                running.proceed(requests=20)
            stack.restart(name)
        running.proceed(requests=20)
    assert running.told.retries > 0, "the kill of the collector was not noticed"
    arrived(of(stack), running)


def kill_with_a_queue(stack: Stack, service: str) -> Load:
    """Kill the collector while all that it acknowledged waits for the gate."""
    stack.kill("gate")
    with Load(otlp(stack), service) as running:
        running.proceed(requests=50)
    stack.kill("collector")
    stack.restart("collector")
    stack.restart("gate")
    return running


def test_what_waits_for_the_gate_outlives_the_collector(stack: Stack) -> None:
    """A collector killed with everything in its queue delivers it after its restart."""
    running = kill_with_a_queue(stack, "waiting")
    arrived(of(stack), running)


def test_a_queue_in_memory_would_be_noticed(tmp_path: Path) -> None:
    """Without the persistent queue the same kill loses records, and this suite sees it."""
    overlay = tmp_path / "in_memory.yaml"
    overlay.write_text(IN_MEMORY, encoding="utf-8")
    servers = ("collector", "gate", "loki")
    changed = Overrides(ingress_files=(overlay,))
    with Stack(tmp_path / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        lost = kill_with_a_queue(stack, "forgotten")
        with Load(otlp(stack), "later") as later:
            later.proceed(requests=10)
        loki = Loki(stack.url("loki"))
        eventually(lambda: not missing_logs(loki, later))
        assert missing_logs(loki, lost) == lost.told.logs.keys()


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_over_many_kills(stack: Stack) -> None:
    """The same over kills of any server at random moments, two at once now and then."""
    source = random.Random(20261121)  # noqa: S311 - moments and victims
    with Load(otlp(stack), "many") as running:
        for _ in range(KILLS):
            time.sleep(source.uniform(0.0, 1.5))
            victims = source.sample(VICTIMS, source.choice((1, 1, 1, 2)))
            for name in victims:
                stack.kill(name)
            time.sleep(source.uniform(0.0, 1.0))
            for name in victims:
                stack.restart(name)
    arrived(of(stack), running, timeout_s=240)


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_tail_sampling_loses_only_what_waits_for_its_decision(tmp_path: Path) -> None:
    """With sampling on, spans lost by a kill were acknowledged within decision_wait before it."""
    source = random.Random(20261122)  # noqa: S311 - moments
    environment = {"collector": {"TAPELINE_DECISION_WAIT": f"{DECISION_WAIT_S:g}s"}}
    changed = Overrides(environment=environment)
    kills = []
    with Stack(tmp_path / "run", Ports.free(), servers=VICTIMS, overrides=changed) as stack:
        with Load(otlp(stack), "sampled") as running:
            for _ in range(SAMPLED_KILLS):
                time.sleep(source.uniform(DECISION_WAIT_S, 3 * DECISION_WAIT_S))
                kills.append(time.monotonic())
                stack.kill("collector")
                stack.restart("collector")
            running.proceed(requests=100)
        told = running.told.traces
        last = max(told, key=lambda each: told[each])
        jaeger = of(stack).jaeger
        eventually(lambda: jaeger.trace(last), timeout_s=60)
        lost = missing_traces(jaeger, running)
        assert missing_logs(of(stack).loki, running) == frozenset()
    assert lost, "kills with a full decision window lose something, or nothing was tested"
    for trace_id in lost:
        ages = [kill - told[trace_id] for kill in kills]
        assert any(-SLACK_S <= age <= DECISION_WAIT_S + SLACK_S for age in ages), ages
