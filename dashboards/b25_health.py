"""B25's folders "System Health" and "Alerts"."""

from dataclasses import replace
from typing import Final

from dashboards.links import board_link
from dashboards.model import (
    Board,
    Override,
    Panel,
    Query,
    Row,
    Transformation,
    Variable,
    gauge,
    heatmap,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_alerts import active_alerts
from dashboards.own_variables import STATES, UP_COLOURS, runbooks, service_logs

__all__ = ["B25", "B25_ALERTS", "B25_DISCOVERY", "B25_INFRASTRUCTURE", "B25_OVERVIEW", "SERVICE"]

B25: Final = 'job=~"b25-.+",service=~"$service"'
_HOST: Final = 'job="node-exporter"'
_RATE: Final = "[$__rate_interval]"
_FULL: Final = ((None, "green"), (80.0, "orange"), (90.0, "red"))
SERVICE: Final = Variable(
    "service", "Service", "prometheus", 'label_values(up{job=~"b25-.+"}, service)'
)


def _utilization(title: str, query: str, about: str) -> Panel:
    return gauge(
        title,
        "percent",
        about,
        (prom(query, "{{instance}}"),),
        width=6,
        height=6,
        minimum=0,
        maximum=100,
        thresholds=_FULL,
    )


_CPU: Final = (
    f'100 - avg by (instance) (rate(node_cpu_seconds_total{{{_HOST},mode="idle"}}{_RATE})) * 100'
)
_MEMORY: Final = (
    f"(1 - sum by (instance) (node_memory_MemAvailable_bytes{{{_HOST}}})"
    f" / sum by (instance) (node_memory_MemTotal_bytes{{{_HOST}}})) * 100"
)
_DISK: Final = (
    f'max by (instance) (1 - node_filesystem_avail_bytes{{{_HOST},mountpoint="/"}}'
    f' / node_filesystem_size_bytes{{{_HOST},mountpoint="/"}}) * 100'
)
_NETWORK: Final = (
    f"sum by (instance) (rate(node_network_receive_bytes_total{{{_HOST}}}{_RATE}))"
    f" + sum by (instance) (rate(node_network_transmit_bytes_total{{{_HOST}}}{_RATE}))"
)

_GRID: Final = (
    stat(
        "Service Status Grid",
        "none",
        "Each service: whether it can be scraped.",
        (prom(f"max by (service) (up{{{B25}}})", "{{service}}"),),
        width=24,
        height=5,
        texts=STATES,
        thresholds=UP_COLOURS,
        background=True,
        links=(service_logs("b25-${__field.labels.service}"),),
    ),
)

_TRAFFIC: Final = (
    timeseries(
        "Request Rate",
        "reqps",
        "Requests a second, by service.",
        (prom(f"sum by (service) (rate(http_requests_total{{{B25}}}{_RATE}))", "{{service}}"),),
        width=12,
        links=(service_logs("b25-${__field.labels.service}"),),
    ),
    timeseries(
        "Error Rate",
        "reqps",
        "Requests a second that were answered with 5xx, by service.",
        (
            prom(
                f'sum by (service) (rate(http_requests_total{{{B25},status=~"5.."}}{_RATE}))',
                "{{service}}",
            ),
        ),
        width=12,
        scenario="error_burst",
        links=(service_logs("b25-${__field.labels.service}"),),
    ),
    heatmap(
        "P95 Latency Heatmap",
        "s",
        "P95 of requests: a row for each service.",
        (
            prom(
                "histogram_quantile(0.95, sum by (le, service) "
                f"(rate(http_request_duration_seconds_bucket{{{B25}}}{_RATE})))",
                "{{service}}",
            ),
        ),
        width=12,
    ),
    heatmap(
        "Latency Heatmap",
        "s",
        "Requests of the picked services, by how long they took.",
        (
            Query(
                f"sum by (le) (increase(http_request_duration_seconds_bucket{{{B25}}}{_RATE}))",
                "{{le}}",
                shape="heatmap",
            ),
        ),
        width=12,
    ),
)

_STATE: Final = (
    _utilization("CPU Utilization", _CPU, "Share of all cores that is not idle."),
    _utilization("Memory Utilization", _MEMORY, "Share that is not available."),
    _utilization("Disk Utilization", _DISK, "Share of the root filesystem that is used."),
    timeseries(
        "Network Utilization",
        "Bps",
        "Bytes a second, received and sent.",
        (prom(_NETWORK, "{{instance}}"),),
        width=6,
        height=6,
    ),
    replace(
        active_alerts("Active Alerts", ',system="b25"', "What fires in B25 now."),
        scenario="service_down",
    ),
)

B25_OVERVIEW: Final = Board(
    "01-system-health-overview",
    "01 System Health Overview",
    "Status, traffic, errors, latency, alerts and resources of all services.",
    "B25 System Health",
    (
        Row("Services", _GRID),
        Row("Traffic and latency", _TRAFFIC),
        Row("Resource Utilization and Alerts", _STATE),
    ),
    variables=(SERVICE, runbooks()),
    tags=("b25",),
    refresh="15s",
)

B25_INFRASTRUCTURE: Final = Board(
    "02-infrastructure-metrics",
    "02 Infrastructure Metrics",
    "CPU, memory, disk and network of B25's machine.",
    "B25 System Health",
    (
        Row(
            "Machine",
            (
                timeseries(
                    "CPU",
                    "percent",
                    "Share of all cores that is not idle.",
                    (prom(_CPU, "{{instance}}"),),
                    width=12,
                    thresholds=_FULL,
                ),
                timeseries(
                    "RAM",
                    "percent",
                    "Share that is not available.",
                    (prom(_MEMORY, "{{instance}}"),),
                    width=12,
                    thresholds=_FULL,
                ),
                timeseries(
                    "Disk",
                    "percent",
                    "Share of the root filesystem that is used.",
                    (prom(_DISK, "{{instance}}"),),
                    width=12,
                    thresholds=_FULL,
                ),
                timeseries(
                    "Network",
                    "Bps",
                    "Bytes a second, by direction.",
                    (
                        prom(
                            f"sum(rate(node_network_receive_bytes_total{{{_HOST}}}{_RATE}))",
                            "received",
                        ),
                        prom(
                            f"sum(rate(node_network_transmit_bytes_total{{{_HOST}}}{_RATE}))",
                            "sent",
                        ),
                    ),
                    width=12,
                ),
                timeseries(
                    "Network Errors",
                    "pps",
                    "Packets a second that were received broken, by device.",
                    (
                        prom(
                            "sum by (device) "
                            f"(rate(node_network_receive_errs_total{{{_HOST}}}{_RATE}))",
                            "{{device}}",
                        ),
                    ),
                    width=12,
                    thresholds=((None, "green"), (10.0, "orange")),
                ),
                timeseries(
                    "Memory of the services",
                    "bytes",
                    "Resident memory, by service.",
                    (
                        prom(
                            f"max by (service) (process_resident_memory_bytes{{{B25}}})",
                            "{{service}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
    variables=(SERVICE,),
    tags=("b25",),
    refresh="15s",
)

B25_DISCOVERY: Final = Board(
    "03-service-discovery",
    "03 Service Discovery",
    "What is scraped and probed, and how it answers.",
    "B25 System Health",
    (
        Row(
            "Targets",
            (
                table(
                    "Target Status",
                    "none",
                    "Every target: 1 answers, 0 does not.",
                    (
                        Query(
                            "max by (job, service, tier, instance) "
                            '(up{job=~"b25-.+|node-exporter"})',
                            instant=True,
                            shape="table",
                        ),
                    ),
                    width=12,
                    height=10,
                    texts=STATES,
                    thresholds=UP_COLOURS,
                    transformations=(
                        Transformation(
                            "organize",
                            {
                                "excludeByName": {"Time": True},
                                "renameByName": {
                                    "job": "Job",
                                    "service": "Service",
                                    "instance": "Address",
                                    "Value": "State",
                                },
                            },
                        ),
                    ),
                    overrides=(Override("byName", "State", {"custom.width": 120}),),
                ),
                timeseries(
                    "Scrape Duration",
                    "s",
                    "How long each target takes to answer.",
                    (
                        prom(
                            'max by (job) (scrape_duration_seconds{job=~"b25-.+|node-exporter"})',
                            "{{job}}",
                        ),
                    ),
                    width=12,
                    height=10,
                ),
                stat(
                    "Endpoint Probes",
                    "none",
                    "Health endpoints and ports as the prober sees them.",
                    (
                        prom(
                            'max by (service, module) (probe_success{job="blackbox"})',
                            "{{service}} {{module}}",
                        ),
                    ),
                    width=12,
                    texts=STATES,
                    thresholds=UP_COLOURS,
                    background=True,
                ),
                timeseries(
                    "Samples by Target",
                    "short",
                    "Samples in a scrape.",
                    (
                        prom(
                            'max by (job) (scrape_samples_scraped{job=~"b25-.+|node-exporter"})',
                            "{{job}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
    tags=("b25",),
    refresh="15s",
)

B25_ALERTS: Final = Board(
    "40-alert-dashboard",
    "40 Alert Dashboard",
    "B25's alerts: active ones, and their history.",
    "B25 Alerts",
    (
        Row(
            "Alerts",
            (
                replace(
                    active_alerts("Active Alerts", ',system="b25"', "What fires in B25 now."),
                    scenario="service_down",
                ),
                timeseries(
                    "Alert History",
                    "none",
                    "Which alerts fired when.",
                    (
                        prom(
                            'count by (alertname) (ALERTS{alertstate="firing",system="b25"})',
                            "{{alertname}}",
                        ),
                    ),
                    width=12,
                    stacked=True,
                    scenario="service_down",
                    links=(board_link("All alerts", "tapeline-alerts"),),
                ),
                timeseries(
                    "Alerts by Severity",
                    "none",
                    "How many fired, by severity.",
                    (
                        prom(
                            'count by (severity) (ALERTS{alertstate="firing",system="b25"})',
                            "{{severity}}",
                        ),
                    ),
                    width=12,
                    stacked=True,
                    scenario="service_down",
                ),
            ),
        ),
    ),
    variables=(runbooks(),),
    tags=("b25", "alerts"),
    refresh="15s",
)
