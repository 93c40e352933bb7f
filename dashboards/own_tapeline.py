"""Tapeline itself: the gate, its queues, what it masked, series limits, and the signals."""

from typing import Final

from dashboards.links import logs_link
from dashboards.model import (
    Board,
    Panel,
    Query,
    Row,
    columns,
    gauge,
    heatmap,
    prom,
    stat,
    table,
    timeseries,
)
from dashboards.own_variables import UP_COLOURS

__all__ = ["TAPELINE"]

_RATE: Final = "[$__rate_interval]"


def _rates(
    title: str, metric: str, by: str, about: str, unit: str = "ops", width: int = 8
) -> Panel:
    """Return the rate of a counter by one label."""
    return timeseries(
        title,
        unit,
        about,
        (prom(f"sum by ({by}) (rate({metric}{_RATE}))", f"{{{{{by}}}}}"),),
        width=width,
    )


_GATE: Final = (
    stat(
        "Ready",
        "none",
        "Gate and signals: their chains are built, and downstream answers.",
        (prom("max by (job) (tapeline_ready)", "{{job}}"),),
        width=6,
        height=6,
        texts={"0": ("NOT READY", "red"), "1": ("READY", "green")},
        background=True,
        thresholds=UP_COLOURS,
    ),
    stat(
        "Refused requests",
        "short",
        "Requests that were not answered OK, in the time shown; senders are told why.",
        (
            Query(
                "sum by (job) (increase(tapeline_refused_requests_total[$__range]))",
                "{{job}}",
                instant=True,
            ),
        ),
        width=6,
        height=6,
        thresholds=((None, "green"), (1.0, "orange")),
    ),
    stat(
        "Records lost",
        "short",
        "Records that downstream rejected for good, in the time shown.",
        (
            Query(
                "sum by (job) (increase(tapeline_rejected_records_total[$__range]))",
                "{{job}}",
                instant=True,
            ),
        ),
        width=6,
        height=6,
        thresholds=((None, "green"), (1.0, "red")),
    ),
    stat(
        "Quarantined requests",
        "short",
        "Requests given up after the last attempt, in the time shown.",
        (
            Query(
                "sum by (job) (increase(tapeline_quarantined_requests_total[$__range]))",
                "{{job}}",
                instant=True,
            ),
        ),
        width=6,
        height=6,
        thresholds=((None, "green"), (1.0, "red")),
    ),
    timeseries(
        "Records through the gate",
        "ops",
        "Records that downstream acknowledged, a second.",
        (
            prom(
                f'sum by (signal) (rate(tapeline_forwarded_records_total{{job="gate"}}{_RATE}))',
                "{{signal}}",
            ),
        ),
    ),
    timeseries(
        "Time in the chain, p99",
        "s",
        "Redaction and series limits, framing included.",
        (
            prom(
                "histogram_quantile(0.99, sum by (le, signal) "
                f'(rate(tapeline_chain_duration_seconds_bucket{{job="gate"}}{_RATE})))',
                "{{signal}}",
            ),
        ),
    ),
    timeseries(
        "Time until downstream answered, p99",
        "s",
        "The collector's egress half and the backends' queues.",
        (
            prom(
                "histogram_quantile(0.99, sum by (le, signal) "
                f'(rate(tapeline_forward_duration_seconds_bucket{{job="gate"}}{_RATE})))',
                "{{signal}}",
            ),
        ),
    ),
    heatmap(
        "Time in the chain",
        "s",
        "Requests of all signals, by how long they took.",
        (
            Query(
                'sum by (le) (increase(tapeline_chain_duration_seconds_bucket{job="gate"}'
                f"{_RATE}))",
                "{{le}}",
                shape="heatmap",
            ),
        ),
        width=12,
    ),
    _rates(
        "Refusals by reason",
        "tapeline_refused_requests_total",
        "reason",
        "Requests a second that were not answered OK.",
        width=12,
    ),
)

_QUEUES: Final = (
    timeseries(
        "Queues of the collector",
        "bytes",
        "What waits on disk for the gate, the backends and the signals.",
        (prom("sum by (exporter) (otelcol_exporter_queue_size)", "{{exporter}}"),),
    ),
    timeseries(
        "Queues, how full",
        "percentunit",
        "At 1 a queue takes nothing more, and senders are told.",
        (
            prom(
                "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                "{{exporter}}",
            ),
        ),
        minimum=0,
        thresholds=((None, "green"), (0.5, "orange"), (0.9, "red")),
    ),
    timeseries(
        "Items in and out of the collector",
        "ops",
        "Records of logs, spans and points a second that receivers took, and refused.",
        (
            prom(f"sum(rate(otelcol_receiver_accepted_log_records{_RATE}))", "log records"),
            prom(f"sum(rate(otelcol_receiver_accepted_spans{_RATE}))", "spans"),
            prom(f"sum(rate(otelcol_receiver_accepted_metric_points{_RATE}))", "points"),
            prom(f"sum(rate(otelcol_receiver_refused_metric_points{_RATE}))", "points refused"),
        ),
    ),
    timeseries(
        "Traces kept and dropped",
        "ops",
        "Decisions of the tail sampler a second.",
        (
            prom(
                "sum by (decision) "
                f"(rate(otelcol_processor_tail_sampling_global_count_traces_sampled{_RATE}))",
                "{{decision}}",
            ),
        ),
        width=12,
    ),
    timeseries(
        "Why traces were kept",
        "ops",
        "Traces a second by the policy that kept them.",
        (
            prom(
                "sum by (policy) (rate(otelcol_processor_tail_sampling_count_traces_sampled"
                f'{{sampled="true"}}{_RATE}))',
                "{{policy}}",
            ),
        ),
        width=12,
    ),
)

