"""Input that is wrong: counted by reason, never shown as right, and nothing else stops for it."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from execution_events import trade
from signal_steps import at, built, event, fill, on_disk, other, points, samples, totals
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.processor import SignalsProcessor
from trading_requests import EXECUTION, batch, log

E = "trading.execution."
NEVER: dict[str, Any] = {
    f"{E}quantity": {
        "not_positive": ["0", "-1", 0, -2.5, "-0"],
        "not_finite": ["NaN", "inf", "-Infinity", float("nan"), float("inf")],
        "not_a_number": ["", "1,5", "1_000", " 1", "0x10", "\u0661", "sNaN", True, b"1", ["1"]],
        "too_many_digits": ["1." + "3" * 34, "1" * 400, "0." + "3" * 400],
        "out_of_range": ["1e24", "1e-25", "1e400", "1E+999999999"],
    },
    f"{E}price": {
        "not_positive": ["0", "-1"],
        "not_finite": ["NAN"],
        "too_many_digits": ["7" * 400],
    },
    f"{E}fee": {"not_finite": ["nan"], "not_a_number": ["free"], "too_many_digits": ["1" * 400]},
    "trading.side": {"unknown_value": ["BUY", "both", "1"]},
    f"{E}kind": {"unknown_value": ["trade_cancel"]},
    "trading.sequence": {"not_an_integer": ["1.5", "x"]},
    f"{E}id": {"too_long": ["e" * 257], "not_a_text": [b"e", ["e"], 1.5]},
}
CASES = [
    pytest.param(name, value, reason, id=f"{name}-{reason}-{index}")
    for name, of_reason in NEVER.items()
    for reason, values in of_reason.items()
    for index, value in enumerate(values)
]


def shown(processor: SignalsProcessor, second: float) -> dict[tuple[str, ...], float]:
    """Return all that is shown when time has gone on by an hour."""
    processor.process(other(second + 3600), at(second + 3600))
    return points(processor.tick(at(second + 3600)))


@pytest.fixture(scope="module")
def alone() -> dict[tuple[str, ...], float]:
    """Return what is shown of one good trade."""
    processor = built()
    processor.process(fill("good"), at(0))
    return shown(processor, 0)


@pytest.mark.parametrize(("name", "value", "reason"), CASES)
def test_an_event_that_can_not_be_calculated_with_is_refused_whole(
    alone: Mapping[tuple[str, ...], float], name: str, value: object, reason: str
) -> None:
    """By reason and attribute; what stands beside it in the request counts, and only that."""
    registry = CollectorRegistry()
    processor = built(registry=registry)
    attributes = {**EXECUTION, f"{E}id": "bad", name: value}
    bad = batch(log("trading.execution", attributes, time_ns=at(0)))
    processor.process(Batch(Signal.LOGS, bad.payload + fill("good").payload), at(0))
    assert shown(processor, 0) == alone
    refused = {key[1:]: count for key, count in samples(registry).items() if "rejected" in key[0]}
    if value == "":
        reason = "missing"  # An empty text is none.
    assert refused == {(reason, name, ""): 1}


@pytest.mark.parametrize("name", [f"{E}id", "trading.instrument", "trading.side", f"{E}price"])
def test_what_lacks_a_field_is_refused(alone: Mapping[tuple[str, ...], float], name: str) -> None:
    """It is not made up."""
    registry = CollectorRegistry()
    processor = built(registry=registry)
    attributes = {**EXECUTION, f"{E}id": "bad", name: None}
    bad = batch(log("trading.execution", attributes, time_ns=at(0)))
    processor.process(Batch(Signal.LOGS, bad.payload + fill("good").payload), at(0))
    assert shown(processor, 0) == alone
    assert samples(registry)["rejected_events_total", "missing", name, ""] == 1


def test_fields_that_contradict_are_refused() -> None:
    """An attribute with two values, an order that is its own parent, a bust of itself."""
    registry = CollectorRegistry()
    processor = built(registry=registry)
    twice = log("trading.execution", EXECUTION, time_ns=at(0))
    record = twice.resource_logs[0].scope_logs[0].log_records[0]
    record.attributes.add(key="trading.side").value.string_value = "sell"
    processor.process(batch(twice), at(0))
    own: dict[str, Any] = {"instrument": "BTCUSDT"}
    processor.process(
        event("order", order__id="o", order__state="submitted", order__parent_id="o", **own), at(0)
    )
    processor.process(
        event("execution", execution__id="b", execution__kind="bust", execution__ref_id="b", **own),
        at(0),
    )
    assert shown(processor, 0) == {}
    found = samples(registry)
    for reason, name in (
        ("ambiguous", "trading.side"),
        ("refers_to_itself", "trading.order.parent_id"),
        ("refers_to_itself", f"{E}ref_id"),
    ):
        assert found["rejected_events_total", reason, name, ""] == 1


def test_a_negative_price_counts_where_the_instrument_says_so() -> None:
    """Oil at -37.63: notional is what it is without its sign, and nothing divides by it."""
    processor = built({"instruments": {"CL": {"negative_prices": True, "multiplier": "1000"}}})
    processor.process(fill("e1", instrument="CL", quantity="2", price="-37.63"), at(0))
    processor.process(fill("e2", 1, instrument="CL", quantity="1", price="0", side="sell"), at(1))
    found = totals(_all(processor))
    assert found["trading.notional"] == 75260
    assert found["trading.pnl.realized"] == 37630
    assert found["trading.position.average_price"] == -37.63
    processor.process(fill("e3", 2, price="-37.63"), at(2))
    assert sum(processor.refused.values()) == 1


def test_a_correction_to_the_other_side_has_no_effect() -> None:
    """And is counted; the trade stands as it was reported."""
    registry = CollectorRegistry()
    processor = built(registry=registry)
    processor.process(fill("e1"), at(0))
    processor.process(fill("r1", 1, kind="correct", ref_id="e1", side="sell", price="1"), at(1))
    found = totals(_all(processor))
    assert found["trading.position.quantity"] == 0.5
    assert found["trading.notional"] == 25000.05
    assert found["trading.notional.reversed"] == 0
    assert samples(registry)["without_effect_total", "side_flip"] == 1


def test_references_to_nothing_are_parked_up_to_the_limit() -> None:
    """The next one is counted; one whose trade comes is followed, a refused one never."""
    registry = CollectorRegistry()
    processor = built({"limits": {"parked": 3}}, registry=registry)
    for index in range(5):
        processor.process(_bust(f"b{index}", f"e{index}", 0), at(0))
    processor.process(fill("e0", 1), at(1))
    processor.process(fill("e4", 1), at(1))
    found = totals(_all(processor))
    assert found["trading.position.quantity"] == 0.5  # Of e4: its bust found no room.
    assert samples(registry)["without_effect_total", "unmatched_reference"] == 2
    assert samples(registry)["parked_references",] == 2


def test_what_stays_parked_is_counted_when_its_window_has_passed() -> None:
    """It waited for nothing."""
    registry = CollectorRegistry()
    processor = built({"revision_window": "60s"}, registry=registry)
    processor.process(_bust("b", "nobody", 0), at(0))
    processor.process(other(200), at(200))
    processor.tick(at(200))
    assert samples(registry)["without_effect_total", "unmatched_reference"] == 1
    assert samples(registry)["parked_references",] == 0


def test_clocks_in_the_future_are_refused_and_move_no_time() -> None:
    """An hour ahead is the most; the records of then would make all others late."""
    registry = CollectorRegistry()
    processor = built(registry=registry)
    processor.process(fill("e1", 3601), at(0))
    processor.process(other(100_000), at(0))
    processor.process(fill("e2"), at(0))
    assert processor._recorder.engine.watermark_ns == at(-5)
    processor.process(fill("e3", 3600), at(0))
    processor.tick(at(0))
    assert processor._recorder.engine.events == {"trade": 2}
    assert samples(registry)["rejected_events_total", "from_the_future", "time", ""] == 1


def test_a_currency_without_a_rate_takes_what_depends_on_it_and_no_more() -> None:
    """No base figure is a sum of a part; native ones stand; it is counted."""
    registry = CollectorRegistry()
    section = {"instruments": {"N225": {"quote_currency": "JPY"}}}
    processor = built(section, registry=registry)
    processor.process(fill("e1", instrument="N225", quantity="1", price="30000"), at(0))
    processor.process(event("mark", instrument="N225", mark__price="30001"), at(0))
    processor.process(fill("e2", account="b", quantity="1", price="10"), at(0))
    found = points(_all(processor))
    of_default = {key[0] for key in found if "default" in key[1:2]}
    assert "trading.pnl.realized" in of_default
    assert not of_default & {
        "trading.pnl.net",
        "trading.portfolio.equity",
        "trading.portfolio.exposure.gross",
        "trading.portfolio.leverage",
        "trading.risk.drawdown",
    }
    assert found["trading.portfolio.equity", "b", "USD"] == 0
    assert samples(registry)["missing_rates_total",] > 0


def test_a_fee_in_a_currency_without_a_rate_is_no_fee_of_zero() -> None:
    """It is booked as charged, and net P&L is not known."""
    processor = built()
    processor.process(fill("e1", fee="2", fee_currency="XRP"), at(0))
    found = points(_all(processor))
    assert found["trading.fees", "default", "XRP", "BTCUSDT", "default"] == 2
    assert "trading.pnl.net" not in {key[0] for key in found}


def test_broken_bytes_are_refused_and_change_nothing() -> None:
    """Before and after them all is as it was."""
    processor = built()
    processor.process(fill("good"), at(0))
    with pytest.raises(MalformedRequestError):
        processor.process(Batch(Signal.LOGS, b"\x0a\xff\x01"), at(1))
    assert processor._recorder.engine.events == {"trade": 1}


def test_what_is_wrong_is_counted_without_a_line_of_log_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that sends a thousand of them fills no disk with our log."""
    processor = built(on_disk(tmp_path))
    for index in range(1000):
        processor.process(fill(f"e{index}", price="NaN"), at(0))
    assert sum(processor.refused.values()) == 1000
    assert not caplog.records


