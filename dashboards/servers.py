"""What Prometheus, Loki and Jaeger answer, asked as Grafana's data sources ask them.

An answer that is an error raises AnswerError with the server's own words.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx

from dashboards.queries import Span

__all__ = ["Answer", "AnswerError", "Series", "Servers"]

_OK: Final = 200
_TIMEOUT_S: Final = 30.0
_LINES_MAX: Final = 100
_TRACED_LINES_MAX: Final = 1_000
_SETTLING_MS: Final = 30_000
"""A trace younger than this may still wait for the tail sampler's decision."""


class AnswerError(RuntimeError):
    """A server refused, or could not be reached; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, and its numbers in order of time (Unix seconds)."""

    labels: Mapping[str, str]
    numbers: tuple[float, ...]
    times_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Series of numbers, or lines, or rows (traces, spans): whichever was asked for."""

    series: tuple[Series, ...] = ()
    lines: int | None = None
    rows: tuple[Mapping[str, str], ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the first line or row, for links."""
    texts: tuple[str, ...] = ()
    """Of the lines, as far as they were asked for."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Base addresses, and the connections to them."""

    prometheus: str
    loki: str
    jaeger: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_TIMEOUT_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def instant(self, query: str, span: Span) -> Answer:
        """Ask Prometheus for the end of the time."""
        return _numbers(
            self._get(
                f"{self.prometheus}/api/v1/query",
                {"query": query, "time": str(span.end_ms / 1000)},
            )
        )

    def range(self, query: str, span: Span, step: int) -> Answer:
        """Ask Prometheus for every step (ms); start and end lie on whole steps, as Grafana does."""
        return _numbers(
            self._get(
                f"{self.prometheus}/api/v1/query_range",
                {
                    "query": query,
                    "start": str(span.start_ms // step * step / 1000),
                    "end": str(span.end_ms // step * step / 1000),
                    "step": str(step / 1000),
                },
            )
        )

    def exemplar_traces(self, query: str, span: Span) -> tuple[str, ...]:
        """Return the trace ids of the exemplars behind a query, the newest first."""
        found = self._get(
            f"{self.prometheus}/api/v1/query_exemplars",
            {"query": query, "start": _seconds(span.start_ms), "end": _seconds(span.end_ms)},
        )
        exemplars = [each for series in found["data"] or () for each in series["exemplars"]]
        exemplars.sort(key=lambda each: each["timestamp"], reverse=True)
        ids = (each["labels"].get("trace_id", "") for each in exemplars)
        return tuple(dict.fromkeys(each for each in ids if each))

    def logs(self, query: str, span: Span, step: int, *, instant: bool = False) -> Answer:
        """Ask Loki: lines, or numbers where the query counts."""
        if instant:
            return _loki(
                self._get(
                    f"{self.loki}/loki/api/v1/query",
                    {"query": query, "time": str(span.end_ms * 1_000_000)},
                )
            )
        return _loki(
            self._get(
                f"{self.loki}/loki/api/v1/query_range",
                {
                    "query": query,
                    "start": str(span.start_ms * 1_000_000),
                    "end": str(span.end_ms * 1_000_000),
                    "step": f"{step}ms",
                    "limit": str(_LINES_MAX),
                },
            )
        )

    def search(self, fields: Mapping[str, str], span: Span) -> Answer:
        """Search Jaeger: `service`, and perhaps `operation`, `tags`, `minDuration`, `limit`."""
        parameters = {
            **{name: value for name, value in fields.items() if name != "tags" and value},
            "start": str(span.start_ms * 1000),
            "end": str(span.end_ms * 1000),
        }
        if fields.get("tags"):
            pairs = (each.split("=", 1) for each in fields["tags"].split())
            parameters["tags"] = json.dumps(dict(pairs))
        found = self._get(f"{self.jaeger}/api/traces", parameters)
        rows = tuple(
            {
                "traceID": trace["traceID"],
                "traceName": trace["spans"][0]["operationName"],
                "startTime": _clock(min(span["startTime"] for span in trace["spans"])),
                "duration": f"{max(span['duration'] for span in trace['spans']) / 1000:g} ms",
            }
            for trace in found["data"] or ()
            if trace["spans"]
        )
        return Answer(rows=rows, labels=rows[0] if rows else {})

    def trace(self, trace_id: str) -> Answer:
        """Return the spans of one trace."""
        found = self._get(f"{self.jaeger}/api/traces/{trace_id}", {})
        spans = [span for trace in found["data"] or () for span in trace["spans"]]
        rows = tuple({"traceID": span["traceID"], "spanID": span["spanID"]} for span in spans)
        return Answer(rows=rows, labels=rows[0] if rows else {})

    def has_trace(self, trace_id: str) -> bool:
        """Say whether Jaeger answers 200 for a trace; it drops those that are not sampled."""
        try:
            return bool(self.trace(trace_id).rows)
        except AnswerError:
            return False

    def dependencies(self, span: Span) -> Answer:
        """Return which service calls which."""
        found = self._get(
            f"{self.jaeger}/api/dependencies",
            {"endTs": str(span.end_ms), "lookback": str(span.range_ms)},
        )
        return Answer(rows=tuple(found["data"] or ()))

    def prometheus_values(self, label: str, selector: str | None, span: Span) -> tuple[str, ...]:
        """Return the values of a label, of the series that the selector picks."""
        parameters = {"start": _seconds(span.start_ms), "end": _seconds(span.end_ms)}
        if selector is not None:
            parameters["match[]"] = selector
        found = self._get(f"{self.prometheus}/api/v1/label/{label}/values", parameters)
        return tuple(found["data"])

    def loki_values(self, label: str, span: Span) -> tuple[str, ...]:
        """Return the values of an index label."""
        found = self._get(
            f"{self.loki}/loki/api/v1/label/{label}/values",
            {"start": str(span.start_ms * 1_000_000), "end": str(span.end_ms * 1_000_000)},
        )
        return tuple(found.get("data") or ())

    def trace_ids_of_lines(self, query: str, span: Span) -> tuple[str, ...]:
        """Return the trace ids that lines name, the newest first, the last seconds left out."""
        found = self._get(
            f"{self.loki}/loki/api/v1/query_range",
            {
                "query": query,
                "start": str(span.start_ms * 1_000_000),
                "end": str((span.end_ms - _SETTLING_MS) * 1_000_000),
                "limit": str(_TRACED_LINES_MAX),
            },
        )
        lines = sorted(
            (
                (int(at), stream["stream"].get("trace_id", ""))
                for stream in found["data"]["result"]
                for at, *_ in stream["values"]
            ),
            reverse=True,
        )
        return tuple(dict.fromkeys(trace_id for _, trace_id in lines if trace_id))

    def _get(self, address: str, parameters: Mapping[str, str]) -> Any:
        try:
            response = self.client.get(address, params=dict(parameters))
        except httpx.HTTPError as error:
            raise AnswerError(f"{address}: {error!r}") from error
        if response.status_code != _OK:
            raise AnswerError(f"{address}: {response.status_code} {response.text.strip()[:300]}")
        return response.json()


def _clock(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%H:%M:%S")


def _seconds(milliseconds: int) -> str:
    return str(milliseconds / 1000)


def _numbers(found: Any) -> Answer:
    data = found["data"]
    if data["resultType"] in ("scalar", "string"):
        return Answer(series=(Series({}, (_number(data["result"][1]),)),))
    return Answer(series=tuple(_series(each) for each in data["result"]))


def _series(result: Any) -> Series:
    samples = result["values"] if "values" in result else [result["value"]]
    return Series(
        result["metric"],
        tuple(_number(text) for _, text in samples),
        tuple(float(at) for at, _ in samples),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _loki(found: Any) -> Answer:
    data = found["data"]
    if data["resultType"] != "streams":
        return _numbers(found)
    streams = data["result"]
    labels = streams[0]["stream"] if streams else {}
    texts = tuple(text for each in streams for _, text in each["values"])
    return Answer(lines=len(texts), labels=labels, texts=texts)
