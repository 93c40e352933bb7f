"""Each fault of the floor makes its alerts fire, arrive and resolve, and no others.

Goal: the alerts' real way, from a service's metric to the inbox, on the real servers. Method: one
floor for all, with windows, waits and Alertmanager's intervals divided by ten (`tapeline demo floor
--time-scale 10`); one fault after the other, each until its alerts have arrived, then off until
they have resolved. Real durations are promtool's to prove (tests/alerting).
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

import backends
from floor_stack import ROOT, FloorRun, expectation_of, log_queries, running_floor
from tapeline.demo.credentials import planted_credentials
from tapeline.floor.catalog import SERVICES
from tapeline.floor.faults import SCENARIOS
from tapeline.stack.ports import HOST
from waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.acceptance, pytest.mark.timeout(1200)]

SETTLED_TIMEOUT_S = 300.0
FIRES_TIMEOUT_S = 240.0
RESOLVES_TIMEOUT_S = 300.0
GATE = ROOT / "config" / "gate.yaml"
# A ticket looks back six hours and waits three: minutes on this floor, longer than a scenario.
SLOW_ENDINGS = ("BudgetBurn",)


@pytest.fixture(scope="module", name="floor")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorRun]:
    with running_floor(tmp_path_factory.mktemp("floor")) as floor:
        # What changes before a counter is first seen is no increase.
        eventually(lambda: has_been_scraped(floor), timeout_s=SETTLED_TIMEOUT_S, poll_s=2)
        yield floor
        sys.stdout.write(f"\n{floor.costs()}\n")


def has_been_scraped(floor: FloorRun) -> bool:
    """Tell whether every service has been looked at often enough."""
    looks = floor.backends.prometheus.query("count by (job) (count_over_time(up[10m]) >= 6)")
    return {each.labels["job"] for each in looks} >= {each.job for each in SERVICES}


def fast(names: frozenset[str]) -> frozenset[str]:
    """Return the names without the Watchdog, and without those that end long after their cause."""
    return frozenset(
        name for name in names if name != "Watchdog" and not name.endswith(SLOW_ENDINGS)
    )


def settled(floor: FloorRun) -> None:
    """Wait until nothing fires but what always does, and what takes long to end."""

    def quiet() -> bool:
        left = fast(floor.firing())
        assert not left, sorted(left)
        return True

    eventually(quiet, timeout_s=SETTLED_TIMEOUT_S, poll_s=2)


def notices_since(floor: FloorRun, begin: datetime, status: str) -> frozenset[str]:
    """Return the names of the alerts that the inbox was told of since then."""
    document = json.loads(backends.fetch(f"{floor.stack.url('inbox').rstrip('/')}/api/alerts"))
    return frozenset(
        each["labels"]["alertname"]
        for each in document["alerts"]
        if each["status"] == status and datetime.fromisoformat(each["received_at"]) >= begin
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_makes_its_alerts_fire_arrive_and_resolve(floor: FloorRun, scenario: str) -> None:
    """All that the systems' files expect, and nothing that they don't allow."""
    expectation = expectation_of(scenario)
    assert expectation.expected, f"no system says what {scenario} makes fire"
    settled(floor)
    begin = datetime.now(tz=UTC)
    fired: set[str] = set()
    held_back: set[str] = set()

    def look() -> None:
        since_s = (datetime.now(tz=UTC) - begin).total_seconds()
        fired.update(floor.firing() | floor.fired_within(since_s))

    def arrived() -> bool:
        look()
        held_back.update(floor.inhibited())
        told = notices_since(floor, begin, "firing")
        assert not expectation.expected - fired, sorted(expectation.expected - fired)
        assert not expectation.expected - told - held_back, "fired, but did not arrive"
        return True

    floor.fault(scenario)
    began = time.monotonic()
    try:
        eventually(arrived, timeout_s=FIRES_TIMEOUT_S, poll_s=1)
        arrived_s = time.monotonic() - began
        _prove(floor, scenario)
    finally:
        floor.fault()

    def resolved() -> bool:
        look()
        left = expectation.expected & fast(floor.firing())
        assert not left, sorted(left)
        told = notices_since(floor, begin, "resolved")
        missing = fast(expectation.expected) - held_back - told
        assert not missing, f"resolved, but nobody was told: {sorted(missing)}"
        return True

    ended = time.monotonic()
    eventually(resolved, timeout_s=RESOLVES_TIMEOUT_S, poll_s=2)
    others = sorted(fast(frozenset(fired)) - expectation.allowed)
    sys.stdout.write(
        f"\n{scenario}: {len(expectation.expected)} expected, all there after {arrived_s:.0f} s, "
        f"told as resolved {time.monotonic() - ended:.0f} s after its end; others: {others}\n"
    )
    assert not others


def _prove(floor: FloorRun, scenario: str) -> None:
    """Look at what a scenario shows besides its alerts: in panels and log queries, of its own."""

    def panels_show() -> bool:
        found = floor.panel_failures(scenario)
        assert not found, "\n".join(found)
        return True

    def lines_are_found() -> bool:
        queries = log_queries(scenario)
        missing = [name for name, query in queries.items() if not floor.backends.loki.found(query)]
        assert not missing, missing
        return True

    eventually(panels_show, timeout_s=90, poll_s=5)
    eventually(lines_are_found, timeout_s=90, poll_s=3)
    proof = {
        "slippage_spike": _slippage_opens_its_trace,
        "cardinality_bomb": _series_are_bounded,
        "leaked_credentials": _no_backend_has_a_credential,
    }.get(scenario)
    if proof is not None:
        proof(floor)


def _slippage_opens_its_trace(floor: FloorRun) -> None:
    """An exemplar of the slippage histogram names a trace that Jaeger has."""
    jaeger, prometheus = floor.backends.jaeger, floor.backends.prometheus

    def opened() -> bool:
        series = prometheus.exemplars("trading_slippage_bps_bucket")
        ids = [each["labels"]["trace_id"] for entry in series for each in entry["exemplars"]]
        assert ids, "no exemplars"
        return any(jaeger.trace(trace_id) is not None for trace_id in ids[-20:])

    eventually(opened, timeout_s=90, poll_s=2)


def _series_are_bounded(floor: FloorRun) -> None:
    """The service has more order ids than the gate's limit; Prometheus has one for the others."""
    limit = yaml.safe_load(GATE.read_text(encoding="utf-8"))["cardinality"]["default_limit"]
    prometheus = floor.backends.prometheus
    exposition = f"{floor.stack.url('veloz-gateway').rstrip('/')}/metrics"
    eventually(
        lambda: backends.fetch(exposition).count(b"veloz_order_events_total{") > 1.3 * limit,
        timeout_s=180,
        poll_s=2,
    )
    overflow = 'veloz_order_events_total{otel_metric_overflow="true"}'
    eventually(lambda: prometheus.query(overflow), timeout_s=60, poll_s=2)
    (series,) = prometheus.query("count(veloz_order_events_total)")
    assert series.value < 1.1 * limit


def _no_backend_has_a_credential(floor: FloorRun) -> None:
    """None of the planted credentials is in Loki, Jaeger or Prometheus; what leaked is there."""
    found = floor.backends
    secrets = planted_credentials(floor.plan.seed)

    def masked() -> bool:
        lines = found.loki.entries('{service_name=~".+"} |= `[REDACTED`', 600)
        return bool(lines)

    eventually(masked, timeout_s=60, poll_s=2)
    services = found.loki.label_values("service_name")
    texts = [
        f"{entry.line}\n{json.dumps(dict(entry.labels))}"
        for service in services
        for entry in found.loki.entries(f'{{service_name="{service}"}}', 300)
    ]
    texts += [json.dumps(found.jaeger.traces(service)) for service in found.jaeger.services()]
    texts.append(json.dumps(found.prometheus.series('{__name__!=""}')))
    for text in texts:
        assert not any(secret in text for secret in secrets)


def test_the_floor_is_on_this_machine_only(floor: FloorRun) -> None:
    """Every unit listens on loopback."""
    assert all(HOST in floor.stack.url(name) for name in floor.stack.running)
