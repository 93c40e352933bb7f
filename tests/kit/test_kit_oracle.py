"""The kit against the plain way: parse the whole request, change the messages, serialise."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from backward_encoding import backwards
from kit_records import NOW_UNIX_NANO
from plain_requests import AnyMessage, plain_points, plain_records, without_unknown
from strategies import REQUEST_TYPES, disguise, requests
from tapeline.kit.core import OnFailure, run
from tapeline.otlp.index import index_records
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

FATES = ("keep", "drop", "mark", "clear", "fail")


def kit_step(fates: dict[int, str]) -> Callable[[Any], None]:
    """Return a processor that does to records, one after the other, what is said."""
    numbers = iter(range(1_000_000))

    def step(record: Any) -> None:
        fate = fates.get(next(numbers), "keep")
        if fate == "drop":
            record.drop()
        elif fate in ("mark", "fail"):
            record.attributes["marked"] = ["by the kit", 1, 2.5, {"deep": True}]
            if fate == "fail":
                raise ValueError("what was changed until here is undone")
        elif fate == "clear":
            for key in list(record.attributes):
                del record.attributes[key]

    return step


def plain(signal: Signal, request: AnyMessage, fates: dict[int, str], on_failure: OnFailure) -> Any:
    """Return the request as it should be: changed in place, what was emptied taken out."""
    for number, plain_record in enumerate(plain_records(signal, request)):
        fate = fates.get(number, "keep")
        attributes = plain_record.record.attributes
        if fate == "mark":
            plain_mark(attributes)
        elif fate == "clear":
            del attributes[:]
    dropped = {n for n, f in fates.items() if f == "drop"}
    if on_failure is OnFailure.DROP:
        dropped |= {n for n, f in fates.items() if f == "fail"}
    remove(signal, request, dropped)
    return request


def plain_mark(attributes: AnyMessage) -> None:
    """Set the attribute that the processor sets, by hand."""
    found = [pair for pair in attributes if pair.key == "marked"]
    assert not found
    values = attributes.add(key="marked").value.array_value.values
    values.add(string_value="by the kit")
    values.add(int_value=1)
    values.add(double_value=2.5)
    values.add().kvlist_value.values.add(key="deep").value.bool_value = True


def remove(signal: Signal, request: AnyMessage, dropped: set[int]) -> None:
    """Take records out, and then each scope, metric and resource that lost the last of its own."""
    numbers = iter(range(1_000_000))
    names = {
        Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
        Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
        Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    }[signal]

    def thin(records: Any) -> tuple[int, int]:
        before = len(records)
        kept = [record for record in records if next(numbers) not in dropped]
        del records[:]
        records.extend(kept)
        return before, len(kept)

    def walk(message: AnyMessage, depth: int) -> tuple[int, int]:
        if depth == 3 and signal is Signal.METRICS:
            return thin(plain_points(message)) if message.WhichOneof("data") else (0, 0)
        if depth == 2 and signal is not Signal.METRICS:
            return thin(getattr(message, names[2]))
        children = getattr(message, names[depth])
        before = after = 0
        kept = []
        for child in children:
            had, has = walk(child, depth + 1)
            before, after = before + had, after + has
            if has or not had:
                kept.append(child)
        del children[:]
        children.extend(kept)
        return before, after

    walk(request, 0)


def drawn_fates(data: DataObject, count: int) -> dict[int, str]:
    """Draw what is to happen to each record; often the same for all."""
    if data.draw(st.booleans()):
        fate = data.draw(st.sampled_from(FATES))
        return dict.fromkeys(range(count), fate)
    fates = data.draw(st.lists(st.sampled_from(FATES), min_size=count, max_size=count))
    return dict(enumerate(fates))


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("form", ["forwards", "backwards", "disguised"])
@given(data=st.data())
def test_the_kit_does_what_the_plain_way_does(form: str, signal: Signal, data: DataObject) -> None:
    """The same meaning, whatever order, splitting and padding the wire has."""
    request = data.draw(requests(signal))
    count = len(plain_records(signal, request))
    fates = drawn_fates(data, count)
    on_failure = data.draw(st.sampled_from([OnFailure.DROP, OnFailure.PASS]))
    if form == "forwards":
        payload = request.SerializeToString()
    elif form == "backwards":
        payload = backwards(request)
    else:
        payload = disguise(request, Random(data.draw(st.integers(0, 2**32))))  # noqa: S311 - repeatable
    parsed = REQUEST_TYPES[signal].FromString(payload)
    assert len(plain_records(signal, parsed)) == count

    outcome = run(Batch(signal, payload), kit_step(fates), NOW_UNIX_NANO, on_failure=on_failure)

    result = REQUEST_TYPES[signal].FromString(outcome.batch.payload)
    expected = plain(signal, parsed, fates, on_failure)
    assert without_unknown(result) == without_unknown(expected)
    assert outcome.failed == sum(fate == "fail" for fate in fates.values())
    assert outcome.seen == count


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_records_that_are_not_touched_keep_their_bytes(signal: Signal, data: DataObject) -> None:
    """Also beside ones that change or go, in whatever form they came."""
    request = data.draw(requests(signal))
    payload = disguise(request, Random(data.draw(st.integers(0, 2**32))))  # noqa: S311 - repeatable
    count = len(index_records(signal, payload))
    fates = drawn_fates(data, count)

    outcome = run(Batch(signal, payload), kit_step(fates), NOW_UNIX_NANO, on_failure=OnFailure.PASS)

    before, after = contents(signal, payload), contents(signal, outcome.batch.payload)
    left = [number for number in range(count) if fates.get(number) != "drop"]
    assert len(after) == len(left)
    for number, content in zip(left, after, strict=True):
        if fates.get(number, "keep") in ("keep", "fail"):
            assert content == before[number]
    if not {"drop", "mark", "clear"}.intersection(fates.values()):
        assert outcome.batch.payload == payload


def contents(signal: Signal, payload: bytes) -> list[bytes]:
    """Return the bytes of each record."""
    index = index_records(signal, payload)
    places = zip(index.record_begins, index.record_ends, strict=True)
    return [payload[begin:end] for begin, end in places]


@given(
    bodies=st.lists(st.text(alphabet="abc", max_size=6), max_size=8),
    needles=st.lists(st.text(alphabet="abc", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_containing_leaves_out_no_record_that_holds_one_of_the_texts(
    bodies: list[str], needles: list[str]
) -> None:
    """It is called for each record of whose own fields one holds such a text."""
    request = REQUEST_TYPES[Signal.LOGS]()
    scope = request.resource_logs.add().scope_logs.add()  # type: ignore[attr-defined]
    for body in bodies:
        scope.log_records.add().body.string_value = body
    seen: list[str] = []

    run(
        Batch(Signal.LOGS, request.SerializeToString()),
        lambda record: seen.append(record.body_text),
        NOW_UNIX_NANO,
        on_failure=OnFailure.REFUSE,
        containing=[needle.encode() for needle in needles],
    )

    assert seen == [body for body in bodies if any(needle in body for needle in needles)]
