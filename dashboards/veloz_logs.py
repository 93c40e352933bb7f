"""VeloZ's logs. The level is what Loki detects in a record: the gateway's lines are no JSON."""

from typing import Final

from dashboards.model import Board, Row, Variable, logs, loki, stat, timeseries

__all__ = ["VELOZ_LOGS_BOARD"]

_GATEWAY: Final = '{service_name=~"veloz-.+"}'
_PICKED: Final = f'{_GATEWAY} | detected_level=~"$level" | component=~"$component"'

_OVERVIEW: Final = (
    timeseries(
        "Log Volume by Level",
        "short",
        "Lines in each step, by level.",
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
    stat(
        "Total Errors",
        "short",
        "Lines of level error in the time shown.",
        (
            loki(
                f'sum(count_over_time({_GATEWAY} | detected_level="error" [$__range]))',
                "errors",
                instant=True,
            ),
        ),
        width=6,
        thresholds=((None, "green"), (1.0, "red")),
        scenario="error_burst",
    ),
    stat(
        "Total Warnings",
        "short",
        "Lines of level warning in the time shown.",
        (
            loki(
                f'sum(count_over_time({_GATEWAY} | detected_level="warn" [$__range]))',
                "warnings",
                instant=True,
            ),
        ),
        width=6,
        thresholds=((None, "green"), (1.0, "orange")),
        scenario="error_burst",
    ),
    timeseries(
        "Logs by Component",
        "short",
        "Lines in each step, by the component that wrote them.",
        (
            loki(
                f'sum by (component) (count_over_time({_GATEWAY} | component!="" [$__interval]))',
                "{{component}}",
            ),
        ),
        width=24,
        stacked=True,
        bars=True,
    ),
)

_LINES: Final = (
    Row(
        "Error Logs",
        (
            logs(
                "Error Logs",
                "none",
                "Lines of level error. The field trace_id opens the trace.",
                (loki(f'{_GATEWAY} | detected_level="error"'),),
                width=24,
                height=9,
                scenario="error_burst",
            ),
        ),
    ),
    Row(
        "Trading Logs",
        (
            logs(
                "Order & Trade Logs",
                "none",
                "Lines of orders and trades.",
                (loki(f'{_GATEWAY} | event_type=~"order.*|trade.*"'),),
                width=24,
                height=9,
            ),
        ),
    ),
    Row(
        "All Logs",
        (
            logs(
                "All VeloZ Logs",
                "none",
                "All lines of VeloZ's services that the variables pick.",
                (loki(_PICKED),),
                width=24,
                height=12,
            ),
        ),
    ),
)

VELOZ_LOGS_BOARD: Final = Board(
    "veloz-logs",
    "VeloZ Logs",
    "What VeloZ's gateway and engine write, by level and component.",
    "VeloZ",
    (Row("Log Overview", _OVERVIEW), *_LINES),
    variables=(
        Variable("level", "Level", "custom", "error, warn, info, debug", all_value=".*"),
        Variable("component", "Component", "custom", "gateway, engine, audit", all_value=".*"),
    ),
    tags=("veloz",),
)
