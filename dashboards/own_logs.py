"""Logs of every service, and how they lead to traces."""

from typing import Final

from dashboards.links import logs_link
from dashboards.model import (
    Board,
    Row,
    Search,
    Trace,
    Variable,
    logs,
    loki,
    piechart,
    stat,
    table,
    timeseries,
    traces,
)

__all__ = ["LOGS"]

_PICKED: Final = '{service_name=~"$service"} | detected_level=~"$level" |~ "(?i)$search"'

_VOLUME: Final = (
    timeseries(
        "Lines by level",
        "short",
        "Lines in each step, by the level that they carry.",
        (
            loki(
                f"sum by (detected_level) (count_over_time({_PICKED} [$__interval]))",
                "{{detected_level}}",
            ),
        ),
        width=12,
        stacked=True,
        bars=True,
    ),
    timeseries(
        "Lines by service",
        "short",
        "Lines in each step, by the service that wrote them.",
        (
            loki(
                f"sum by (service_name) (count_over_time({_PICKED} [$__interval]))",
                "{{service_name}}",
            ),
        ),
        width=12,
        stacked=True,
        bars=True,
        links=(
            logs_link("Lines of this service", '{service_name="${__field.labels.service_name}"}'),
        ),
    ),
    stat(
        "Lines",
        "short",
        "Lines in the time shown.",
        (loki(f"sum(count_over_time({_PICKED} [$__range]))", "lines", instant=True),),
        width=4,
        height=6,
    ),
    stat(
        "Lines with a trace",
        "short",
        "Lines in the time shown that name a trace: each leads to it.",
        (
            loki(
                f'sum(count_over_time({_PICKED} | trace_id!="" [$__range]))',
                "lines",
                instant=True,
            ),
        ),
        width=4,
        height=6,
    ),
    piechart(
        "Bytes by service",
        "bytes",
        "Who fills the store, in the time shown.",
        (
            loki(
                f"topk(10, sum by (service_name) (bytes_over_time({_PICKED} [$__range])))",
                "{{service_name}}",
                instant=True,
            ),
        ),
        width=8,
        height=6,
    ),
    stat(
        "Secrets that were masked",
        "short",
        "Lines in the time shown in which the gate masked a secret.",
        (
            loki(
                'sum(count_over_time({service_name=~"$service"} |= "[REDACTED" [$__range]))',
                "lines",
                instant=True,
            ),
        ),
        width=8,
        height=6,
        scenario="leaked_credentials",
    ),
)

_LINES: Final = (
    logs(
        "Log Search",
        "none",
        "Lines that the variables pick. The field trace_id of a line opens its trace.",
        (loki(_PICKED),),
        width=24,
        height=12,
    ),
    logs(
        "Errors",
        "none",
        "Lines of level error and above.",
        (loki('{service_name=~"$service"} | detected_level=~"error|critical|fatal"'),),
        width=24,
        height=10,
        scenario="error_burst",
    ),
)

_TRACES: Final = (
    table(
        "Trace Explorer",
        "none",
        "The newest traces of a service. A row opens its trace, and each span there its logs.",
        (Search("$traced"),),
        width=12,
        height=10,
    ),
    table(
        "Error Analysis",
        "none",
        "The newest traces with an error.",
        (Search("$traced", tags="error=true"),),
        width=12,
        height=10,
        scenario="error_burst",
    ),
    traces(
        "Trace",
        "none",
        "The trace whose id stands in the variable: paste one, or come by a link.",
        (Trace("$trace_id"),),
        width=24,
        height=12,
    ),
    logs(
        "Logs of the trace",
        "none",
        "Every line of every service that names this trace.",
        (loki('{service_name=~".+"} | trace_id="$trace_id"'),),
        width=24,
        height=8,
    ),
)

LOGS: Final = Board(
    "tapeline-logs",
    "Logs and Traces",
    "Search in logs of every service, traces beside them, and one trace with all its lines.",
    "Tapeline",
    (Row("Volume", _VOLUME), Row("Lines", _LINES), Row("Traces", _TRACES)),
    variables=(
        Variable("service", "Service", "loki", "service_name"),
        Variable("level", "Level", "custom", "error, warn, info, debug", all_value=".*"),
        Variable("search", "Search (regex)", "textbox", "", multi=False, current=""),
        Variable(
            "traced",
            "Traces of",
            "custom",
            "veloz-gateway, veloz-engine, ktrdr-api, ktrdr-ib-host-service, "
            "ktrdr-training-host-service, b25-order-execution",
            multi=False,
            all_value=None,
        ),
        Variable(
            "trace_id",
            "Trace id",
            "textbox",
            "",
            multi=False,
            current="",
            sample='{service_name=~".+"} | trace_id!=""',
        ),
    ),
    tags=("logs",),
)
