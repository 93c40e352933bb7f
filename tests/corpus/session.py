"""The demo's trading session as its services send it, without running them: no clock, no network.

Market, orders, fills, events and planted credentials are the demo's own (`tapeline.demo`); spans,
log records and metrics are of the form that a recording of `tapeline demo services` showed. Of the
session each fourth order is taken, which is where the demo leaks a credential.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any, Final

from corpus.requests import START_UNIX_NANO, batches_of
from tapeline.demo.credentials import LEAK_EVERY, Leak, credentials, leak_at
from tapeline.demo.events import (
    Event,
    cash_event,
    execution_event,
    execution_id,
    mark_event,
    order_event,
    order_id,
    quote_event,
    revision_event,
)
from tapeline.demo.gateway import MARK_EVERY
from tapeline.demo.strategy import DEPOSIT
from tapeline.demo.tape import Decision, Outcome, Step, decide, respond, steps
from tapeline.pipeline.batch import Batch

__all__ = ["SEED", "session"]

SEED: Final = 2298
"""With it the orders taken are filled, rejected, replaced, canceled, expired, and executions
corrected and busted: one or more of each."""
_RUN: Final = "corpus"
_ORDERS: Final = 32
_EXPORT_AFTER: Final = (16, 32)
_STEP_MS: Final = 250
_NANO: Final = 1_000_000_000
_STRATEGY: Final = "127.0.0.1:8711"
_GATEWAY: Final = "127.0.0.1:8712"
_BOUNDS: Final = [0.005, 0.01, 0.025, 0.05, 0.1]

Item = Mapping[str, Any]


def session() -> list[Batch]:
    """Return the session's batches: those of each order, and the metrics of two exports."""
    teller = _Teller()
    found = batches_of([teller.event("strategy", 0, cash_event(_RUN, DEPOSIT))])
    for step in islice(steps(SEED), _ORDERS):
        if step.number % LEAK_EVERY == 0:
            found += batches_of(list(teller.order(step)))
        if step.number in _EXPORT_AFTER:
            found += batches_of(list(teller.export(step.number)))
    return found