@pytest.mark.parametrize(
    ("limits", "counted"),
    [
        ({"positions": 2}, "positions"),
        ({"executions": 8}, "executions"),
        ({"pending": 4}, "pending"),
        ({"waiting": 3}, "waiting"),
        ({"series": 10}, "series"),
        ({"instruments": 1}, "instruments"),
    ],
)
def test_a_limit_that_is_hit_is_counted_and_stops_nothing(
    limits: dict[str, int], counted: str
) -> None:
    """What is shown is of what found room, whole."""
    registry = CollectorRegistry()
    processor = built({"limits": limits}, registry=registry)
    for index in range(20):
        name = f"I{index % 5}"
        processor.process(fill(f"e{index}", index / 10, instrument=name), at(2))
        quote = {"instrument": name, "quote__bid": "1", "quote__ask": "2"}
        processor.process(event("quote", index / 10, **quote), at(2))
    found = points(_all(processor))
    assert samples(registry)["limit_hits_total", counted] > 0
    quantities = {v for key, v in found.items() if key[0] == "trading.position.quantity"}
    assert quantities == {2.0}
    assert len([k for k in found if k[0] == "trading.position.quantity"]) == (
        2 if counted == "positions" else 5
    )


def test_a_full_window_is_shortened_and_loses_no_money() -> None:
    """Positions are those of all executions, in both views."""
    limits = replace(EngineSettings().limits, executions=10)
    engine = Engine(EngineSettings(limits=limits))
    for index in range(1000):
        engine.apply([trade(10**9 * index, 1, 100)], 10**9 * index)
    engine.end()
    for view in (engine.live, engine.sampled):
        (position,) = [held for _, held in view.ledger.positions.items()]
        assert position.state.quantity == Decimal(1000)
        assert len(view.ledger.executions.events) <= 11


def _bust(name: str, ref: str, second: float) -> Batch:
    return event(
        "execution", second, execution__kind="bust", execution__id=name, execution__ref_id=ref,
        instrument="BTCUSDT",
    )  # fmt: skip


def _all(processor: SignalsProcessor) -> list[Batch]:
    """Return an emission a minute later."""
    processor.process(other(60), at(60))
    return list(processor.tick(at(60)))
