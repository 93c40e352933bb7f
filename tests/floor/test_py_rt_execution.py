"""py_rt's execution engine in this process: its retries, its slippage, its day."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from floor.lone_place import place_of
from tapeline.floor.faults import write_faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.py_rt import execution_engine
from tapeline.floor.py_rt.execution_engine import ExecutionEngine
from tapeline.floor.py_rt.execution_engine_metrics import make_metrics
from tapeline.floor.py_rt.messages import Order
from tapeline.floor.py_rt.surroundings import Surroundings, surroundings

ORDERS = 100


@pytest.fixture(name="around")
def _around(tmp_path: Path) -> Iterator[Surroundings]:
    """What the engine has around it, with a risk manager that takes every fill."""
    place = replace(
        place_of(tmp_path, "py-rt-execution-engine"), peers={"py-rt-risk-manager": "http://peer"}
    )
    taken = httpx.MockTransport(lambda _: httpx.Response(200, json={"quantity": 1.0}))
    with LineWriter(place.log_path) as writer:
        around = surroundings("execution_engine", place, writer)
        yield replace(around, client=httpx.AsyncClient(transport=taken))


def place_orders(engine: ExecutionEngine) -> list[str]:
    """Place orders one after the other; return what became of each."""

    async def place() -> list[str]:
        answers = [await engine.place_order(order_of(number)) for number in range(ORDERS)]
        return [str(answer["status"]) for answer in answers]

    return asyncio.run(place())


def order_of(number: int) -> Order:
    """Return a market order for a dollar."""
    return Order(
        order_id=f"t-{number}",
        number=number,
        symbol="AAPL",
        side="buy",
        order_type="market",
        quantity=0.01,
        price=100.0,
        strategy="momentum",
    )


def total(around: Surroundings, sample: str, **labels: str) -> float:
    """Return the sum of a metric's samples with these labels."""
    return sum(
        each.value
        for family in around.registry.collect()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    )


def test_a_call_is_tried_four_times_and_no_more(around: Surroundings) -> None:
    """Each failure but the last of an order is followed by a retry; the order fails with that."""
    write_faults(around.place.fault_path, ["error_burst"])
    states = place_orders(ExecutionEngine(around, make_metrics(around.registry)))

    failed = states.count("failed")
    assert failed > ORDERS / 3
    failures = total(around, "execution_engine_api_failures_total")
    retries = total(around, "execution_engine_retry_delay_ms_count")
    assert failures == retries + failed
    assert total(around, "execution_engine_retry_delay_ms_count", retry_attempt="3") >= failed
    assert total(around, "execution_engine_retry_delay_ms_count", retry_attempt="4") == 0


def test_slippage_is_never_below_0_in_the_histogram(around: Surroundings) -> None:
    """What is better than the decision counts as none: a sum that falls would be a reset."""
    states = place_orders(ExecutionEngine(around, make_metrics(around.registry)))

    filled = states.count("filled")
    assert filled > ORDERS / 2
    assert total(around, "trading_slippage_bps_count") == filled
    none = total(around, "trading_slippage_bps_bucket", le="0.0")
    assert 0.2 * filled < none < 0.8 * filled
    assert total(around, "trading_slippage_bps_sum") > 0


def test_the_days_volume_begins_anew_at_midnight(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on the same day it does not."""
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    monkeypatch.setattr(execution_engine, "datetime", SimpleNamespace(now=lambda _: noon))
    engine = ExecutionEngine(around, make_metrics(around.registry))
    place_orders(engine)
    today = engine._day
    engine._begin_day(today)
    assert total(around, "trading_daily_volume_usd") == pytest.approx(ORDERS, rel=0.1)

    engine._begin_day(today + timedelta(days=1))
    assert total(around, "trading_daily_volume_usd") == 0
