"""Two workers of the signals by the README's own files: an account has one, quotes reach both."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backends import fetch
from otlp_client import send
from signals_stack import (
    SECOND_NS,
    Samples,
    Setting,
    Trading,
    chunks,
    demo_session,
    differences,
    in_logs,
    in_spans,
    own_count,
    passed,
    scraped,
    shown_by,
)
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from trading_requests import AnyMessage
from waiting import eventually

pytestmark = pytest.mark.stack

EXAMPLES = SOURCE_ROOT / "processors" / "tapeline" / "signals" / "testdata"
CAPTURE_FILE = Path(__file__).with_name("data") / "capture.yaml"
SHOWN_PORT = 4329
ACCOUNTS = tuple(f"desk-{letter}" for letter in "abcdefgh")
SETTING = Setting({"max_lateness": "10m", "period": "1s", "idle_timeout": "6h"})
TWICE = ("trading.quote", "trading.mark")
TAKEN = "tapeline_signals_events_total"
AGAIN = "tapeline_signals_duplicate_events_total"


@dataclass(frozen=True)
class Sharded:
    """Two workers that have taken a session, and what one would show of it."""

    stack: Stack
    captured: Path
    expected: Samples

    def positions_by_worker(self) -> dict[str, float]:
        """Return how many positions each worker has."""
        text = fetch(f"http://{HOST}:{self.stack.ports.signals_admin}/metrics").decode()
        return {
            sample.labels["worker"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "tapeline_signals_positions"
        }


def written(folder: Path, port: int) -> tuple[Path, Path]:
    """Write the README's files with a port of the test's own; what waits is as the test needs."""
    text = (EXAMPLES / "sharded-collector.yaml").read_text(encoding="utf-8")
    collector = folder / "collector.yaml"
    moved = text.replace(str(SHOWN_PORT + 1), str(port + 1)).replace(str(SHOWN_PORT), str(port))
    collector.write_text(moved, encoding="utf-8")
    document = yaml.safe_load((EXAMPLES / "sharded-signals.yaml").read_text(encoding="utf-8"))
    document["signals"].update(SETTING.section)
    signals = folder / "signals.yaml"
    signals.write_text(json.dumps(document), encoding="utf-8")
    return collector, signals


def requests_of(session: list[Trading]) -> list[AnyMessage]:
    """Return a session as requests that hold all accounts: fills as spans."""
    in_trace = ("trading.execution",)
    spans = [each for each in session if each.event.name in in_trace]
    rest = [each for each in session if each.event.name not in in_trace]
    return [*map(in_logs, chunks(rest, 200)), *map(in_spans, chunks(spans, 50))]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharded]:
    """Send a session of eight accounts, and wait until both workers have their parts."""
    folder = tmp_path_factory.mktemp("shards")
    free = Ports.free()
    # The last of the block, so that the second worker's port is nobody else's.
    ports = replace(free, signals=free.node_exporter, node_exporter=free.signals)
    collector, signals = written(folder, ports.signals)
    session = demo_session(17, 200, time.time_ns() - 120 * SECOND_NS, SECOND_NS // 4, ACCOUNTS)
    requests = requests_of(session)
    end = passed(session[-1].time_ns + 1200 * SECOND_NS)
    changed = Overrides(
        egress_files=(CAPTURE_FILE, collector),
        environment={"collector": {"CAPTURE_DIR": str(folder)}},
        signals_config=signals,
    )
    servers = ("collector", "signals", "gate")
    with Stack(folder / "run", ports, servers=servers, overrides=changed) as stack:
        for request in requests:
            send(f"{HOST}:{ports.otlp_grpc}", request)
        sent = Counter(each.event.name for each in session)
        total = sum(count * (2 if name in TWICE else 1) for name, count in sent.items())
        # A batch comes again to both while one of them can't be reached yet.
        eventually(lambda: own_count(stack, TAKEN) - own_count(stack, AGAIN) == total, timeout_s=60)
        send(f"{HOST}:{ports.otlp_grpc}", end)
        expected = shown_by(SETTING.engine_of([*requests, end]))
        yield Sharded(stack, folder / "metrics.jsonl", expected)


def test_both_together_show_what_one_would(sharded: Sharded) -> None:
    """Every series of every account, to the last bit; and both had something to do."""
    eventually(lambda: not _wrong(differences(scraped(sharded.stack), sharded.expected)))
    positions = sharded.positions_by_worker()
    assert len(positions) == 2
    assert min(positions.values()) > 0


def _wrong(found: list[str]) -> list[str]:
    assert not found, found
    return found


def test_every_series_has_one_writer(sharded: Sharded) -> None:
    """A second worker would show as a second start of the same series, or of the same account."""
    by_series, by_account = defaultdict(set), defaultdict(set)
    for line in sharded.captured.read_text(encoding="utf-8").splitlines():
        for group in json.loads(line)["resourceMetrics"]:
            for metric in [each for scope in group["scopeMetrics"] for each in scope["metrics"]]:
                for kind in ("sum", "histogram"):
                    for point in metric.get(kind, {}).get("dataPoints", []):
                        texts = {
                            each["key"]: each["value"]["stringValue"]
                            for each in point["attributes"]
                        }
                        key = (metric["name"], tuple(sorted(texts.items())))
                        by_series[key].add(point["startTimeUnixNano"])
                        by_account[texts["trading.account"]].add(point["startTimeUnixNano"])
    assert len(by_series) > 500
    assert {len(starts) for starts in by_series.values()} == {1}
    assert by_account.keys() == set(ACCOUNTS)
    assert {len(starts) for starts in by_account.values()} == {1}
    assert len(set.union(*by_account.values())) == 2


def test_quotes_and_marks_reach_both_and_nothing_else_does(sharded: Sharded) -> None:
    """Each worker has as many of them as were sent; the deposits are divided among them."""
    text = fetch(f"http://{HOST}:{sharded.stack.ports.signals_admin}/metrics").decode()
    counted: dict[tuple[str, str], list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in {TAKEN, AGAIN}:
                counted[sample.name, sample.labels["kind"]].append(sample.value)
    for kind in ("quote", "mark"):
        assert counted[TAKEN, kind][0] == counted[TAKEN, kind][1] > 0
    assert min(counted[TAKEN, "cash"]) > 0
    assert sum(counted[TAKEN, "cash"]) - sum(counted[AGAIN, "cash"]) == len(ACCOUNTS)