_REDACTION: Final = (
    _rates(
        "Records that were looked at",
        "tapeline_redaction_records_total",
        "signal",
        "Log records, spans and points a second that redaction read.",
    ),
    _rates(
        "Requests by outcome",
        "tapeline_redaction_requests_total",
        "outcome",
        "Whether requests went on as they came, masked, or written anew.",
    ),
    Panel(
        "timeseries",
        "Secrets by rule",
        "ops",
        "Secrets found a second, by the rule that found them.",
        (prom(f"sum by (rule) (rate(tapeline_redaction_hits_total{_RATE}))", "{{rule}}"),),
        scenario="leaked_credentials",
        links=(logs_link("Lines with masks", '{service_name=~".+"} |= "[REDACTED:"'),),
    ),
    Panel(
        "table",
        "Secrets by rule and place",
        "short",
        "Secrets found in the time shown: which rule, in which field, and what was done.",
        (
            Query(
                "sum by (rule, field_class, signal, action) "
                "(increase(tapeline_redaction_hits_total[$__range]))",
                instant=True,
                shape="table",
            ),
        ),
        width=24,
        scenario="leaked_credentials",
        transformations=columns(
            rule="Rule", field_class="Field", signal="Signal", action="Action", Value="Secrets"
        ),
    ),
)

_CARDINALITY: Final = (
    gauge(
        "Series, of the global limit",
        "percentunit",
        "Admitted series of all metrics by global_limit.",
        (prom("max(tapeline_cardinality_global_limit_ratio)", "used"),),
        width=6,
        minimum=0,
        maximum=1,
        thresholds=((None, "green"), (0.8, "orange"), (1.0, "red")),
    ),
    timeseries(
        "Demand by limit, the worst ten",
        "percentunit",
        "Series that there would be without limits, by the limit: above 1 new ones are folded.",
        (
            prom(
                "max by (metric) (tapeline_cardinality_limit_ratio) and on (metric) "
                "topk(10, max by (metric) (tapeline_cardinality_limit_ratio @ end()))",
                "{{metric}}",
            ),
        ),
        width=9,
    ),
    timeseries(
        "Points by result",
        "ops",
        "Data points a second, by what became of them.",
        (prom(f"sum by (result) (rate(tapeline_cardinality_points_total{_RATE}))", "{{result}}"),),
        width=9,
        logarithmic=True,
    ),
    _rates(
        "New streams that were limited",
        "tapeline_cardinality_limited_streams_total",
        "reason",
        "Streams a second that did not pass as they came.",
        width=8,
    ),
    table(
        "Metrics with most series",
        "short",
        "Admitted series of the ten largest metrics.",
        (
            Query(
                "topk(10, max by (metric) (tapeline_cardinality_admitted_series))",
                instant=True,
                shape="table",
            ),
        ),
        width=8,
        transformations=columns(metric="Metric", Value="Series"),
    ),
    timeseries(
        "Memory of the limits",
        "bytes",
        "What they keep, estimated.",
        (prom("sum(tapeline_cardinality_state_bytes)", "state"),),
        width=8,
    ),
)

_SIGNALS: Final = (
    timeseries(
        "Signals lag",
        "s",
        "The clock less the watermark: how old the newest figures are.",
        (prom("max by (instance) (tapeline_signals_watermark_lag_seconds)", "{{instance}}"),),
        thresholds=((None, "green"), (120.0, "red")),
    ),
    _rates(
        "Events by kind",
        "tapeline_signals_events_total",
        "kind",
        "Orders, executions, quotes and others that were taken, a second.",
    ),
    Panel(
        "timeseries",
        "Events that were not taken",
        "ops",
        "Rejected, late, duplicate and conflicting events a second.",
        (
            prom(f"sum(rate(tapeline_signals_late_events_total{_RATE}))", "late"),
            prom(f"sum(rate(tapeline_signals_duplicate_events_total{_RATE}))", "duplicate"),
            prom(f"sum(rate(tapeline_signals_conflicting_events_total{_RATE}))", "conflicting"),
        ),
    ),
    timeseries(
        "What the signals hold",
        "short",
        "Open orders, positions, executions that may still be revised, and series.",
        (
            prom("sum(tapeline_signals_open_orders)", "open orders"),
            prom("sum(tapeline_signals_positions)", "positions"),
            prom("sum(tapeline_signals_held_executions)", "executions"),
            prom("sum(tapeline_signals_series)", "series"),
            prom("sum(tapeline_signals_waiting_events)", "waiting events"),
        ),
        logarithmic=True,
    ),
    timeseries(
        "State of the signals",
        "bytes",
        "What it takes in its store.",
        (prom("sum(tapeline_signals_state_bytes)", "state"),),
    ),
    stat(
        "Failures of the signals' store",
        "short",
        "What the store refused in the time shown; events wait in the collector's queue.",
        (
            Query(
                "sum(increase(tapeline_signals_store_failures_total[$__range]))",
                "failures",
                instant=True,
            ),
        ),
        thresholds=((None, "green"), (1.0, "red")),
    ),
)

TAPELINE: Final = Board(
    "tapeline-itself",
    "Tapeline Itself",
    "Gate, queues, redaction, series limits and signals: whether telemetry arrives, and masked.",
    "Tapeline",
    (
        Row("Gate", _GATE),
        Row("Collector and queues", _QUEUES),
        Row("Redaction", _REDACTION),
        Row("Series limits", _CARDINALITY),
        Row("Signals", _SIGNALS),
    ),
    tags=("infrastructure",),
    refresh="10s",
)
