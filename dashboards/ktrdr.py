"""KTRDR's operations: traces, the metrics of auto-instrumentation, and logs joined by trace id."""

from typing import Final

from dashboards.links import logs_link, traces_link
from dashboards.model import (
    Board,
    Row,
    Search,
    Trace,
    Variable,
    logs,
    loki,
    prom,
    stat,
    table,
    timeseries,
    traces,
)
from dashboards.own_variables import STATES, UP_COLOURS

__all__ = ["KTRDR"]

_JOBS: Final = 'job=~"(ktrdr/)?ktrdr-.+"'
_RATE: Final = "[$__rate_interval]"
_LOGS: Final = logs_link("Logs at this time", '{service_name=~"ktrdr-.+"}')
_SERVICES: Final = "ktrdr-api, ktrdr-ib-host-service, ktrdr-training-host-service"

_HEALTH: Final = (
    stat(
        "Service Status",
        "none",
        "Each service: whether it can be scraped.",
        (prom('max by (service) (up{job=~"ktrdr-.+"})', "{{service}}"),),
        width=24,
        height=5,
        texts=STATES,
        thresholds=UP_COLOURS,
        background=True,
        links=(_LOGS,),
    ),
    timeseries(
        "Request Rate",
        "reqps",
        "Requests a second, by service and route.",
        (
            prom(
                "topk(20, sum by (job, http_route) "
                f"(rate(http_server_request_duration_seconds_count{{{_JOBS}}}{_RATE})))",
                "{{job}} {{http_route}}",
            ),
        ),
        width=12,
        links=(_LOGS, traces_link("Traces of the API", "ktrdr-api")),
    ),
    timeseries(
        "Request Duration p95",
        "s",
        "By service. A dot is one request: it opens its trace.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, job) "
                f"(rate(http_server_request_duration_seconds_bucket{{{_JOBS}}}{_RATE})))",
                "{{job}}",
                exemplar=True,
            ),
        ),
        width=12,
        links=(_LOGS,),
    ),
    timeseries(
        "Answers by status",
        "reqps",
        "Requests a second, by the status of their answer.",
        (
            prom(
                "sum by (http_response_status_code) "
                f"(rate(http_server_request_duration_seconds_count{{{_JOBS}}}{_RATE}))",
                "{{http_response_status_code}}",
            ),
        ),
        width=12,
        stacked=True,
    ),
    timeseries(
        "Calls of host services p95",
        "s",
        "How long the API waits for the host services.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, server_port) "
                f"(rate(http_client_request_duration_seconds_bucket{{{_JOBS}}}{_RATE})))",
                "port {{server_port}}",
                exemplar=True,
            ),
        ),
        width=12,
    ),
)

_TRACES: Final = (
    table(
        "Newest traces",
        "none",
        "Of the service that is picked. A row opens its trace; each span there opens its logs.",
        (Search("$service"),),
        width=12,
        height=10,
    ),
    table(
        "Slow traces",
        "none",
        "Traces of the picked service that took 50 ms or longer.",
        (Search("$service", shortest="50ms"),),
        width=12,
        height=10,
    ),
    traces(
        "Trace",
        "none",
        "The trace whose id stands in the variable.",
        (Trace("$trace_id"),),
        width=24,
        height=12,
    ),
)

_LINES: Final = (
    timeseries(
        "Log Volume by Level",
        "short",
        "Lines in each step.",
        (
            loki(
                "sum by (detected_level) "
                '(count_over_time({service_name=~"ktrdr-.+"} [$__interval]))',
                "{{detected_level}}",
            ),
        ),
        width=24,
        stacked=True,
        bars=True,
    ),
    logs(
        "Logs of the service",
        "none",
        "Lines of the picked service. The field trace_id of a line opens its trace.",
        (loki('{service_name="$service"}'),),
        width=24,
        height=10,
    ),
    logs(
        "Logs of the trace",
        "none",
        "Every line that names the trace in the variable.",
        (loki('{service_name=~"ktrdr-.+"} | trace_id="$trace_id"'),),
        width=24,
        height=8,
    ),
)

KTRDR: Final = Board(
    "ktrdr-operations",
    "KTRDR Operations",
    "Requests, traces and logs of the API and its host services, joined by trace id.",
    "KTRDR",
    (
        Row("Services", _HEALTH),
        Row("Traces", _TRACES),
        Row("Logs", _LINES),
    ),
    variables=(
        Variable("service", "Service", "custom", _SERVICES, multi=False, all_value=None),
        Variable(
            "trace_id",
            "Trace id",
            "textbox",
            "",
            multi=False,
            current="",
            sample='{service_name=~"ktrdr-.+"} | trace_id!=""',
        ),
    ),
    tags=("ktrdr",),
)
