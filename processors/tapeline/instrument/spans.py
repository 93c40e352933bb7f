"""Spans in one line: around a block, around a function, and more about the current one."""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, ParamSpec, TypeVar, cast

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

__all__ = ["add_error_context", "add_span_attribute", "span", "traced"]

P = ParamSpec("P")
T = TypeVar("T")

_SCOPE: Final = "tapeline.instrument"

# By module. Only those of a provider that is set: a proxy, as there are before, asks at every span.
_tracers: dict[str, trace.Tracer] = {}


def span(
    name: str,
    attributes: Mapping[str, AttributeValue] | None = None,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
) -> AbstractContextManager[trace.Span]:
    """Return a span around a block. An exception becomes an event, and the span an error.

    with span("process_order", {"symbol": "BTCUSDT"}): ...
    """
    return _tracer(_SCOPE).start_as_current_span(name, attributes=attributes, kind=kind)


def add_span_attribute(key: str, value: AttributeValue) -> None:
    """Set an attribute of the current span; outside of spans nothing happens."""
    trace.get_current_span().set_attribute(key, value)


def add_error_context(**context: AttributeValue) -> None:
    """Say what an error was about: `symbol="AAPL"` becomes `error.symbol` of the current span.

    The exception itself is recorded when it leaves the span.
    """
    current = trace.get_current_span()
    for key, value in context.items():
        current.set_attribute(f"error.{key}", value)


def traced(
    name: str | None = None, attributes: Mapping[str, AttributeValue] | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Put a span around each call of a function or a coroutine function.

    `name` is the function's qualified name where none is given. Raises TypeError for a generator:
    its body runs in its callers' spans, bit by bit; use `span` inside of it. So it does for what
    has no qualified name and is given none, as a `functools.partial`.
    """
    if callable(name):
        raise TypeError("@traced is called: write @traced() or @traced(name=…)")

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            told = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{told} is a generator: use span(…) inside of it")
        title: str | None = name or getattr(function, "__qualname__", None)
        if title is None:
            raise TypeError(f"{function!r} has no name: write @traced(name=…)")
        module = function.__module__
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def in_span_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with _tracer(module).start_as_current_span(title, attributes=attributes):
                    return await function(*args, **kwargs)

            return cast("Callable[P, T]", in_span_async)

        @functools.wraps(function)
        def in_span(*args: P.args, **kwargs: P.kwargs) -> T:
            with _tracer(module).start_as_current_span(title, attributes=attributes):
                return function(*args, **kwargs)

        return in_span

    return decorate


def _tracer(module: str) -> trace.Tracer:
    found = _tracers.get(module)
    if found is None:
        found = trace.get_tracer(module)
        if not isinstance(found, trace.ProxyTracer):
            _tracers[module] = found
    return found
