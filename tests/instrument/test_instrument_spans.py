"""traced, span and what adds to them, on a provider of the test's own."""

import asyncio
import functools
import logging
from collections.abc import Iterator

import pytest
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

from tapeline.instrument import (
    add_error_context,
    add_span_attribute,
    add_trace_ids,
    log_operation_failed,
    log_operation_start,
    spans,
    trace_exemplar,
    trace_ids,
    traced,
)
from tapeline.instrument.exemplars import EXEMPLAR_ATTRIBUTE, ExemplarAllowance


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans of whoever asks for a tracer in this test, ended ones first."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(spans, "_tracers", {})
    return exporter


def test_a_function_keeps_its_name_arguments_and_result(exported: InMemorySpanExporter) -> None:
    """And each call is a span with the attributes given."""

    @traced(name="add", attributes={"component": "risk"})
    def add(first: int, *, second: int) -> int:
        """Adds."""
        return first + second

    assert add(1, second=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    (span,) = exported.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == ("add", {"component": "risk"})


def test_a_coroutine_function_stays_one(exported: InMemorySpanExporter) -> None:
    """Its span lasts until it is done, and what it calls is inside; no name is its own name."""

    @traced()
    async def inner() -> dict[str, str]:
        await asyncio.sleep(0)
        return trace_ids()

    @traced("outer")
    async def outer() -> dict[str, str]:
        return await inner()

    assert asyncio.iscoroutinefunction(outer)
    ids = asyncio.run(outer())
    first, second = exported.get_finished_spans()
    assert first.name.endswith("inner")
    assert second.name == "outer"
    assert first.parent is not None
    assert second.context is not None
    assert first.parent.span_id == second.context.span_id
    assert ids["trace_id"] == trace.format_trace_id(second.context.trace_id)


def test_an_exception_goes_on_and_is_in_the_span(exported: InMemorySpanExporter) -> None:
    """With what it was about."""

    @traced("fails")
    def fails() -> None:
        add_span_attribute("attempt", 2)
        add_error_context(symbol="AAPL", strategy="momentum")
        raise ValueError("Invalid symbol")

    with pytest.raises(ValueError, match="Invalid symbol"):
        fails()
    (span,) = exported.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert dict(span.attributes or {}) == {
        "attempt": 2, "error.symbol": "AAPL", "error.strategy": "momentum",
    }  # fmt: skip
    assert [event.name for event in span.events] == ["exception"]


def test_generators_are_refused() -> None:
    """A span around the making of one would end before its body begins."""

    def generator() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"generator is a generator: use span\(…\) inside"):
        traced()(generator)


def test_a_partial_function_needs_a_name(exported: InMemorySpanExporter) -> None:
    """It has none of its own; with one it is as good as any."""
    with pytest.raises(TypeError, match=r"functools\.partial\(.*has no name: write @traced\(name="):
        traced()(functools.partial(int, base=16))

    assert traced("read")(functools.partial(int, base=16))("ff") == 255
    (span,) = exported.get_finished_spans()
    assert span.name == "read"

    async def wait(result: str) -> str:
        await asyncio.sleep(0)
        return result

    waiting = traced("wait")(functools.partial(wait, "done"))
    assert asyncio.iscoroutinefunction(waiting)
    assert asyncio.run(waiting()) == "done"


def test_a_partial_generator_is_refused() -> None:
    """With a name or without."""

    def generator(last: int) -> Iterator[int]:
        yield last

    for name in (None, "named"):
        with pytest.raises(TypeError, match=r"functools\.partial\(.*is a generator: use span\(…\)"):
            traced(name)(functools.partial(generator, 1))


def test_a_decorator_without_its_call_is_told() -> None:
    """It would take the function for the name."""
    with pytest.raises(TypeError, match=r"write @traced\(\)"):
        traced(lambda: None)  # type: ignore[arg-type]


def test_outside_of_spans_there_are_no_ids_and_no_harm() -> None:
    """A line of a service that is just starting has none."""
    add_span_attribute("a", 1)
    add_error_context(symbol="AAPL")

    assert trace_ids() == {}
    assert trace_exemplar() is None
    assert add_trace_ids(None, "info", {"event": "x"}) == {"event": "x"}


def test_an_exemplar_names_the_trace(exported: InMemorySpanExporter) -> None:
    """As prometheus_client takes it; not of a trace that nobody keeps."""

    @traced("work")
    def work() -> dict[str, str] | None:
        return trace_exemplar()

    found = work()
    (span,) = exported.get_finished_spans()
    assert span.context is not None
    assert found == {"trace_id": trace.format_trace_id(span.context.trace_id)}
    assert span.attributes is not None
    assert span.attributes[EXEMPLAR_ATTRIBUTE] is True  # by which tail sampling keeps it


@pytest.mark.parametrize("decision", [Decision.DROP, Decision.RECORD_ONLY])
def test_a_trace_that_is_not_sampled_is_no_exemplar(decision: Decision) -> None:
    """It would lead to nothing."""
    provider = TracerProvider(sampler=StaticSampler(decision), shutdown_on_exit=False)
    with provider.get_tracer("t").start_as_current_span("work"):
        assert trace_ids() != {}
        assert trace_exemplar() is None


def test_some_traces_a_second_become_exemplars() -> None:
    """Each as often as it likes; or sampling would keep every trace."""
    allowance = ExemplarAllowance(traces_per_s=10.0)

    first = [allowance.takes(trace_id, 100.0) for trace_id in range(30)]
    assert [may for may, _ in first].count(True) == 11
    assert allowance.takes(0, 100.0) == (True, False)
    assert allowance.takes(99, 100.05) == (False, False)
    assert allowance.takes(99, 100.11) == (True, True)
    later = [allowance.takes(1000 + n, 101.0 + n / 100) for n in range(1000)]
    assert 99 <= [may for may, _ in later].count(True) <= 111


def test_helpers_take_fields_that_a_record_has_itself(caplog: pytest.LogCaptureFixture) -> None:
    """`name` and `module` would make the logging module raise."""
    logger = logging.getLogger("helpers")
    with caplog.at_level(logging.INFO, "helpers"):
        log_operation_start(logger, "op-1", "load", name="AAPL", module="data", symbol="AAPL")
        log_operation_failed(logger, "op-1", ValueError("no"), symbol="AAPL")

    start, failed = caplog.records
    assert vars(start)["context_name"] == "AAPL"
    assert vars(start)["context_module"] == "data"
    assert vars(start)["symbol"] == "AAPL"
    assert (failed.levelname, vars(failed)["error.type"]) == ("ERROR", "ValueError")
    assert failed.exc_info is not None


def test_a_callers_tracestate_goes_on(exported: InMemorySpanExporter) -> None:
    """As it came, in what a service asks of the next one."""
    came = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "veloz=gateway,other=1",
    }
    token = context.attach(propagate.extract(came))
    try:
        with spans.span("between"):
            goes: dict[str, str] = {}
            propagate.inject(goes)
    finally:
        context.detach(token)

    assert goes["tracestate"] == came["tracestate"]
    assert goes["traceparent"].split("-")[1] == came["traceparent"].split("-")[1]
    assert [each.name for each in exported.get_finished_spans()] == ["between"]
