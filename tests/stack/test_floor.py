"""The floor in steady state: what the systems' documents name is there, and nothing is wrong.

Goal: the coverage tables hold on the real servers. Method: one floor of all systems, with
a tenth of the rules' windows; each row of the tables is asked for in the backend that has it. `make
acceptance` lets it run for ten minutes; here it takes as long as the last thing takes to show.
"""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from coverage_tables import PAGES, Row, read_rows
from floor_stack import ROOT, FloorRun, running_floor
from tapeline.floor.catalog import SYSTEMS, services_of
from tapeline.floor.signals_config import MAPPED
from waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]

SHOWS_TIMEOUT_S = 180.0
STEADY_S = 600.0
WINDOWS_PASS_S = 180.0  # 30 min of the real windows
_SUFFIXES = "(_bucket|_count|_sum|_total|_created)?"


@pytest.fixture(scope="module", name="floor")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorRun]:
    with running_floor(tmp_path_factory.mktemp("floor")) as floor:
        yield floor
        sys.stdout.write(f"\n{floor.costs()}\n")


def pages() -> list[Path]:
    """Return the pages that have coverage tables."""
    return sorted(PAGES.glob("*.md"))


def table_rows(kind: str) -> list[Row]:
    """Return the rows of a kind of all systems, without those that are left for later."""
    found = [row for page in pages() for row in read_rows(page)[0] if row.kind == kind]
    assert found, f"no rows of kind {kind}"
    return found


def test_every_system_has_its_page() -> None:
    """With rows."""
    assert {page.stem for page in pages()} == set(SYSTEMS)
    assert all(read_rows(page)[0] for page in pages())


def test_no_target_is_down(floor: FloorRun) -> None:
    """Neither the servers nor the services."""

    def all_up() -> bool:
        up = floor.backends.prometheus.query("up")
        jobs = {each.labels["job"] for each in up}
        missing = {each.job for each in services_of([])} - jobs
        assert not missing, f"not scraped yet: {sorted(missing)}"
        down = [dict(each.labels) for each in up if each.value != 1]
        assert not down, down
        return True

    eventually(all_up, timeout_s=SHOWS_TIMEOUT_S, poll_s=2)


def test_every_metric_of_the_documents_has_series(floor: FloorRun) -> None:
    """Under the document's name, from a job of its system."""
    rows = table_rows("metric")

    def all_there() -> bool:
        prometheus = floor.backends.prometheus
        names = {
            system: {
                name
                for job in services_of([system])
                for name in prometheus.names(f'{{job="{job.job}"}}')
            }
            for system in SYSTEMS
        }
        missing = [
            row.place
            for row in rows
            if not any(re.fullmatch(re.escape(row.name) + _SUFFIXES, n) for n in names[row.system])
        ]
        assert not missing, "\n".join(missing)
        return True

    eventually(all_there, timeout_s=SHOWS_TIMEOUT_S, poll_s=3)


def test_every_trace_point_of_the_documents_has_a_span(floor: FloorRun) -> None:
    """In Jaeger, from a service of its system."""
    rows = table_rows("trace")

    def all_there() -> bool:
        jaeger = floor.backends.jaeger
        known = set(jaeger.services())
        names = {
            system: {
                name
                for service in services_of([system])
                if service.name in known
                for name in jaeger.operations(service.name)
            }
            for system in SYSTEMS
        }
        missing = [row.place for row in rows if row.name not in names[row.system]]
        assert not missing, "\n".join(missing)
        return True

    eventually(all_there, timeout_s=SHOWS_TIMEOUT_S, poll_s=3)


@pytest.mark.parametrize("path", sorted((ROOT / "config/loki/queries").glob("*.yaml")), ids=str)
def test_every_log_query_of_the_documents_finds_a_line(floor: FloorRun, path: Path) -> None:
    """Those that need no fault: a line, or a number that is not 0."""
    queries = yaml.safe_load(path.read_text(encoding="utf-8"))
    steady = [each for each in queries if each.get("scenario", "steady") == "steady"]
    assert steady

    def all_found() -> bool:
        missing = [each["name"] for each in steady if not floor.backends.loki.found(each["query"])]
        assert not missing, missing
        return True

    eventually(all_found, timeout_s=SHOWS_TIMEOUT_S, poll_s=3)


def test_orders_of_each_system_that_trades_are_in_the_convention(floor: FloorRun) -> None:
    """VeloZ's as it sends them, the others' of their tailed logs, of which none is refused."""

    def all_there() -> bool:
        prometheus = floor.backends.prometheus
        orders = prometheus.query(
            "count by (trading_account, trading_order_state)"
            ' (trading_orders_total{job="tapeline-signals"} > 0)'
        )
        told = {
            (each.labels["trading_account"], each.labels["trading_order_state"]) for each in orders
        }
        wanted = {
            (account, state)
            for account in (*MAPPED, "veloz")
            for state in ("submitted", "acknowledged")
        }
        assert wanted <= told, f"missing: {sorted(wanted - told)}"
        return True

    eventually(all_there, timeout_s=SHOWS_TIMEOUT_S, poll_s=3)
    refused = floor.backends.prometheus.query(
        'tapeline_signals_rejected_events_total{mapping!=""} > 0'
    )
    assert not refused, [(dict(each.labels), each.value) for each in refused]


def test_the_watchdog_reaches_the_inbox(floor: FloorRun) -> None:
    """Through the real Alertmanager, on its own branch of the tree."""
    eventually(lambda: "Watchdog" in floor.notices("firing"), timeout_s=SHOWS_TIMEOUT_S, poll_s=2)


def test_every_panel_returns_data(floor: FloorRun) -> None:
    """Each query of each dashboard that needs no fault, at 15 minutes and at 6 hours."""

    def all_well() -> bool:
        found = floor.panel_failures("steady")
        assert not found, "\n".join(found)
        return True

    eventually(all_well, timeout_s=SHOWS_TIMEOUT_S, poll_s=10)


def test_nothing_fires_but_the_watchdog(floor: FloorRun) -> None:
    """Half an hour's worth of windows and waits after the start, and at a look after."""
    begun_s = floor.backends.prometheus.query("time() - min(min_over_time(timestamp(up)[1h:5s]))")
    time.sleep(max(0.0, WINDOWS_PASS_S - begun_s[0].value))

    def quiet() -> bool:
        firing = floor.firing()
        assert firing == {"Watchdog"}, sorted(firing)
        return True

    eventually(quiet, timeout_s=SHOWS_TIMEOUT_S, poll_s=3)


@pytest.mark.acceptance
def test_ten_minutes_pass_and_all_is_well(floor: FloorRun) -> None:
    """No target down and no alert at any moment; what each part costs is printed."""
    end = time.monotonic() + STEADY_S
    test_no_target_is_down(floor)
    test_nothing_fires_but_the_watchdog(floor)
    while time.monotonic() < end:
        down = [dict(e.labels) for e in floor.backends.prometheus.query("up") if e.value != 1]
        assert not down, down
        assert floor.firing() == {"Watchdog"}
        time.sleep(5)
