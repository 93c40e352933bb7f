"""A real tape, driven as quotes, orders and executions through the real collector.

Figures in Prometheus are those of `tapeline process` over the same requests, to the last bit.
Quotes and orders are logs, executions are spans.
"""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backends import Jaeger, Prometheus, fetch
from otlp_client import SIGNAL_OF, send
from signals_stack import (
    SECOND_NS,
    Samples,
    Setting,
    Trading,
    chunks,
    differences,
    exposed_after,
    in_logs,
    in_spans,
    own_count,
    passed,
    scraped,
    shown_by,
    shown_labels,
    span_id_of,
)
from tapeline.demo.events import Event
from tapeline.otlp.json_lines import request_to_json
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from trading_requests import AnyMessage
from waiting import eventually

pytestmark = pytest.mark.stack

MARKET = SOURCE_ROOT.parent / "shared" / "data" / "market"
SERVERS = ("collector", "signals", "gate", "prometheus", "jaeger")
PARTS = 8
TAKEN = "tapeline_signals_events_total"
JPY_EVERY = 5
MILLISECOND_NS = 1_000_000
SECTION = {
    # Spans have queues of their own, and what is sent at once lasts a few minutes.
    "max_lateness": "10m",
    "instruments": {
        "BTCUSDT": {"base_currency": "BTC", "quote_currency": "USDT"},
        "USDJPY": {"base_currency": "USD", "quote_currency": "JPY"},
    },
    "accounts": {
        "coins": {"base_currency": "USDT", "starting_equity": "1000000"},
        "yen": {"base_currency": "USD", "starting_equity": "1000000"},
    },
    "pairs": [{"instrument": "USDJPY", "base": "USD", "quote": "JPY", "venue": "truefx"}],
}


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of the market data; skip where it is absent."""
    path = MARKET / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no {path.name} in ../shared/data/market")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def time_ns(text: str) -> int:
    """Return a row's time, exactly."""
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * 1_000


def quotes(name: str, instrument: str, venue: str) -> Iterator[Trading]:
    """Yield the quotes of a file."""
    for row in rows(name):
        attributes: dict[str, str | int] = {
            "trading.instrument": instrument,
            "trading.venue": venue,
            "trading.quote.bid": row["bid"],
            "trading.quote.ask": row["ask"],
        }
        yield Trading(Event("trading.quote", attributes), time_ns(row["timestamp"]))


def filled(common: dict[str, str], moment_ns: int, price: str, further: dict[str, str]) -> Any:
    """Yield an order that is filled at once: sent 3 ms before, acknowledged 1 ms before."""
    trace_id = int(common["trading.order.id"]).to_bytes(16, "big")
    for state, before_ms in (("decided", 4), ("submitted", 3), ("acknowledged", 1)):
        order: dict[str, str | int] = {
            **common,
            "trading.order.state": state,
            "trading.order.quantity": further["trading.execution.quantity"],
            "trading.order.limit_price": price,
        }
        before = moment_ns - before_ms * MILLISECOND_NS
        yield Trading(Event("trading.order", order), before, trace_id, span_id_of(0))
    fill: dict[str, str | int] = {**common, **further, "trading.execution.price": price}
    yield Trading(Event("trading.execution", fill), moment_ns, trace_id, span_id_of(1))


def coins() -> list[Trading]:
    """Return a minute of BTCUSDT: every trade of the tape is an order of ours that it filled."""
    events = list(quotes("binance_btcusdt_quotes", "BTCUSDT", "binance"))
    for row in rows("binance_btcusdt_trades"):
        common = {
            "trading.account": "coins",
            "trading.strategy": "maker" if row["trade_id"][-1] in "02468" else "taker",
            "trading.instrument": "BTCUSDT",
            "trading.venue": "binance",
            "trading.order.id": row["trade_id"],
            "trading.side": "sell" if row["buyer_maker"] == "True" else "buy",
        }
        further = {
            "trading.execution.id": row["trade_id"],
            "trading.execution.quantity": row["quantity"],
            "trading.execution.fee": "0.01",
            "trading.execution.fee_currency": "USDT",
        }
        events += filled(common, time_ns(row["timestamp"]), row["price"], further)
    return events


def yen() -> list[Trading]:
    """Return half an hour of USDJPY, of which every few quotes one is bought or sold at."""
    events = list(quotes("truefx_usdjpy_quotes", "USDJPY", "truefx"))
    for number, seen in enumerate(events[::JPY_EVERY], start=1):
        is_buy = number % 3 > 0
        common = {
            "trading.account": "yen",
            "trading.instrument": "USDJPY",
            "trading.venue": "truefx",
            "trading.order.id": str(number),
            "trading.side": "buy" if is_buy else "sell",
        }
        further = {
            "trading.execution.id": f"fill-{number}",
            "trading.execution.quantity": "10000",
            "trading.execution.fee": "0.25",
            "trading.execution.fee_currency": "USD",
        }
        price = str(seen.event.attributes["trading.quote.ask" if is_buy else "trading.quote.bid"])
        events += filled(common, seen.time_ns + 5 * MILLISECOND_NS, price, further)
    return events


