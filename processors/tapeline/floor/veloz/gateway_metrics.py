"""The metrics of VeloZ's gateway: names, labels and buckets as its documents have them."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

__all__ = ["GatewayMetrics", "make_metrics"]

DURATION_BUCKETS: Final = (
    0.001,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
SIZE_BUCKETS: Final = (100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)
EXCHANGE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class HttpMetrics:
    """Requests that the gateway answers."""

    requests: Counter
    duration: Histogram
    request_size: Histogram
    response_size: Histogram
    active: Gauge
    auth_attempts: Counter
    rate_limit_hits: Counter


@dataclass(frozen=True, slots=True)
class StateMetrics:
    """How the gateway and what it is connected to are."""

    uptime: Gauge
    engine_running: Gauge
    engine_connection: Gauge
    sse_clients: Gauge
    sse_connections: Gauge
    websocket_connected: Gauge
    errors: Counter


@dataclass(frozen=True, slots=True)
class ExchangeMetrics:
    """Calls to the exchange."""

    latency: Histogram
    errors: Counter
    reconnects: Counter


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """All instruments of the gateway, in one registry.

    `order_events` is a mistake of the scenario cardinality_bomb: it has an order id as a label.
    """

    http: HttpMetrics
    state: StateMetrics
    exchange: ExchangeMetrics
    order_events: Counter


def make_metrics(registry: CollectorRegistry) -> GatewayMetrics:
    """Register the gateway's metrics, and those of its process, and return them."""
    ProcessCollector(namespace="veloz", registry=registry)
    return GatewayMetrics(
        _http(registry),
        _state(registry),
        _exchange(registry),
        Counter("veloz_order_events_total", "Events of an order.", ["order_id"], registry=registry),
    )


def _http(to: CollectorRegistry) -> HttpMetrics:
    def histogram(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, what, ["method", "endpoint"], buckets=buckets, registry=to)

    return HttpMetrics(
        requests=Counter(
            "veloz_http_requests_total",
            "HTTP requests.",
            ["method", "endpoint", "status"],
            registry=to,
        ),
        duration=histogram(
            "veloz_http_request_duration_seconds", "Duration of a request.", DURATION_BUCKETS
        ),
        request_size=histogram(
            "veloz_http_request_size_bytes", "Size of a request's body.", SIZE_BUCKETS
        ),
        response_size=histogram(
            "veloz_http_response_size_bytes", "Size of an answer's body.", SIZE_BUCKETS
        ),
        active=Gauge("veloz_active_connections", "Requests that are open.", registry=to),
        auth_attempts=Counter(
            "veloz_auth_attempts_total", "Authentication attempts.", ["result"], registry=to
        ),
        rate_limit_hits=Counter(
            "veloz_rate_limit_hits_total", "Requests over their limit.", ["endpoint"], registry=to
        ),
    )


def _state(to: CollectorRegistry) -> StateMetrics:
    def gauge(name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=to)

    return StateMetrics(
        uptime=gauge("veloz_gateway_uptime_seconds", "Seconds since the gateway began."),
        engine_running=gauge("veloz_engine_running", "The engine answers: 1, else 0."),
        engine_connection=gauge(
            "veloz_engine_connection_state", "The engine has its exchange: 1, else 0."
        ),
        sse_clients=gauge("veloz_sse_clients", "SSE clients."),
        sse_connections=gauge("veloz_sse_connections_active", "SSE connections."),
        websocket_connected=gauge(
            "veloz_websocket_connected", "The market data WebSocket is open: 1, else 0."
        ),
        errors=Counter("veloz_errors_total", "Errors.", ["type", "component"], registry=to),
    )


def _exchange(to: CollectorRegistry) -> ExchangeMetrics:
    return ExchangeMetrics(
        latency=Histogram(
            "veloz_exchange_api_latency_seconds",
            "Duration of a call to the exchange.",
            ["exchange", "endpoint"],
            buckets=EXCHANGE_BUCKETS,
            registry=to,
        ),
        errors=Counter(
            "veloz_exchange_api_errors_total",
            "Calls to the exchange that failed.",
            ["exchange", "error_type"],
            registry=to,
        ),
        reconnects=Counter(
            "veloz_websocket_reconnects_total",
            "Attempts to open the WebSocket again.",
            ["exchange"],
            registry=to,
        ),
    )
