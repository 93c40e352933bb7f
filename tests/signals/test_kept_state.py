"""`tapeline signals`: what a state says while its sidecar runs, and whether its events make it."""

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecars import Running, running_sidecar, settings
from signal_events import LATENESS_NS, SETTINGS, figures, in_arrival_order, random_events
from store_kinds import PostgresqlKind, SqliteKind, StoreKind
from tapeline.cli import main
from tapeline.pipeline.registry import ProcessorContext
from tapeline.settings import build_chain, load_settings
from tapeline.signals import kept_state
from tapeline.signals.instruments import Account
from tapeline.signals.kept_state import Verdict, read_states, verified_states
from tapeline.signals.opening import open_store
from tapeline.signals.plain import decode_state, encode_state
from tapeline.signals.recorder import Recorder
from tapeline.signals.store import Loaded, Sealed, Store, _opened, sealed_checkpoint
from trading_requests import EXECUTION, START_NS, log

CONFIG = """
server: {listen: "127.0.0.1:0"}
downstream: {endpoint: discard}
chain: {logs: [signals], traces: [signals], metrics: []}
signals:
  state: "sqlite:///STATE"
  accounts: {desk: {base_currency: USDT, starting_equity: "1000"}}
  instruments: {BTCUSDT: {quote_currency: USDT, base_currency: BTC}}
"""


def recorded(kind: StoreKind, seed: int, batches: int, checkpoints: set[int]) -> Recorder:
    """Return a recorder that took random batches, with checkpoints after some of them."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    events = in_arrival_order(random, random_events(random, batches * 8), LATENESS_NS)
    recorder = Recorder(SETTINGS, kind.opened())
    recorder.begin(1)
    for index in range(batches):
        batch = events[index * 8 : index * 8 + 8]
        recorder.take(batch, max(event.time_ns for event in batch))
        if index % 5 == 4:
            recorder.settle(recorder.engine.watermark_ns + 3)
        if index in checkpoints:
            recorder.checkpoint()
    return recorder


def verdict(kind: StoreKind) -> Verdict:
    """Return what comes of the first worker's state."""
    (found,) = verified_states(kind.url, 1, SETTINGS)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreKind]:
    """Return a place that another process can read."""
    place: StoreKind
    if request.param == "sqlite":
        place = SqliteKind(tmp_path / "state" / "signals.db")
    else:
        place = PostgresqlKind(request.getfixturevalue("postgresql"))
    yield place
    place.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_state_is_what_its_events_make(lasting: StoreKind, seed: int) -> None:
    """Of all kinds of events, while the writer has it open, and after it went on."""
    recorder = recorded(lasting, seed, 20, {6, 13})
    (first,) = read_states(lasting.url, 1, SETTINGS)

    assert first.engine is not None
    lively, kept = figures(recorder.engine), figures(first.engine)
    del lively["exemplars"], kept["exemplars"]
    assert kept == lively
    found = verdict(lasting)
    assert (found.is_good, found.found) == (True, ())
    assert "is what checkpoint 8 and the 8 rows after it make" in found.told


def test_one_checkpoint_is_compared_with_the_start(lasting: StoreKind) -> None:
    """All rows before it are still there."""
    recorded(lasting, 1, 12, {9})

    found = verdict(lasting)
    assert found.is_good
    assert "the start (there is no other checkpoint) and the 12 rows" in found.told


def test_what_cannot_be_compared_is_said(lasting: StoreKind) -> None:
    """No checkpoint yet; rows that are gone; a damaged checkpoint."""
    recorder = recorded(lasting, 2, 4, set())
    assert verdict(lasting) == Verdict(
        0, "there is no checkpoint yet to compare with, and 4 rows", is_good=True
    )
    recorder.checkpoint()
    lasting.remove("log", 2)
    told = "rows between 0 and 4 are missing or damaged: they can't be replayed"
    assert verdict(lasting) == Verdict(0, told, is_good=False)
    lasting.remove("log", 1)
    told = "there is one checkpoint, 4, and not all rows before it: nothing to compare"
    assert verdict(lasting) == Verdict(0, told, is_good=False)
    recorder.take(random_events(Random(3), 3), 2_000)  # noqa: S311 - reproducible, not secret
    recorder.checkpoint()
    lasting.damage("checkpoint", 5)
    assert not verdict(lasting).is_good
    assert "damaged" in verdict(lasting).told