def fills_of(events: Sequence[Trading]) -> list[Trading]:
    """Return the executions, which are sent as spans."""
    return [each for each in events if each.event.name == "trading.execution"]


def without_fills(events: Sequence[Trading]) -> list[Trading]:
    """Return what is sent as logs."""
    return [each for each in events if each.event.name != "trading.execution"]


@dataclass(frozen=True)
class Driven:
    """A stack with a tape in it."""

    stack: Stack
    requests: Sequence[AnyMessage]
    config: Path
    end_ns: int
    fills: Mapping[bytes, Trading]

    def shown(self) -> Samples:
        """Return what Prometheus has stored of the signals."""
        prometheus = Prometheus(self.stack.url("prometheus"))
        return {
            (each.labels["__name__"], shown_labels(each.labels)): each.value
            for each in prometheus.query('{__name__=~"trading_.+"}')
        }

    def settles_at(self, expected: Samples) -> None:
        """Wait until both the exporter and Prometheus show this, and nothing else."""
        for look in (lambda: scraped(self.stack), self.shown):
            eventually(lambda look=look: _no(differences(look(), expected)))  # type: ignore[misc]


def _no(found: list[str]) -> bool:
    assert not found, found
    return True


@pytest.fixture(params=[coins, yen], ids=["BTCUSDT", "USDJPY"])
def driven(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driven]:
    """Drive one tape through a stack of its own, and wait until the sidecar has all of it."""
    make: Callable[[], list[Trading]] = request.param
    events = sorted(make(), key=lambda each: each.time_ns)
    parts = list(chunks(events, -(-len(events) // PARTS)))
    config = Setting(SECTION).write(tmp_path / "signals.yaml")
    changed = Overrides(signals_config=config, scrape_interval_s=1)
    with Stack(tmp_path / "run", Ports.free(), servers=SERVERS, overrides=changed) as stack:
        requests: list[AnyMessage] = []
        taken = 0
        for part in parts:
            in_part = [in_logs(without_fills(part)), in_spans(fills_of(part))]
            for each in in_part:
                send(f"{HOST}:{stack.ports.otlp_grpc}", each)
            requests += in_part
            taken += len(part)
            eventually(lambda taken=taken: own_count(stack, TAKEN) == taken, timeout_s=60)  # type: ignore[misc]
        yield Driven(
            stack,
            requests,
            config,
            events[-1].time_ns,
            {each.trace_id: each for each in fills_of(events)},
        )


def test_the_tape_has_the_figures_of_the_core(driven: Driven) -> None:
    """First what it shows at the tape's end, then, when all samples are due, those of `process`."""
    open_figures = shown_by(Setting(SECTION).engine_of(driven.requests))
    sources = {dict(labels).get("trading_price_source") for _, labels in open_figures}
    assert sources & {"bid", "ask"}
    driven.settles_at(open_figures)

    end = passed(driven.end_ns + 1200 * SECOND_NS)
    send(f"{HOST}:{driven.stack.ports.otlp_grpc}", end)
    settled = processed(driven.config, [*driven.requests, end])
    assert len(settled) > 300
    driven.settles_at(settled)
    assert exemplars_open_their_traces(driven) > 0


def exemplars_open_their_traces(driven: Driven) -> int:
    """Compare each exemplar's trace in Jaeger with the execution of that trace; return how many."""
    selector = quote("trading_slippage_bps_bucket")
    times = f"start=0&end={time.time() + 60}"  # an exemplar has the time of its event
    path = f"/api/v1/query_exemplars?query={selector}&{times}"
    found = json.loads(fetch(f"{driven.stack.url('prometheus')}{path}"))["data"]
    jaeger = Jaeger(driven.stack.url("jaeger"))
    exemplars = [exemplar for series in found for exemplar in series["exemplars"]]
    for exemplar in exemplars:
        trace_id = exemplar["labels"]["trace_id"]
        (span,) = eventually(lambda trace_id=trace_id: jaeger.trace(trace_id))["spans"]  # type: ignore[misc]
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        fill = driven.fills[bytes.fromhex(trace_id)]
        assert fill.event.attributes.items() <= tags.items()
        assert exemplar["timestamp"] == pytest.approx(fill.time_ns / 1e9, abs=0.002)
    return len(exemplars)


def processed(config: Path, requests: Sequence[AnyMessage]) -> Samples:
    """Return what `tapeline process` makes of requests."""
    lines = [request_to_json(SIGNAL_OF[type(each)], each.SerializeToString()) for each in requests]
    source, output = config.with_name("tape.jsonl"), config.with_name("figures.jsonl")
    source.write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in lines))
    command = [sys.executable, "-m", "tapeline.cli", "process", "--config", str(config)]
    run = subprocess.run(
        [*command, str(source), "-o", str(output)],
        env={"TAPELINE_SIGNALS_STATE": "memory"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return exposed_after(output.read_bytes().splitlines())
