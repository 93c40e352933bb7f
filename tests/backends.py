"""Asks the backends what they hold, through the APIs that Grafana and people use."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tapeline.stack.runner import Stack

__all__ = ["Backends", "Jaeger", "LogEntry", "Loki", "Prometheus", "Sample", "fetch", "of"]

_TIMEOUT_S = 30.0
_LOKI_PAGE = 5000  # Loki's default max_entries_limit_per_query
_LOKI_PAGES_MAX = 400
_LOOK_BACK_S = 7200
_TRACES_MAX = 20_000
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, data: bytes | None = None) -> bytes:
    """Return the body of an answer; raises OSError where it is no success."""
    request = urllib.request.Request(url, data=data)  # noqa: S310 - the test's own servers
    with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
        body: bytes = answer.read()
    return body


def _get(base: str, path: str, parameters: Mapping[str, object]) -> Any:
    return json.loads(fetch(f"{base}{path}?{urllib.parse.urlencode(parameters)}"))


@dataclass(frozen=True)
class LogEntry:
    """A line in Loki; `labels` are its stream's labels and its structured metadata."""

    time_unix_nano: int
    line: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Loki:
    """Loki's HTTP API."""

    url: str

    def entries(self, selector: str, look_back_s: int = _LOOK_BACK_S) -> list[LogEntry]:
        """Return every line of the last two hours (or so long), page by page, oldest first."""
        found: dict[LogEntryKey, LogEntry] = {}
        start = time.time_ns() - look_back_s * 10**9
        for _ in range(_LOKI_PAGES_MAX):
            page = list(self._page(selector, start))
            for entry in page:
                found[entry.time_unix_nano, entry.line, tuple(entry.labels.items())] = entry
            if len(page) < _LOKI_PAGE:
                return sorted(found.values(), key=lambda entry: entry.time_unix_nano)
            last = max(entry.time_unix_nano for entry in page)
            assert last > start, "a page of lines with one and the same time"
            start = last
        raise AssertionError(f"more than {_LOKI_PAGES_MAX} pages of {selector}")

    def _page(self, selector: str, start: int) -> Iterator[LogEntry]:
        answer = _get(
            self.url,
            "/loki/api/v1/query_range",
            {
                "query": selector,
                "start": start,
                "end": time.time_ns() + 3600 * 10**9,
                "limit": _LOKI_PAGE,
                "direction": "forward",
            },
        )
        for stream in answer["data"]["result"]:
            for nanoseconds, line, *_ in stream["values"]:
                yield LogEntry(int(nanoseconds), line, stream["stream"])

    def lines(self, service: str) -> set[str]:
        """Return the distinct lines of a service."""
        return {entry.line for entry in self.entries(f'{{service_name="{service}"}}')}

    def label_values(self, label: str) -> list[str]:
        """Return every value of an index label of the last two hours."""
        now = time.time_ns()
        times = {"start": now - _LOOK_BACK_S * 10**9, "end": now + 60 * 10**9}
        values: list[str] | None = _get(self.url, f"/loki/api/v1/label/{label}/values", times).get(
            "data"
        )
        return values or []

    def found(self, query: str, look_back_s: int = 900) -> int:
        """Return how many lines or non-zero numbers a LogQL query of either kind finds."""
        now = time.time_ns()
        times = {"start": now - look_back_s * 10**9, "end": now, "step": 15, "limit": 100}
        answer = _get(self.url, "/loki/api/v1/query_range", {"query": query, **times})["data"]
        values = [value for stream in answer["result"] for value in stream["values"]]
        if answer["resultType"] == "streams":
            return len(values)
        return sum(float(value[1]) != 0 for value in values)

    def flush(self) -> None:
        """Let the ingester write its chunks to the store."""
        fetch(f"{self.url}/flush", b"")


LogEntryKey = tuple[int, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Jaeger:
    """Jaeger's HTTP API, the one of its user interface."""

    url: str

    def services(self) -> list[str]:
        """Return the names of all services."""
        names: list[str] = json.loads(fetch(f"{self.url}/api/services"))["data"] or []
        return names

    def traces(self, service: str) -> list[dict[str, Any]]:
        """Return the traces of a service of the last two hours."""
        now = time.time_ns() // 1000
        answer = _get(
            self.url,
            "/api/traces",
            {
                "service": service,
                "limit": _TRACES_MAX,
                "start": now - _LOOK_BACK_S * 10**6,
                "end": now + 3600 * 10**6,
            },
        )
        found: list[dict[str, Any]] = answer["data"] or []
        assert len(found) < _TRACES_MAX
        return found

    def operations(self, service: str) -> list[str]:
        """Return the names of a service's spans that Jaeger offers to choose from."""
        answer = _get(self.url, "/api/operations", {"service": service})
        return [operation["name"] for operation in answer["data"]]

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        """Return one trace, or None where Jaeger does not know it."""
        try:
            answer = json.loads(fetch(f"{self.url}/api/traces/{trace_id}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return answer["data"][0] if answer["data"] else None

    def span_names(self, service: str) -> set[str]:
        """Return the names of all spans in the traces of a service."""
        return {span["operationName"] for trace in self.traces(service) for span in trace["spans"]}


@dataclass(frozen=True)
class Sample:
    """A series and its value of now."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Prometheus:
    """Prometheus's HTTP API."""

    url: str

    def query(self, expression: str) -> list[Sample]:
        """Return the instant vector of an expression."""
        answer = _get(self.url, "/api/v1/query", {"query": expression})
        assert answer["status"] == "success"
        return [
            Sample(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]
        ]

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of every series of the last two hours."""
        return self._data("/api/v1/series", {"match[]": selector})

    def label_names(self) -> list[str]:
        """Return the names of all labels."""
        return self._data("/api/v1/labels", {})

    def label_values(self, label: str) -> list[str]:
        """Return every value of a label."""
        return self._data(f"/api/v1/label/{label}/values", {})

    def names(self, selector: str) -> list[str]:
        """Return the names of the metrics that a selector finds."""
        return self._data("/api/v1/label/__name__/values", {"match[]": selector})

    def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """Return the exemplars of the last two hours, by series."""
        return self._data("/api/v1/query_exemplars", {"query": selector})

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped, and how that goes."""
        answer = _get(self.url, "/api/v1/targets", {"state": "active"})
        found: list[dict[str, Any]] = answer["data"]["activeTargets"]
        return found

    def _data(self, path: str, parameters: Mapping[str, object]) -> list[Any]:
        now = time.time()
        times = {"start": now - _LOOK_BACK_S, "end": now + 60}
        answer = _get(self.url, path, {**parameters, **times})
        assert answer["status"] == "success"
        data: list[Any] = answer["data"]
        return data


@dataclass(frozen=True)
class Backends:
    """The three backends of a stack."""

    loki: Loki
    jaeger: Jaeger
    prometheus: Prometheus


def of(stack: Stack) -> Backends:
    """Return the backends of a stack."""
    return Backends(
        Loki(stack.url("loki")), Jaeger(stack.url("jaeger")), Prometheus(stack.url("prometheus"))
    )
