"""The machine that everything runs on, and the servers' own processes."""

from typing import Final

from dashboards.model import (
    Board,
    Panel,
    Query,
    Row,
    Variable,
    columns,
    gauge,
    prom,
    table,
    timeseries,
)
from dashboards.own_variables import STATES, UP_COLOURS

__all__ = ["INFRASTRUCTURE"]

_NODE: Final = 'job=~"$node"'
_USED: Final = ((None, "green"), (0.8, "orange"), (0.9, "red"))


def _share(title: str, query: str, about: str) -> Panel:
    return gauge(
        title,
        "percentunit",
        about,
        (prom(query, "{{instance}}"),),
        width=6,
        height=6,
        minimum=0,
        maximum=1,
        thresholds=_USED,
    )


_HEALTH: Final = (
    _share(
        "CPU used",
        f'1 - avg by (instance) (rate(node_cpu_seconds_total{{{_NODE},mode="idle"}}'
        "[$__rate_interval]))",
        "Share of all cores that is not idle.",
    ),
    _share(
        "Memory used",
        f"1 - sum by (instance) (node_memory_MemAvailable_bytes{{{_NODE}}})"
        f" / sum by (instance) (node_memory_MemTotal_bytes{{{_NODE}}})",
        "Share that is not available, caches aside.",
    ),
    _share(
        "Fullest filesystem",
        f"max by (instance) (1 - node_filesystem_avail_bytes{{{_NODE}}}"
        f" / node_filesystem_size_bytes{{{_NODE}}})",
        "Share that is not available on the fullest filesystem.",
    ),
    _share(
        "Load by core",
        f"sum by (instance) (node_load5{{{_NODE}}})"
        f' / count by (instance) (node_cpu_seconds_total{{{_NODE},mode="idle"}})',
        "Load of 5 minutes by the number of cores: above 1 something waits.",
    ),
    timeseries(
        "CPU by mode",
        "percentunit",
        "Share of the time of all cores, by what they did.",
        (
            prom(
                "sum by (mode) "
                f'(rate(node_cpu_seconds_total{{{_NODE},mode!="idle"}}[$__rate_interval]))'
                f' / scalar(count(node_cpu_seconds_total{{{_NODE},mode="idle"}}))',
                "{{mode}}",
            ),
        ),
        stacked=True,
    ),
    timeseries(
        "Memory",
        "bytes",
        "All of it, and what is available to new processes.",
        (
            prom(f"sum(node_memory_MemTotal_bytes{{{_NODE}}})", "total"),
            prom(f"sum(node_memory_MemAvailable_bytes{{{_NODE}}})", "available"),
        ),
    ),
    timeseries(
        "Network traffic",
        "Bps",
        "Bytes a second over all devices but the loopback.",
        (
            prom(
                f'sum(rate(node_network_receive_bytes_total{{{_NODE},device!="lo"}}[$__rate_interval]))',
                "received",
            ),
            prom(
                f'sum(rate(node_network_transmit_bytes_total{{{_NODE},device!="lo"}}[$__rate_interval]))',
                "sent",
            ),
        ),
    ),
    timeseries(
        "Disk traffic",
        "Bps",
        "Bytes a second over all disks.",
        (
            prom(f"sum(rate(node_disk_read_bytes_total{{{_NODE}}}[$__rate_interval]))", "read"),
            prom(
                f"sum(rate(node_disk_written_bytes_total{{{_NODE}}}[$__rate_interval]))", "written"
            ),
        ),
        width=12,
    ),
    timeseries(
        "Network errors",
        "pps",
        "Packets a second that were received broken or dropped.",
        (
            prom(
                f"sum(rate(node_network_receive_errs_total{{{_NODE}}}[$__rate_interval]))", "broken"
            ),
            prom(
                f"sum(rate(node_network_receive_drop_total{{{_NODE}}}[$__rate_interval]))",
                "dropped",
            ),
        ),
        width=12,
    ),
)

_SERVERS: Final = (
    table(
        "Targets",
        "none",
        "Everything that is scraped: 1 answers, 0 does not.",
        (
            Query(
                'sort(max by (job, instance, service) (up{job=~"$job"}))',
                instant=True,
                shape="table",
            ),
        ),
        width=12,
        height=10,
        texts=STATES,
        thresholds=UP_COLOURS,
        transformations=columns(job="Job", instance="Address", service="Service", Value="State"),
    ),
    timeseries(
        "Time of a scrape",
        "s",
        "How long the slowest targets take to answer.",
        (
            prom(
                'max by (job) (scrape_duration_seconds{job=~"$job"}) and on (job) '
                'topk(10, max by (job) (scrape_duration_seconds{job=~"$job"} @ end()))',
                "{{job}}",
            ),
        ),
        width=12,
        height=10,
    ),
    timeseries(
        "Memory of the servers",
        "bytes",
        "Resident memory of Prometheus, Loki, node_exporter and the collector.",
        (
            prom('sum by (job) (process_resident_memory_bytes{job=~"prometheus|loki"})', "{{job}}"),
            prom("sum by (job) (otelcol_process_memory_rss)", "{{job}}"),
            prom('sum by (job) (otelcol_process_memory_rss_bytes{job="jaeger"})', "{{job}}"),
        ),
        width=12,
    ),
    timeseries(
        "CPU of the servers",
        "percentunit",
        "Cores that each server uses.",
        (
            prom(
                'sum by (job) (rate(process_cpu_seconds_total{job=~"prometheus|loki"}'
                "[$__rate_interval]))",
                "{{job}}",
            ),
            prom("sum by (job) (rate(otelcol_process_cpu_seconds[$__rate_interval]))", "{{job}}"),
            prom(
                'sum by (job) (rate(otelcol_process_cpu_seconds_total{job="jaeger"}'
                "[$__rate_interval]))",
                "{{job}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Series in Prometheus",
        "short",
        "Series in its head: what it keeps in memory.",
        (prom("prometheus_tsdb_head_series", "series"),),
        width=8,
    ),
    timeseries(
        "Lines into Loki",
        "short",
        "Lines a second that its distributor took.",
        (prom("sum(rate(loki_distributor_lines_received_total[$__rate_interval]))", "lines"),),
        width=8,
    ),
    timeseries(
        "Spans into Jaeger",
        "short",
        "Spans a second that its storage took.",
        (
            prom(
                'sum(rate(otelcol_exporter_sent_spans_total{job="jaeger"}[$__rate_interval]))',
                "spans",
            ),
        ),
        width=8,
    ),
)

INFRASTRUCTURE: Final = Board(
    "tapeline-infrastructure",
    "Infrastructure",
    "The machine, what is scraped, and the servers' own processes.",
    "Tapeline",
    (Row("Machine", _HEALTH), Row("Targets and servers", _SERVERS)),
    variables=(
        Variable(
            "node", "Machine (job)", "prometheus", "label_values(node_load1, job)", all_value=None
        ),
        Variable("job", "Job", "prometheus", "label_values(up, job)"),
    ),
    tags=("infrastructure",),
)
