"""The sidecar killed with kill -9 under load: the collector sends again, and nothing counts twice.

Figures are those of an engine that nobody disturbed, to the last bit, in both kinds of state.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest

from otlp_client import send
from postgresql_server import PostgresqlServer, running_postgresql
from signals_stack import (
    SECOND_NS,
    Setting,
    Trading,
    chunks,
    demo_session,
    differences,
    in_logs,
    own_count,
    passed,
    scraped,
    shown_by,
)
from tapeline.signals.opening import open_store
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.probe import is_ready
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from trading_requests import AnyMessage
from waiting import eventually

pytestmark = pytest.mark.stack

CAPTURE_FILE: Final = Path(__file__).with_name("data") / "capture.yaml"
# Checkpoints come so often that kills meet some of them.
PROGRAM: Final = """
import sys
from tapeline.signals import recorder
recorder.CHECKPOINT_ROWS = 20
from tapeline.cli import main
sys.exit(main(["serve", "--config", sys.argv[1]]))
"""
SETTING: Final = Setting(
    {
        "max_lateness": "2s",
        "horizons": ["1s", "10s"],
        "revision_window": "10m",
        "risk": {"period": "5s"},
        "accounts": {"desk-a": {"starting_equity": "0.01"}},
    }
)
ACCOUNTS: Final = ("desk-a", "desk-b", "desk-c")
REQUEST_EVENTS: Final = 15
PAUSE_S: Final = 0.03
AGAIN_EVERY: Final = 10
FEW, MANY = 6, 100


@dataclass
class Sidecar:
    """The signals sidecar of a stack that has none, as a process of the test's own."""

    stack: Stack
    config: Path
    state: str
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; it may not be ready yet."""
        ports = self.stack.ports
        environment = {
            "TAPELINE_SIGNALS_LISTEN": f"{HOST}:{ports.signals}",
            "TAPELINE_SIGNALS_ADMIN": f"{HOST}:{ports.signals_admin}",
            "TAPELINE_DOWNSTREAM": f"{HOST}:{ports.egress}",
            "TAPELINE_SIGNALS_STATE": self.state,
        }
        with self.config.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.config)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def until_ready(self) -> None:
        """Wait until it answers."""
        url = f"http://{HOST}:{self.stack.ports.signals_admin}/health/ready"
        eventually(lambda: is_ready(url), timeout_s=60, poll_s=0.02)

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None
        assert self._process.poll() is None, "it ended by itself"
        self._process.kill()
        self._process.wait(30)

    def end(self) -> None:
        """End it however it is."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)


@dataclass
class Feed:
    """Sends a session to the egress receiver, in order, until it is told to end."""

    address: str
    session: Sequence[Trading]
    sent: list[AnyMessage] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        assert self._thread is not None
        self._thread.join(30)

    def _run(self) -> None:
        for chunk in chunks(self.session, REQUEST_EVENTS):
            if self._ending.wait(PAUSE_S):
                return
            request = in_logs(chunk)
            send(self.address, request)
            if len(self.sent) % AGAIN_EVERY == 0:
                send(self.address, request)  # as a gate does that got no answer
            self.sent.append(request)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresqlServer]:
    """Return a server that runs; skips where there can be none."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty state."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'signals.db'}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.schema()[1]


@contextmanager
def sidecar(folder: Path, state: str) -> Iterator[Sidecar]:
    """Run a collector that captures metrics, and a sidecar behind it."""
    changed = Overrides(
        egress_files=(CAPTURE_FILE,), environment={"collector": {"CAPTURE_DIR": str(folder)}}
    )
    config = SETTING.write(folder / "signals.yaml")
    with ExitStack() as running:
        stack = Stack(folder / "run", Ports.free(), servers=("collector",), overrides=changed)
        running.enter_context(stack)
        found = Sidecar(stack, config, state)
        running.callback(found.end)
        found.start()
        found.until_ready()
        yield found


def killed(folder: Path, state: str, kills: int, seed: int) -> None:
    """Kill a sidecar so often at random moments, some before it is ready; compare all figures."""
    source = random.Random(seed)  # noqa: S311 - moments
    begin_ns = time.time_ns() - 7 * 24 * 3600 * SECOND_NS
    session = demo_session(seed, 40 * kills + 400, begin_ns, SECOND_NS // 4, ACCOUNTS)
    with sidecar(folder, state) as running:
        stack = running.stack
        with Feed(f"{HOST}:{stack.ports.egress}", session) as feed:
            for _ in range(kills):
                time.sleep(source.uniform(0.0, 0.8))
                running.kill()
                running.start()
                if source.random() < 0.8:
                    running.until_ready()
        assert len(feed.sent) > 10 * kills
        end = passed(session[-1].time_ns + 600 * SECOND_NS)
        send(f"{HOST}:{stack.ports.egress}", end)
        expected = shown_by(SETTING.engine_of([*feed.sent, end]))
        running.until_ready()
        eventually(lambda: not _wrong(differences(scraped(stack), expected)), timeout_s=90)
        assert own_count(stack, "tapeline_signals_damaged_pieces_total") == 0
        assert own_count(stack, "tapeline_signals_duplicate_events_total") > 0
    store = open_store(state, is_read_only=True)
    assert store.load().checkpoint is not None, "no checkpoint was ever written"
    store.close()
    starts, falls = cumulative(folder / "metrics.jsonl")
    assert len(starts) == 1, "a state was lost"
    assert not falls


def _wrong(found: list[str]) -> list[str]:
    assert not found, found
    return found


def cumulative(path: Path) -> tuple[set[str], list[str]]:
    """Return the start times of what is cumulative, and each counter that once fell."""
    starts: set[str] = set()
    falls: list[str] = []
    last: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for group in json.loads(line)["resourceMetrics"]:
            for metric in [each for scope in group["scopeMetrics"] for each in scope["metrics"]]:
                summed = metric.get("sum", {})
                points = summed.get("dataPoints", [])
                starts |= {point["startTimeUnixNano"] for point in points}
                for point in points if summed.get("isMonotonic") else ():
                    key = metric["name"] + json.dumps(point["attributes"])
                    value = point["asDouble"]
                    if value < last.get(key, 0.0):
                        falls.append(key)
                    last[key] = value
    assert last
    return starts, falls


def test_some_kills_change_no_figure(tmp_path: Path, state: str) -> None:
    """Whatever was under way when it died comes again, and counts once."""
    killed(tmp_path, state, FEW, seed=5)


@pytest.mark.acceptance
@pytest.mark.timeout(1800)
def test_a_hundred_kills_change_no_figure(tmp_path: Path, state: str) -> None:
    """The same over a hundred random kills."""
    killed(tmp_path, state, MANY, seed=6)
