"""Trading events for the bench of the signals, as values and as the OTLP logs of an SDK."""

import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Final

from bench.payloads import BATCH_RECORDS, attribute
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tapeline.signals.decimals import number as exact_number
from tapeline.signals.events import BUY, SELL, Event, Execution, Order, Quote, Side, Trace

__all__ = [
    "EVENT_STEP_NS",
    "FIRST_NS",
    "Mix",
    "batches_of",
    "events_of",
    "opening_executions",
    "payloads_of",
    "quotes_of",
]

ACCOUNTS: Final = 10
INSTRUMENTS: Final = 50
FIRST_NS: Final = 1_760_000_000_000_000_000
EVENT_STEP_NS: Final = 20_000_000
"""Between two executions: so 15,000 of them pass every horizon, and the samples are all taken."""
OPENING_STEP_NS: Final = 10_000_000
QUOTE_EVERY: Final = 4
_SIDES: Final = {1: "buy", -1: "sell"}
_CENT: Final = Decimal("0.01")


class Mix(StrEnum):
    """What there is besides the executions."""

    PLAIN = "executions alone"
    QUOTES = "executions, a quote for each four"
    ORDERS = "executions, three order events each, quotes"


@dataclass(frozen=True, slots=True)
class _Names:
    account: str
    instrument: str
    venue: str = "XNAS"


def events_of(mix: Mix, first_ns: int = FIRST_NS) -> Iterator[Event]:
    """Yield events in order without end, the same in each run: each execution has an own trace."""
    generator = random.Random("bench/signals")  # noqa: S311 - data, not a secret
    time_ns, number = first_ns, 0
    while True:
        time_ns += EVENT_STEP_NS
        number += 1
        names = _Names(
            f"account-{generator.randrange(ACCOUNTS)}",
            f"INSTRUMENT-{generator.randrange(INSTRUMENTS)}",
        )
        if mix is not Mix.PLAIN and number % QUOTE_EVERY == 0:
            yield _quote(time_ns, names, generator)
        side: Side = generator.choice((BUY, SELL))
        order_id = f"order-{number:09d}" if mix is Mix.ORDERS else ""
        if order_id:
            yield from _orders(time_ns, names, order_id, side)
        yield Execution(
            time_ns + 3_000,
            names.account,
            names.venue,
            names.instrument,
            f"execution-{number:09d}",
            side=side,
            quantity=Decimal(generator.randrange(1, 500)),
            price=_price(generator, 9_900, 10_100),
            order_id=order_id,
            fee=_CENT * generator.randrange(1, 90),
            fee_currency="USD",
            liquidity="maker",
            strategy="strategy-1",
            trace=_trace(generator),
        )


def quotes_of(instruments: int = INSTRUMENTS, first_ns: int = FIRST_NS) -> Iterator[Quote]:
    """Yield quotes of all instruments in turn, a millisecond apart, without end."""
    generator = random.Random("bench/quotes")  # noqa: S311 - data, not a secret
    time_ns = first_ns
    while True:
        for number in range(instruments):
            time_ns += 1_000_000
            yield _quote(time_ns, _Names("", f"INSTRUMENT-{number}"), generator)


def opening_executions(positions: int, instruments: int) -> Iterator[Execution]:
    """Yield an execution of each position, a hundred a second: it opens it."""
    generator = random.Random("bench/positions")  # noqa: S311 - data, not a secret
    for number in range(positions):
        yield Execution(
            FIRST_NS + number * OPENING_STEP_NS,
            # The reading of OTLP shares texts that come again, too.
            sys.intern(f"account-{number // instruments}"),
            "XNAS",
            sys.intern(f"INSTRUMENT-{number % instruments}"),
            f"execution-{number:09d}",
            side=generator.choice((BUY, SELL)),
            # It shares numbers that come again, too.
            quantity=_number(str(generator.randrange(1, 500))),
            price=_number(str(_price(generator, 9_900, 10_100))),
            fee=_number(str(_CENT * generator.randrange(1, 90))),
            strategy="strategy-1",
            trace=_trace(generator),
        )


def _number(text: str) -> Decimal:
    found = exact_number(text)
    if not isinstance(found, Decimal):
        raise TypeError(f"the bench makes numbers, not {text!r}")
    return found


def batches_of(events: Iterable[Event], count: int) -> list[list[Event]]:
    """Return so many batches of events."""
    source = iter(events)
    return [list(islice(source, BATCH_RECORDS)) for _ in range(count)]


def payloads_of(batches: Iterable[Sequence[Event]]) -> list[bytes]:
    """Return an Export request of logs for each batch, a record an event."""
    return [_request(batch) for batch in batches]


def _price(generator: random.Random, low: int, high: int) -> Decimal:
    return Decimal(generator.randrange(low, high)) / 100


def _trace(generator: random.Random) -> Trace:
    return Trace(generator.randbytes(16), generator.randbytes(8))


def _quote(time_ns: int, names: _Names, generator: random.Random) -> Quote:
    bid = _price(generator, 9_900, 10_100)
    return Quote(time_ns, names.venue, names.instrument, bid, bid + _CENT)


def _orders(time_ns: int, names: _Names, order_id: str, side: Side) -> Iterator[Order]:
    """Yield what comes before an execution of 500 at most: the order stays open, or is filled."""
    yield Order(
        time_ns,
        names.account,
        order_id,
        "decided",
        names.instrument,
        names.venue,
        side=side,
        quantity=Decimal(250),
        limit_price=Decimal("101.5"),
        decision_price=Decimal("100.1"),
        strategy="strategy-1",
    )
    for number, state in enumerate(("submitted", "acknowledged"), 1):
        yield Order(
            time_ns + number * 1_000,
            names.account,
            order_id,
            "submitted" if state == "submitted" else "acknowledged",
            names.instrument,
            names.venue,
        )


def _request(batch: Sequence[Event]) -> bytes:
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    logs.resource.attributes.append(attribute("service.name", "execution-engine"))
    scope = logs.scope_logs.add()
    scope.scope.name = "execution.engine"
    for event in batch:
        record = scope.log_records.add(
            time_unix_nano=event.time_ns,
            observed_time_unix_nano=event.time_ns,
            severity_number=9,
            event_name=_name(event),
            attributes=_attributes(event),
        )
        if isinstance(event, Execution):
            record.trace_id, record.span_id = event.trace
    return request.SerializeToString()


def _name(event: Event) -> str:
    return f"trading.{type(event).__name__.lower()}"


def _attributes(event: Event) -> list[KeyValue]:
    if isinstance(event, Quote):
        named: dict[str, object] = {"quote.bid": event.bid, "quote.ask": event.ask}
    elif isinstance(event, Order):
        named = {
            "account": event.account,
            "strategy": event.strategy,
            "side": _SIDES.get(event.side),
            "order.id": event.id,
            "order.state": event.state,
            "order.quantity": event.quantity,
            "order.limit_price": event.limit_price,
            "order.decision_price": event.decision_price,
        }
    elif isinstance(event, Execution):
        named = {
            "account": event.account,
            "strategy": event.strategy,
            "side": _SIDES.get(event.side),
            "order.id": event.order_id,
            "execution.id": event.id,
            "execution.quantity": event.quantity,
            "execution.price": event.price,
            "execution.fee": event.fee,
            "execution.fee_currency": event.fee_currency,
            "execution.liquidity": event.liquidity,
        }
    else:
        raise TypeError(f"the bench sends no {_name(event)}")
    named |= {"venue": event.venue, "instrument": event.instrument}
    return [attribute(f"trading.{name}", str(value)) for name, value in named.items() if value]
