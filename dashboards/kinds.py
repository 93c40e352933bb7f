"""What each kind of panel looks like: the options of Grafana's plugins, by the SDK's builders."""

from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    gauge,
    heatmap,
    logs,
    piechart,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import piechart as piechart_model

from dashboards.model import Kind, Panel, Query

__all__ = ["drawn"]


def drawn(panel: Panel) -> model.Panel:
    """Return the SDK's panel with the options of its kind; what all kinds share is added later."""
    return _KINDS[panel.kind](panel)


def _stat(panel: Panel) -> model.Panel:
    colour = common_model.BigValueColorMode
    graph = common_model.BigValueGraphMode
    return (
        stat.Panel()
        .color_mode(colour.BACKGROUND if panel.background else colour.VALUE)
        .graph_mode(graph.NONE if panel.background else graph.AREA)
        .reduce_options(common.ReduceDataOptions().calcs([panel.reduction]))
        .build()
    )


def _timeseries(panel: Panel) -> model.Panel:
    style = common_model.GraphDrawStyle
    stacking = common_model.StackingMode
    built = (
        timeseries.Panel()
        .draw_style(style.BARS if panel.bars else style.LINE)
        .fill_opacity(40 if panel.stacked or panel.bars else 8)
        .line_width(1)
        .show_points(common_model.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(stacking.NORMAL if panel.stacked else stacking.NONE))
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if panel.thresholds:
        built = built.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        )
    if panel.logarithmic:
        built = built.scale_distribution(
            common.ScaleDistributionConfig().type(common_model.ScaleDistribution.LOG)
        )
    return built.build()


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.TABLE)
        .placement(common_model.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .show_legend(show_legend=True)
    )


def _gauge(panel: Panel) -> model.Panel:
    return (
        gauge.Panel()
        .show_threshold_labels(show_threshold_labels=False)
        .show_threshold_markers(show_threshold_markers=True)
        .reduce_options(common.ReduceDataOptions().calcs([panel.reduction]))
        .build()
    )


def _table(panel: Panel) -> model.Panel:
    del panel
    return table.Panel().show_header(show_header=True).filterable(filterable=True).build()


def _heatmap(panel: Panel) -> model.Panel:
    # Rows are either buckets, whose bounds have the unit, or series, whose cells have it.
    of_buckets = all(isinstance(q, Query) and q.shape == "heatmap" for q in panel.queries)
    built = (
        heatmap.Panel()
        .calculate(calculate=False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
        )
        .cell_gap(1)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit if of_buckets else "none"))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .exemplars_color("rgba(255,0,255,0.7)")
        .show_legend()
    )
    if not of_buckets:
        built = built.cell_values(heatmap.CellValues().unit(panel.unit))
    return built.build()


def _logs(panel: Panel) -> model.Panel:
    del panel
    return (
        logs.Panel()
        .show_time(show_time=True)
        .wrap_log_message(wrap_log_message=True)
        .enable_log_details(enable_log_details=True)
        .sort_order(common_model.LogsSortOrder.DESCENDING)
        .build()
    )


def _piechart(panel: Panel) -> model.Panel:
    return (
        piechart.Panel()
        .pie_type(piechart_model.PieChartType.DONUT)
        .display_labels([piechart_model.PieChartLabels.PERCENT])
        .reduce_options(common.ReduceDataOptions().calcs([panel.reduction]))
        .legend(
            piechart.PieChartLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.RIGHT)
            .values(
                [
                    piechart_model.PieChartLegendValues.VALUE,
                    piechart_model.PieChartLegendValues.PERCENT,
                ]
            )
            .show_legend(show_legend=True)
        )
        .build()
    )


def _barchart(panel: Panel) -> model.Panel:
    stacking = common_model.StackingMode
    built = (
        barchart.Panel()
        .stacking(stacking.NORMAL if panel.stacked else stacking.NONE)
        .x_tick_label_spacing(100)
        .legend(_legend())
    )
    if panel.x_field is not None:
        built = built.x_field(panel.x_field)
    return built.build()


def _traces(panel: Panel) -> model.Panel:
    del panel
    # The SDK has no builder for the plugin, which has no options either.
    return model.Panel(type_val="traces", options={})


_KINDS: Final[Mapping[Kind, Callable[[Panel], model.Panel]]] = {
    "stat": _stat,
    "timeseries": _timeseries,
    "gauge": _gauge,
    "table": _table,
    "heatmap": _heatmap,
    "logs": _logs,
    "piechart": _piechart,
    "barchart": _barchart,
    "traces": _traces,
}