def _first(state: Any, *path: Any) -> Any:
    for key in path:
        state = state[key]
    return state


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (
            "sampled.accounts",
            lambda s: _first(s, "sampled", "accounts", "a", 0, 0).append(Decimal(1)),
        ),
        (
            "sampled.accounts",
            lambda s: _first(s, "sampled", "accounts", "a", 1).append([50, Decimal(1)]),
        ),
        ("sampled.tallies", lambda s: _first(s, "sampled", "tallies", "a").__setitem__(0, 99)),
        ("sampled.orders", lambda s: _first(s, "sampled", "orders", "orders").pop()),
        ("sampled.order_counts", lambda s: _first(s, "sampled", "order_counts").__setitem__(0, 99)),
        (
            "sampled.cash",
            lambda s: _first(s, "sampled", "cash", "totals", "a").update(GBP=Decimal(5)),
        ),
        ("sampled.worst", lambda s: _first(s, "sampled", "worst").clear()),
        ("sampled.revised", lambda s: _first(s, "sampled").update(revised=99)),
        ("events", lambda s: _first(s, "events").update(quote=9999)),
        ("live.terms", lambda s: _first(s, "live", "terms").pop()),
        ("watermark", lambda s: s.update(watermark=s["watermark"] - 1)),
    ],
)
def test_whatever_is_tampered_with_is_found(
    tmp_path: Path, place: str, change: Callable[[Any], Any]
) -> None:
    """Returns, the equity curve, round trips, orders, cash, counts, and when it was."""
    kind = SqliteKind(tmp_path / "signals.db")
    recorded(kind, 7, 30, {12, 25})
    assert verdict(kind).is_good
    tamper(tmp_path / "signals.yaml", change)

    found = verdict(kind)
    assert not found.is_good
    assert [one for one in found.found if place in one.place], found.found


class Restless:
    """A store to which its sidecar writes a checkpoint between two looks at it."""

    def __init__(self, store: Store, recorder: Recorder, times: int) -> None:
        self._store = store
        self._recorder = recorder
        self._times = times

    def load(self, before_sequence: int | None = None) -> Loaded:
        if before_sequence is not None and self._times:
            self._times -= 1
            events = random_events(Random(self._times), 4)  # noqa: S311 - not secret
            self._recorder.take(events, 3_000)
            self._recorder.checkpoint()
            self._recorder.take(events, 3_000)
            self._recorder.checkpoint()
        return self._store.load(before_sequence)

    def close(self) -> None:
        self._store.close()


@pytest.mark.parametrize(("times", "is_good"), [(1, True), (3, True), (99, False)])
def test_checkpoints_may_come_between(
    lasting: StoreKind, monkeypatch: pytest.MonkeyPatch, times: int, *, is_good: bool
) -> None:
    """Two that belong together are compared; where they come too fast, that is said."""
    recorder = recorded(lasting, 5, 12, {3, 8})

    def restless(url: str, worker: int, *, is_read_only: bool) -> Restless:
        return Restless(open_store(url, worker, is_read_only=is_read_only), recorder, times)

    monkeypatch.setattr(kept_state, "open_store", restless)
    found = verdict(lasting)

    assert found.is_good is is_good
    assert ("to the last digit" if is_good else "faster than they can be read") in found.told


def test_other_settings_are_no_tampering(lasting: StoreKind) -> None:
    """A changed base currency is refused with its name; a state of nobody is no state."""
    (nothing,) = verified_states(lasting.url, 1, SETTINGS)
    assert not nothing.is_good
    recorded(lasting, 4, 20, {6, 13})
    other = replace(SETTINGS, accounts={**SETTINGS.accounts, "b": Account("USD")})
    (kept,) = read_states(lasting.url, 1, other)

    assert kept.engine is None
    assert "account 'b' was counted in EUR" in (kept.problem or "")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration whose state is in the test's folder."""
    path = tmp_path / "signals.yaml"
    path.write_text(CONFIG.replace("STATE", str(tmp_path / "signals.db")))
    return path


@contextlib.contextmanager
def sidecar(config: Path) -> Iterator[Running]:
    """Run the configured chain behind a real port."""
    chain = build_chain(load_settings(config), ProcessorContext(CollectorRegistry()))
    with running_sidecar(settings(), chain) as running:
        yield running


def send(running: Running, name: str, seconds: int, **changes: str) -> None:
    """Send an execution as a log record, which is acknowledged when it is committed."""
    of_record = {f"trading.execution.{key}": value for key, value in changes.items()}
    attributes = {**EXECUTION, "trading.account": "desk", "trading.execution.id": name, **of_record}
    time_ns = START_NS + seconds * 1_000_000_000
    request = log("trading.execution", attributes, time_ns=time_ns, observed_ns=time_ns)
    running.client.export(request.SerializeToString())


@pytest.fixture
def traded(config: Path) -> Path:
    """Return a configuration whose sidecar ran twice: two checkpoints."""
    for run in range(2):
        with sidecar(config) as running:
            for second in range(20):
                send(running, f"e{run}-{second}", 100 * run + second, price=f"{50_000 + second}.25")
    return config


def tamper(config: Path, change: Callable[[Any], None]) -> None:
    """Change the newest checkpoint, with a checksum that is right."""
    with contextlib.closing(sqlite3.connect(config.with_name("signals.db"))) as database, database:
        query = "SELECT sequence, content FROM checkpoint ORDER BY sequence DESC LIMIT 1"
        sequence, content = database.execute(query).fetchone()
        opened = _opened(b"checkpoint", Sealed(sequence, content), 1)
        assert opened is not None
        ((drop_ns,), body) = opened
        state = decode_state(body)
        change(state)
        sealed = sealed_checkpoint(sequence, drop_ns, encode_state(state))
        database.execute("UPDATE checkpoint SET content = ? WHERE sequence = ?", (sealed, sequence))


