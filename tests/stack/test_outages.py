"""An outage of 15 minutes of all backends loses nothing, with the clock shortened to 15 seconds."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends import of
from load import Load, Missing, arrived, missing, missing_logs, missing_traces
from scaled_clock import OUTAGE_S, SCALE, scaled_overlay, scaled_timers
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SERVERS = ("collector", "gate", "loki", "jaeger", "prometheus")
BACKENDS = ("loki", "jaeger", "prometheus")
NO_SAMPLING = SOURCE_ROOT / "collector" / "no_sampling.yaml"
# What egress would do without the settings that this project made.
DEFAULTS = """\
exporters:
  otlp_http/loki: {retry_on_failure: null}
  otlp_grpc/jaeger: {retry_on_failure: null}
  prometheus: {metric_expiration: 5m}
"""


@dataclass(frozen=True)
class Outage:
    """A stack over an outage: with a load that ended early in it, and one that went on."""

    stack: Stack
    ended: Load
    ongoing: Load

    def missing(self) -> tuple[Missing, Missing]:
        """Return what of both loads is not in the backends."""
        backends = of(self.stack)
        return missing(backends, self.ended), missing(backends, self.ongoing)


def start(folder: Path, *files: Path, scale: float = SCALE) -> Stack:
    """Return a stack, not started, whose collector's timers are divided."""
    folder.mkdir()
    ports = Ports.free()
    files = (NO_SAMPLING, *files)
    if scale != 1:
        plain = Stack(
            folder / "run", ports, servers=SERVERS, overrides=Overrides(egress_files=files)
        )
        unit = next(unit for unit in plain.units if unit.name == "collector")
        files = (*files, scaled_overlay(unit, folder / "scaled.yaml"))
    changed = Overrides(egress_files=files, scrape_interval_s=1)
    return Stack(folder / "run", ports, servers=SERVERS, overrides=changed)


def outage(stacks: list[Stack], seconds: float) -> list[Outage]:
    """Let all backends of running stacks be down for so long, under load."""
    seen = []
    with ExitStack() as loads:
        for stack in stacks:
            address = f"{HOST}:{stack.ports.otlp_grpc}"
            ended = loads.enter_context(Load(address, "ended", pause_s=0.1))
            ongoing = loads.enter_context(Load(address, "ongoing", pause_s=max(seconds / 150, 0.1)))
            seen.append(Outage(stack, ended, ongoing))
        for each in seen:
            each.ended.proceed(requests=10)
            for name in BACKENDS:
                each.stack.terminate(name)
        began = time.monotonic()
        for each in seen:
            each.ended.proceed(requests=10)
            each.ended.stop()
        # The outage itself is what is waited for.
        time.sleep(seconds + began - time.monotonic())
        for each in seen:
            for name in BACKENDS:
                each.stack.restart(name)
            each.ongoing.proceed(requests=10)
    return seen


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Outage]]:
    """Let two stacks pass through the same outage: the project's, and one with the defaults."""
    folder = tmp_path_factory.mktemp("outages")
    defaults = folder / "defaults.yaml"
    defaults.write_text(DEFAULTS, encoding="utf-8")
    stacks = [start(folder / "configured"), start(folder / "with_defaults", defaults)]
    with stacks[0], stacks[1]:
        yield outage(stacks, OUTAGE_S / SCALE)


def test_an_outage_of_all_backends_loses_nothing(outages: list[Outage]) -> None:
    """Logs, spans and last counts arrive, of what went on and of what ended meanwhile."""
    configured = outages[0]
    arrived(of(configured.stack), configured.ended)
    arrived(of(configured.stack), configured.ongoing)


def test_the_defaults_would_be_noticed(outages: list[Outage]) -> None:
    """With max_elapsed_time and metric_expiration at 5 minutes the same outage loses all three."""
    with_defaults = outages[1]
    # What was sent after the outage arrives, so what is missing then is lost and not late.
    with Load(f"{HOST}:{with_defaults.stack.ports.otlp_grpc}", "after") as after:
        after.proceed(requests=10)
    backends = of(with_defaults.stack)
    eventually(lambda: not missing_logs(backends.loki, after), timeout_s=60)
    eventually(lambda: not missing_traces(backends.jaeger, after), timeout_s=60)
    ended, ongoing = with_defaults.missing()
    assert ended.logs
    assert ended.traces
    assert ended.counts
    assert ongoing.logs
    assert ongoing.traces


def test_timers_between_the_two_outages_are_divided() -> None:
    """Shorter ones run out during either outage, longer ones during neither."""
    timers = {"a": {"short": "10s", "default": "5m0s", "long": "30m0s", "text": "5 minutes"}}
    assert scaled_timers({**timers, "never": "0s", "list": ["5m"]}) == {"a": {"default": "5s"}}


@pytest.mark.acceptance
@pytest.mark.timeout(1500)
def test_fifteen_real_minutes_lose_nothing(tmp_path: Path) -> None:
    """The same with the clock as it is."""
    with start(tmp_path / "real", scale=1) as stack:
        (real,) = outage([stack], OUTAGE_S)
        arrived(of(stack), real.ended, timeout_s=120)
        arrived(of(stack), real.ongoing, timeout_s=120)
