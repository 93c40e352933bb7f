"""`tapeline process` over trading events: the same bytes everywhere, and a live run's figures."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from signal_steps import CONFIG, at, built, ends, event, fill, other, points
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

GATE = """
chain: {logs: [signals], traces: [signals], metrics: []}
signals:
  period: 10s
  risk: {period: 60s}
  accounts: {a: {starting_equity: "1000"}, b: {starting_equity: "1000"}}
  instruments: {BTCUSDT: {base_currency: BTC, quote_currency: USD}}
"""
LAST_S = 905
"""All horizons and flat positions are past, and no period ends within the lateness before it."""
SECTION: dict[str, Any] = {
    **CONFIG,
    "period": "10s",
    "risk": {"period": "60s"},
    "accounts": {"a": {"starting_equity": "1000"}, "b": {"starting_equity": "1000"}},
}


def session(seed: int) -> list[tuple[float, Batch]]:
    """Return four minutes of trading in two accounts, by second; the last execution is late."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    found: list[tuple[float, Batch]] = []
    for index in range(80):
        second = index * 3 + random.random()
        account, price = random.choice("ab"), price_text(random, 100)
        ours = {"account": account, "instrument": "BTCUSDT", "venue": "v"}
        made = [
            event("quote", second, quote__bid=price, quote__ask=f"{price}5", **ours),
            event("order", second, order__id=f"o{index}", order__state="submitted", side="sell",
                  order__quantity="3", order__decision_price=price, strategy="s", **ours),
            fill(f"e{index}", second + 0.2, order_id=f"o{index}", price=price, **ours,
                 side=random.choice(["buy", "sell"]), quantity="2", fee="0.01"),
            event("mark", second, mark__price=price, **ours),
            event("cash", second, cash__id=f"c{index}", cash__amount="-3.5", **ours),
            event("execution", second, execution__kind="bust", execution__id=f"b{index}",
                  execution__ref_id=f"e{index - 2}", **ours),
        ]  # fmt: skip
        found += [(second, one) for one in random.sample(made, 4)]
    return [*found, (LAST_S, other(LAST_S)), (LAST_S, fill("late", 30, account="a"))]


def price_text(random: Random, around: int) -> str:
    """Return a price with digits that no double has exactly."""
    return f"{around + random.randrange(-9, 9)}.{random.randrange(10, 99)}"


def latest(emitted: Iterable[Batch]) -> dict[tuple[str, ...], float]:
    """Return the last value of each series that has not ended."""
    found: dict[tuple[str, ...], float] = {}
    for each in emitted:
        found = {key: value for key, value in found.items() if key not in ends([each])}
        found |= points([each])
    return found


def process(folder: Path, recording: Path, seed: str) -> bytes:
    """Return what the command writes, in a process with a hash seed."""
    config = folder / "gate.yaml"
    config.write_text(GATE, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "process", "--config", str(config), recording],
        env={"PYTHONHASHSEED": seed},
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=True,
    ).stdout


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a file with a session."""
    path = tmp_path / "in.jsonl"
    lines = [request_to_json(each.signal, each.payload) for _, each in session(7)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_the_same_recording_gives_the_same_bytes_in_every_process(
    tmp_path: Path, recording: Path
) -> None:
    """Whatever the hash seed; and no state is left behind or found."""
    (output,) = {process(tmp_path, recording, seed) for seed in ("0", "1", "2")}
    assert output.count(b"trading.slippage.cost") >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.yaml", "in.jsonl"]


@pytest.mark.parametrize("seed", range(3))
def test_a_recording_has_the_figures_of_the_live_run(seed: int) -> None:
    """The last value of each series, the state on the way: emissions fall where they may."""
    offline, live = built(SECTION, is_live=False), built(SECTION)
    batches = session(seed)
    replayed: list[Batch] = []
    shown: list[Batch] = []
    now_ns = 0
    for second, each in batches:
        now_ns = max(now_ns, at(second))
        offline.process(each, now_ns)
        replayed += offline.tick(now_ns)
        live.process(each, at(second + 0.3))
        shown += live.tick(at(second + 0.3))
    replayed += offline.close(now_ns)
    shown += live.tick(at(LAST_S + 20))
    assert latest(replayed) == latest(shown)
    assert len(latest(replayed)) > 60


@pytest.mark.parametrize("size", [2, 7, 40])
def test_batches_of_any_size_have_the_same_last_values(size: int) -> None:
    """Requests of a signal that are joined are one request; the order of events stays.

    What comes ten minutes late stays by itself: risk was sampled before anybody knew of it.
    """
    *in_time, late = session(1)
    joined: list[tuple[float, Batch]] = []
    for begin in range(0, len(in_time), size):
        group = in_time[begin : begin + size]
        for signal in Signal:
            payload = b"".join(each.payload for _, each in group if each.signal is signal)
            if payload:
                joined.append((max(second for second, _ in group), Batch(signal, payload)))

    assert latest(replayed([*joined, late])) == latest(replayed([*in_time, late]))


def test_workers_have_the_last_values_of_one() -> None:
    """An account's events go to one worker, prices to all: each account's series are the same."""
    batches = session(1)
    one = latest(replayed(batches))

    for account, other_account in ("ab", "ba"):
        share = [
            (second, each)
            for second, each in batches
            if is_price(each) or not is_of(each, other_account)
        ]
        assert len(share) < len(batches)
        own = {key: value for key, value in one.items() if account in key}
        found = latest(replayed(share))
        assert len(own) > 30
        assert {key: value for key, value in found.items() if account in key} == own


def is_price(each: Batch) -> bool:
    """Tell whether a batch is a quote or a mark."""
    return b"trading.quote" in each.payload or b"trading.mark" in each.payload


def is_of(each: Batch, account: str) -> bool:
    """Tell whether a batch's event is of an account, by the attribute's bytes."""
    return b"trading.account\x12\x03\n\x01" + account.encode() in each.payload


def replayed(batches: Iterable[tuple[float, Batch]]) -> list[Batch]:
    """Return what is emitted offline."""
    offline, now_ns, emitted = built(SECTION, is_live=False), 0, list[Batch]()
    for second, each in batches:
        now_ns = max(now_ns, at(second))
        offline.process(each, now_ns)
        emitted += offline.tick(now_ns)
    return [*emitted, *offline.close(now_ns)]


def test_the_recording_is_what_the_command_reads(tmp_path: Path, recording: Path) -> None:
    """Its output has the figures of the processor alone, after the same last emission."""
    written = [
        Batch(*request_from_json(line)) for line in process(tmp_path, recording, "0").splitlines()
    ]
    assert {each.signal for each in written} == {Signal.METRICS}
    offline, now_ns, emitted = built(SECTION, is_live=False), 0, list[Batch]()
    for second, each in session(7):
        now_ns = max(now_ns, at(second))
        offline.process(each, now_ns)
    emitted += offline.close(now_ns)
    assert latest(written) == latest(emitted)


def test_nothing_in_is_nothing_out() -> None:
    """And telemetry without events makes no series."""
    offline = built(SECTION, is_live=False)
    assert offline.close(0) == ()
    offline = built(SECTION, is_live=False)
    offline.process(other(1), at(1))
    assert offline.tick(at(1)) == offline.close(at(2)) == []