class _Teller:
    """Tells what the services would say; times are milliseconds since the session began."""

    def __init__(self) -> None:
        self._secrets = credentials(SEED)
        self._sent: Counter[tuple[str, str]] = Counter()
        self._executions: Counter[tuple[str, str]] = Counter()
        self._renewals: Counter[str] = Counter()
        self._round_trips: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._matched: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def order(self, step: Step) -> Iterator[Item]:
        """Yield all about one order, from its quotes to its end."""
        begin = step.number * _STEP_MS
        decision = decide(SEED, step)
        outcome = respond(SEED, decision)
        number, leak = step.number, leak_at(step.number)
        place = (number, "trade")
        yield from self._quotes(step, begin, leak)
        yield self.event("strategy", begin + 12, order_event(_RUN, decision, "decided"), place)
        yield self.event("strategy", begin + 13, order_event(_RUN, decision, "submitted"), place)
        yield from self._call(number, begin + 13, "POST", "/orders", "trade")
        identity = {"trading.order.id": order_id(_RUN, number)}
        key = (decision.instrument.name, decision.side.value)
        self._sent[key] += 1
        self._round_trips[key].append((9 + number % 7) / 1000)
        yield from self._answer(decision, outcome, begin + 18)
        yield from self._leak(number, begin + 27, leak)
        yield self._span("strategy", number, "trade", (begin, 30), attributes=identity)
        if outcome.reject_reason is None:
            yield from self._match(decision, outcome, begin + 20)

    def _quotes(self, step: Step, begin: int, leak: Leak | None) -> Iterator[Item]:
        query = f"api_key={self._secrets.api_key}" if leak is Leak.QUERY_PARAMETER else ""
        yield from self._call(step.number, begin + 1, "GET", "/quotes/next", "trade", query=query)
        place = (step.number, "GET in")
        for quote in step.quotes:
            yield self.event("gateway", begin + 3, quote_event(quote, step.number), place)
            if step.number % MARK_EVERY == 0:
                yield self.event("gateway", begin + 3, mark_event(quote, step.number), place)
        if query:
            line = f"GET /quotes/next?{query} HTTP/1.1"
            yield self._log(
                "gateway", begin + 5, f'127.0.0.1 "{line}" 200 375 "-"', "INFO", "aiohttp.access",
                {"first_request_line": line, "response_status": 200},
            )  # fmt: skip

    def _answer(self, decision: Decision, outcome: Outcome, at: int) -> Iterator[Item]:
        identity = order_id(_RUN, decision.number)
        place = (decision.number, "POST in")
        if outcome.reject_reason is not None:
            event = order_event(_RUN, decision, "rejected", reject_reason=outcome.reject_reason)
            yield self.event("gateway", at, event, place)
            text = f"order {identity} rejected: {outcome.reject_reason}"
            yield self._log("gateway", at, text, "WARN")
            return
        yield self.event("gateway", at, order_event(_RUN, decision, "acknowledged"), place)
        yield self._log("gateway", at, f"order {identity} acknowledged")
        if decision.replacement_price is not None:
            path = f"/orders/{decision.number}"
            replaced = order_event(_RUN, decision, "replaced")
            yield from self._call(decision.number, at + 5, "PUT", path, "trade")
            yield self.event("gateway", at + 7, replaced, (decision.number, "PUT in"))

    def _match(self, decision: Decision, outcome: Outcome, begin: int) -> Iterator[Item]:
        number, at = decision.number, begin
        place = (number, "match order")
        for position, fill in enumerate(outcome.fills):
            at += round(outcome.delay_s * 1000) + 1
            yield self.event("gateway", at, execution_event(_RUN, decision, position, fill), place)
            identity = execution_id(_RUN, number, position)
            side = decision.side.value
            text = f"execution {identity}: {side} {fill.quantity} at {fill.price}"
            yield self._log("gateway", at, text)
            yield self._log("strategy", at + 2, f"execution {identity} received")
            yield from self._drop_copy(decision, position, at + 3)
            self._executions[decision.instrument.name, side] += 1
        if outcome.revision is not None:
            event = revision_event(_RUN, decision, outcome.revision, outcome.revised)
            yield self.event("gateway", at + 5, event, place)
            yield self._log(
                "gateway", at + 5, f"execution taken back: {outcome.revision.value}", "WARN"
            )
        if outcome.remainder is not None:
            event = order_event(_RUN, decision, outcome.remainder)
            yield self.event("gateway", at + 6, event, place)
        if leak_at(number) is Leak.EXCEPTION_MESSAGE:
            yield from self._fail_to_store(number, at + 7)
        took_ms = at + 8 - begin
        self._matched[decision.instrument.name].append((took_ms / 1000, number))
        attributes = {"trading.order.id": order_id(_RUN, number)}
        yield self._span(
            "gateway",
            number,
            "match order",
            (begin, took_ms),
            parent="POST in",
            attributes=attributes,
        )

    def _drop_copy(self, decision: Decision, position: int, at: int) -> Iterator[Item]:
        """Yield the back office's lines, as the collector reads them from its log file."""
        leak = leak_at(decision.number)
        fields: dict[str, Any] = {
            "fill_id": execution_id(_RUN, decision.number, position),
            "order_id": order_id(_RUN, decision.number),
            "symbol": decision.instrument.name,
        }
        if leak is Leak.FILE_JSON:
            fields["settlement"] = {"access_key": self._secrets.file_access_key}
        attributes = {"log.file.name": "back_office.log", "level": "INFO", "fields": fields}
        yield self._log("back-office", at, "order filled", "INFO", "", attributes)
        if leak is Leak.FILE_TEXT and position == 0:
            password = self._secrets.file_password
            text = f"2026-01-05T08:00:08Z sftp upload failed, user=ledger password={password}"
            yield self._log(
                "log-files", at + 1, text, None, "", {"log.file.name": "back_office.log"}
            )

    def _leak(self, number: int, at: int, leak: Leak | None) -> Iterator[Item]:
        secrets = self._secrets
        if leak is Leak.LOG_BODY:
            text = f"feed login failed: user=strategy password={secrets.log_password}"
            yield self._log("strategy", at, text, "WARN")
        elif leak is Leak.NESTED_JSON:
            inner = json.dumps({"venue": "XDEMO", "client_secret": secrets.nested_secret})
            text = json.dumps({"message": "config reloaded", "config": inner})
            yield self._log("strategy", at, text)
        elif leak is Leak.METRIC_ATTRIBUTE:
            self._renewals[secrets.metric_token] += 1
        elif leak is Leak.REQUEST_HEADER:
            header = {"http.request.header.authorization": [f"Bearer {secrets.bearer_token}"]}
            yield from self._call(number, at, "POST", "/session", "trade", further=header)
            yield self._log("gateway", at + 2, "session renewed")
            self._renewals[""] += 1

    def _fail_to_store(self, number: int, at: int) -> Iterator[Item]:
        password = self._secrets.database_password
        message = f"cannot connect to postgresql://ledger:{password}@db.internal:5432/trades"
        exception = {
            "exception.type": "ConnectionError",
            "exception.message": message,
            "exception.stacktrace": (
                "Traceback (most recent call last):\n"
                '  File "gateway.py", line 190, in _connect\n'
                f"    raise ConnectionError(\nConnectionError: {message}\n"
            ),
        }
        yield self._span(
            "gateway", number, "store executions", (at, 1), parent="match order",
            events=[{"name": "exception", "time": _moment(at), "attributes": exception}],
            status={"code": "ERROR", "message": f"ConnectionError: {message}"},
        )  # fmt: skip
        text = "executions not stored, will try again"
        yield self._log("gateway", at, text, "ERROR", "tapeline.demo.gateway", exception)

    def export(self, number: int) -> Iterator[Item]:
        """Yield the metrics of both services: cumulative, from the session's start."""
        at = (number + 3) * _STEP_MS
        for (instrument, side), value in self._sent.items():
            labels = {"instrument": instrument, "side": side}
            yield _sum("strategy", "strategy.orders.sent", "{order}", value, at, labels)
            times = self._round_trips[instrument, side]
            yield _histogram("strategy", "strategy.order.round_trip", times, at, labels)
        for token, value in self._renewals.items():
            labels = {"venue": "XDEMO"} | ({"token": token} if token else {})
            yield _sum("strategy", "strategy.session.renewals", "{renewal}", value, at, labels)
        for (instrument, side), value in self._executions.items():
            labels = {"instrument": instrument, "side": side}
            yield _sum("gateway", "gateway.executions", "{execution}", value, at, labels)
        for instrument, found in self._matched.items():
            labels = {"instrument": instrument}
            last_s, order = found[-1]
            exemplar = {
                "time": _moment(at - 100), "value": last_s,
                "trace_id": _trace(order), "span_id": _id(order, "match order"),
            }  # fmt: skip
            took = [took_s for took_s, _ in found]
            made = _histogram("gateway", "gateway.matching.duration", took, at, labels)
            made["metric"]["exemplars"] = [exemplar]
            yield made

    def event(
        self, service: str, at: int, event: Event, place: tuple[int, str] | None = None
    ) -> Item:
        """Return a business event; `place` is the order and the span that it is of, if any."""
        record: dict[str, Any] = {
            "at": f"{at}ms", "severity": "INFO", "severity_text": "INFO", "body": event.name,
            "event_name": event.name, "attributes": event.attributes,
            **_place(service, f"tapeline.demo.{service}.events"),
        }  # fmt: skip
        if place is not None:
            record |= {"trace_id": _trace(place[0]), "span_id": _id(*place), "flags": 1}
        return {"log": record}

    def _log(
        self,
        service: str,
        at: int,
        body: str,
        severity: str | None = "INFO",
        scope: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Item:
        found: dict[str, Any] = {"at": f"{at}ms", "observed_time": _moment(at + 1), "body": body}
        if severity:
            found |= {"severity": severity, "severity_text": severity}
        if attributes:
            found["attributes"] = attributes
        found |= _place(service, f"tapeline.demo.{service}" if scope is None else scope)
        return {"log": found}

    def _call(  # noqa: PLR0913, PLR0917 - a request has that many parts.
        self,
        number: int,
        at: int,
        method: str,
        path: str,
        parent: str,
        query: str = "",
        further: Mapping[str, Any] | None = None,
    ) -> Iterator[Item]:
        """Yield the two spans of a call from the strategy to the gateway."""
        url = f"http://{_GATEWAY}{path}" + (f"?{query}" if query else "")
        # An order's calls of one method are told apart by the path.
        client, server = f"{method} {path} out", f"{method} {path} in"
        if path in {"/orders", "/quotes/next"} or method == "PUT":
            server = f"{method} in"
        yield self._span(
            "strategy", number, method, (at, 5), parent=parent, id_of=client, kind="client",
            attributes={
                "http.request.method": method, "url.full": url, "server.address": "127.0.0.1",
                "http.response.status_code": 200,
            },
        )  # fmt: skip
        attributes = {"http.request.method": method, "url.path": path, **(further or {})}
        if query:
            attributes["url.query"] = query
        yield self._span(
            "gateway", number, f"{method} {path}", (at + 1, 3), parent=client, id_of=server,
            kind="server", attributes={**attributes, "http.response.status_code": 200},
        )  # fmt: skip

    def _span(  # noqa: PLR0913, PLR0917 - as above.
        self,
        service: str,
        number: int,
        name: str,
        time_ms: tuple[int, int],
        parent: str = "",
        id_of: str = "",
        kind: str = "internal",
        **fields: Any,
    ) -> Item:
        begin, took = time_ms
        is_http = kind in {"client", "server"}
        scope = f"opentelemetry.instrumentation.aiohttp_{kind}" if is_http else ""
        span: dict[str, Any] = {
            "name": name, "kind": kind, "trace_id": _trace(number),
            "span_id": _id(number, id_of or name), "start": _moment(begin),
            "end": _moment(begin + took), **fields,
            **_place(service, scope or f"tapeline.demo.{service}"),
        }  # fmt: skip
        if parent:
            span["parent_span_id"] = _id(number, parent)
        return {"span": span}


def _place(service: str, scope: str) -> dict[str, Any]:
    if service in {"back-office", "log-files"}:  # read from a file by the collector
        return {"resource": {"service.name": service}}
    return {
        "resource": {
            "service.name": service,
            "service.namespace": "tapeline.demo",
            "service.instance.id": f"{service}-{_RUN}",
        },
        "scope": scope,
    }


def _sum(
    service: str, name: str, unit: str, value: int, at: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "metric": {
            "name": name, "unit": unit, "type": "sum", "monotonic": True, "value": value,
            "at": f"{at}ms", "start": _moment(0), "attributes": labels,
            **_place(service, f"tapeline.demo.{service}"),
        }
    }  # fmt: skip


def _histogram(
    service: str, name: str, times_s: list[float], at: int, labels: Mapping[str, str]
) -> dict[str, Any]:
    edges = [-1.0, *_BOUNDS, float("inf")]
    counts = [sum(low < each <= high for each in times_s) for low, high in pairwise(edges)]
    total = float(sum(Decimal(str(each)) for each in times_s))
    return {
        "metric": {
            "name": name, "unit": "s", "type": "histogram", "count": len(times_s), "sum": total,
            "min": min(times_s), "max": max(times_s), "explicit_bounds": _BOUNDS,
            "bucket_counts": counts, "at": f"{at}ms", "start": _moment(0), "attributes": labels,
            **_place(service, f"tapeline.demo.{service}"),
        }
    }  # fmt: skip


def _moment(at_ms: int) -> int:
    return START_UNIX_NANO + at_ms * _NANO // 1000


def _trace(number: int) -> str:
    return hashlib.sha256(f"{SEED}/{number}".encode()).hexdigest()[:32]


def _id(number: int, name: str) -> str:
    return hashlib.sha256(f"{SEED}/{number}/{name}".encode()).hexdigest()[:16]
