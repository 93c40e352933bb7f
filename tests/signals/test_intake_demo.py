"""What the demo's services send is taken, every event of it."""

from collections import Counter
from decimal import Decimal
from itertools import islice

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tapeline.demo.events import (
    Event,
    cash_event,
    execution_event,
    mark_event,
    order_event,
    quote_event,
    revision_event,
)
from tapeline.demo.tape import decide, respond, steps
from tapeline.signals.events import Cash, Execution, Mark, Order, Quote
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake
from trading_requests import START_NS, add_pairs, batch

SEED = 7
STEPS = 100


def demo_events() -> list[Event]:
    """Return the events of some steps of the demo's market."""
    events = [cash_event("r", Decimal(1_000_000))]
    for step in islice(steps(SEED), STEPS):
        decision = decide(SEED, step)
        outcome = respond(SEED, decision)
        for quote in step.quotes:
            events += [quote_event(quote, step.number), mark_event(quote, step.number)]
        events += [order_event("r", decision, state) for state in ("decided", "submitted")]
        events += [
            execution_event("r", decision, position, fill)
            for position, fill in enumerate(outcome.fills)
        ]
        if outcome.revision is not None:
            events.append(revision_event("r", decision, outcome.revision, outcome.revised))
    return events


def test_every_event_of_the_demo_is_taken() -> None:
    """None is refused, and each has its kind, its instrument and its account."""
    sent = demo_events()
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number, event in enumerate(sent):
        record = records.add(event_name=event.name, time_unix_nano=START_NS + number)
        add_pairs(record.attributes, event.attributes.items())

    taken = Intake(Instruments()).read(batch(request), START_NS)

    kinds = {Cash: "cash", Execution: "execution", Mark: "mark", Order: "order", Quote: "quote"}
    assert not taken.refused
    assert [f"trading.{kinds[type(event)]}" for event in taken.events] == [e.name for e in sent]
    assert Counter(taken.unknown_instruments).total() == len(sent) - 1
    assert {event.account for event in taken.events if isinstance(event, Execution | Order)} == {
        sent[0].attributes["trading.account"]
    }
