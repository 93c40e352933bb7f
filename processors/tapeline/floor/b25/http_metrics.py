"""The metrics of HTTP requests that each of b25's services has."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["LATENCY_MS_BUCKETS", "HttpMetrics", "make_http_metrics"]

LATENCY_MS_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
"""The plan tunes for 0.1 to 10 ms; those above are for what goes wrong."""
_SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class HttpMetrics:
    """Requests and how long they took."""

    requests: Counter
    durations: Histogram


def make_http_metrics(registry: CollectorRegistry) -> HttpMetrics:
    """Return the instruments, registered."""
    return HttpMetrics(
        requests=Counter(
            "http_requests_total",
            "Requests answered; probes and scrapes are not counted.",
            ("method", "path", "status"),
            registry=registry,
        ),
        durations=Histogram(
            "http_request_duration_seconds",
            "Time to answer a request.",
            ("method", "path"),
            buckets=_SECONDS_BUCKETS,
            registry=registry,
        ),
    )