def test_a_running_sidecar_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Positions and P&L of what it acknowledged last, as text and, exactly, as JSON."""
    with sidecar(config) as running:
        send(running, "e1", 0)
        send(running, "e2", 1, quantity="0.25", price="50100.123456789")
        assert main(["signals", "show", "--config", str(config)]) == 0
        text = capsys.readouterr()
        assert main(["signals", "show", "--json", "--config", str(config)]) == 0
        report = json.loads(capsys.readouterr().out)

    (position,) = report["positions"]
    assert (position["quantity"], position["net_pnl"]) == ("0.75", "50.0117283945")
    assert report["accounts"][0]["equity"] == "1050.0117283945"
    assert report["workers"][0]["last_sequence"] == 2
    assert text.err == ""
    for shown in ("desk", "BTCUSDT", "0.75", "50,033.441", "1,050.01", "2 commits"):
        assert shown in text.out


def test_a_state_that_was_tampered_with_is_found_out(
    traded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A total, or what a position began with; before, it is what its events make."""
    assert main(["signals", "verify", "--config", str(traded)]) == 0
    assert "is what checkpoint 20 and the 20 rows after it make" in capsys.readouterr().out

    def change(state: Any) -> None:
        for series in state["series"]["sums"]:
            if series[0] == "trading.volume":
                series[2] = str(Decimal(series[2]) + Decimal("0.00000001"))
        state["live"]["beginnings"][0][1][2] += Decimal(7)

    tamper(traded, change)
    assert main(["signals", "verify", "--config", str(traded)]) == 1
    told = capsys.readouterr().out
    assert "position desk / default / BTCUSDT realised: kept 7" in told
    assert (
        "sum trading.volume{account=desk, instrument=BTCUSDT, side=buy, strategy=default}" in told
    )
    kept, replayed = re.findall(r"sum trading.volume.*kept (\S+), replayed (\S+)", told)[0]
    assert Decimal(kept) - Decimal(replayed) == Decimal("0.00000001")


def test_what_cannot_be_shown_is_said(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With what to do: no state, another file, another build's, none that is kept, no section."""
    arguments = ["signals", "show", "--config", str(config)]
    assert main(arguments) == 1
    assert "no state is there. It begins with the first event" in capsys.readouterr().err
    with sidecar(config) as running:
        send(running, "e1", 0)
    tamper(config, lambda state: state.update(layout=99))
    assert main(arguments) == 1
    assert "use the build that wrote it" in capsys.readouterr().err
    config.with_name("signals.db").write_bytes(os.urandom(5000))
    config.with_name("signals.db-wal").unlink(missing_ok=True)
    assert main(arguments) == 1
    assert "damaged" in capsys.readouterr().err
    kept = f"sqlite:///{tmp_path / 'signals.db'}"
    config.write_text(config.read_text().replace(kept, "memory"))
    assert main(arguments) == 1
    assert "signals.state is memory" in capsys.readouterr().err
    config.write_text("chain: {logs: [], traces: [], metrics: []}")
    assert main(arguments) == 2
    assert "no chain names the processor signals" in capsys.readouterr().err


def test_a_database_that_is_away_is_told_once(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And says nothing of workers that nobody has heard of."""
    pytest.importorskip("psycopg")
    kept = f"sqlite:///{tmp_path / 'signals.db'}"
    config.write_text(config.read_text().replace(kept, "postgresql://127.0.0.1:1/db"))

    assert main(["signals", "show", "--config", str(config)]) == 1

    told = capsys.readouterr().err
    assert told.count("can't be reached") == 1
    assert "more workers" not in told


def test_what_is_in_the_way_is_no_sign_of_one_more_worker(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder where the next worker's file would be, or a place that may not be entered."""
    for name in ("signals.db", "signals.db-1"):
        config.with_name(name).mkdir()

    assert main(["signals", "show", "--config", str(config)]) == 1

    told = capsys.readouterr().err
    assert "worker 0: " in told
    assert "name another path" in told
    assert "more workers" not in told


def test_every_worker_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One without a state is named, and so is a state of a worker that there is no longer."""
    for worker in (0, 2):
        chain = build_chain(
            load_settings(config), ProcessorContext(CollectorRegistry(), worker_index=worker)
        )
        with running_sidecar(settings(), chain) as running:
            send(running, f"e{worker}", worker)
    config.write_text(config.read_text().replace("server: {", "server: {workers: 2, "))

    assert main(["signals", "show", "--json", "--config", str(config)]) == 0
    told = capsys.readouterr()
    assert "worker 1: no state yet" in told.err
    assert "worker 2: there is a state of more workers than server.workers" in told.err
    report = json.loads(told.out)
    assert [worker["worker"] for worker in report["workers"]] == [0, 1, 2]
    assert report["split_accounts"] == ["desk"]
    assert [row["quantity"] for row in report["positions"]] == ["0.5", "0.5"]
