"""The check of dashboards, against a real Prometheus with known data: what is planted fails."""

import dataclasses
import json
import math

import httpx
import pytest
from dashboards.asking import ask
from dashboards.build import board_json
from dashboards.check import Checked, check, main
from dashboards.model import (
    Board,
    Link,
    Override,
    Panel,
    Query,
    Row,
    Transformation,
    Variable,
    heatmap,
    prom,
    table,
    timeseries,
)
from dashboards.queries import Span, Value
from dashboards.servers import Servers

from backfilled import Backfilled

pytestmark = pytest.mark.stack

_DEAD_URL = "http://127.0.0.1:9"


def _run(backfilled: Backfilled, *panels: Panel, scenario: str = "steady") -> Checked:
    """Check a dashboard of these panels."""
    board = Board(
        "planted",
        "Planted",
        "A dashboard of the test.",
        "Tests",
        (Row("Row", panels),),
        variables=(
            Variable("symbol", "Symbol", "prometheus", "label_values(orders_total, symbol)"),
        ),
    )
    with Servers(backfilled.url, _DEAD_URL, _DEAD_URL) as servers:
        return check(
            [json.loads(board_json(board))],
            servers,
            end_ms=backfilled.end_ms,
            scenario=scenario,
            boards=[board],
        )


def _problems(checked: Checked) -> list[str]:
    return sorted({each.problem for each in checked.failures})


def _line(expression: str, legend: str = "line", **more: object) -> Panel:
    panel = timeseries("Line", "ops", "A line.", (prom(expression, legend),))
    return dataclasses.replace(panel, **more)  # type: ignore[arg-type]


RATE = 'sum by (symbol) (rate(orders_total{symbol=~"$symbol"}[$__rate_interval]))'
FAST = (
    'sum(rate(latency_seconds_bucket{le="0.1"}[$__rate_interval]))'
    " / sum(rate(latency_seconds_count[$__rate_interval]))"
)


def test_panels_with_data_pass(backfilled: Backfilled) -> None:
    """Lines, ratios, heatmaps and tables, at 15 minutes and 6 hours."""
    checked = _run(
        backfilled,
        _line(RATE, "{{symbol}}", overrides=(Override("byName", "BTC", {"unit": "s"}),)),
        _line(FAST, "fast"),
        heatmap(
            "Heat",
            "s",
            "Buckets.",
            (
                Query(
                    "sum by (le) (increase(latency_seconds_bucket[$__rate_interval]))",
                    "{{le}}",
                    shape="heatmap",
                ),
            ),
        ),
        table(
            "Table",
            "short",
            "A table.",
            (Query("sum by (symbol) (orders_total)", instant=True, shape="table"),),
            transformations=(
                Transformation(
                    "organize",
                    {"excludeByName": {"Time": True}, "renameByName": {"symbol": "Symbol"}},
                ),
            ),
            overrides=(Override("byName", "Symbol", {"unit": "none"}),),
        ),
    )

    assert checked.failures == []
    assert checked.queries == 8


@pytest.mark.parametrize(
    ("panel", "expected"),
    [
        pytest.param(
            _line(RATE.replace("orders_total", "order_total")), "query A: no series", id="metric"
        ),
        pytest.param(_line(FAST.replace("0.1", "0.2")), "query A: no series", id="le"),
        pytest.param(
            _line(RATE.replace("symbol=~", "ticker=~")), "query A: no series", id="matcher"
        ),
        pytest.param(_line(RATE, "{{ticker}}"), "query A: the legend names 'ticker'", id="legend"),
        pytest.param(_line("none"), "query A: no number: all are NaN", id="nan"),
        pytest.param(_line("many"), "query A: 60 series, 50 at most", id="too many"),
        pytest.param(_line("sum(rate(orders_total[$__rate])"), "no variable '__rate'", id="name"),
        pytest.param(_line("sum("), "query A: ", id="syntax"),
        pytest.param(
            _line(RATE, "{{symbol}}", overrides=(Override("byName", "XRP", {"unit": "s"}),)),
            "an override names the field 'XRP'",
            id="override",
        ),
        pytest.param(
            _line(RATE, "{{symbol}}", overrides=(Override("byRegexp", "^X", {"unit": "s"}),)),
            "an override's pattern '^X' matches none",
            id="pattern",
        ),
        pytest.param(
            dataclasses.replace(
                table("T", "short", "T.", (Query("up or vector(1)", instant=True, shape="table"),)),
                transformations=(Transformation("organize", {"renameByName": {"ticker": "T"}}),),
            ),
            "organize names the field 'ticker'",
            id="transformation",
        ),
        pytest.param(
            heatmap("H", "s", "H.", (Query("sum(orders_total)", "x", shape="heatmap"),)),
            "a heatmap needs the label le",
            id="heatmap",
        ),
        pytest.param(
            _line(RATE, "{{symbol}}", links=(Link("x", "/d/nowhere"),)),
            "a link leads to the dashboard 'nowhere'",
            id="board link",
        ),
        pytest.param(
            _line(RATE, "{{symbol}}", links=(Link("x", "/somewhere/else"),)),
            "nobody knows how to follow",
            id="other link",
        ),
        pytest.param(
            timeseries("E", "s", "E.", (prom(RATE, "{{symbol}}", exemplar=True),)),
            "it shows exemplars, and there are none",
            id="exemplars",
        ),
    ],
)
def test_what_is_planted_fails(backfilled: Backfilled, panel: Panel, expected: str) -> None:
    """A wrong metric, bucket or label, and whatever else would leave a panel empty or wrong."""
    found = _problems(_run(backfilled, panel))

    assert len(found) == 1
    assert expected in found[0]


def test_a_link_to_logs_is_followed(backfilled: Backfilled) -> None:
    """Where nobody answers, it leads nowhere."""
    url = (
        '/explore?panes={"a":{"queries":[{"datasource":{"type":"loki"},'
        '"expr":"{service_name=%5C"${__field.labels.symbol}%5C"}"}]}}'
    )

    found = _problems(_run(backfilled, _line(RATE, "{{symbol}}", links=(Link("x", url),))))

    assert len(found) == 1
    assert "leads nowhere" in found[0]
    assert "loki/api/v1/query_range" in found[0]


def test_a_panel_of_a_scenario_may_be_empty_in_another(backfilled: Backfilled) -> None:
    """In its own it must have data, and nothing else is asked then."""
    empty = _line("nothing_here", scenario="error_burst")
    broken = dataclasses.replace(_line("sum("), title="Broken")

    assert _problems(_run(backfilled, empty)) == []
    assert _problems(_run(backfilled, empty, broken, scenario="error_burst")) == [
        "query A: no series"
    ]


def test_an_empty_variable_fails_its_dashboard(backfilled: Backfilled) -> None:
    """Each of its queries would find nothing."""
    board = Board(
        "planted",
        "Planted",
        "A dashboard of the test.",
        "Tests",
        (Row("Row", (_line(RATE, "{{symbol}}"),)),),
        variables=(Variable("symbol", "S", "prometheus", "label_values(orders_total, ticker)"),),
    )
    with Servers(backfilled.url, _DEAD_URL, _DEAD_URL) as servers:
        checked = check(
            [json.loads(board_json(board))], servers, end_ms=backfilled.end_ms, boards=[board]
        )

    assert _problems(checked) == ["the variable 'symbol' has no value"]


def test_numbers_are_those_of_the_data(backfilled: Backfilled) -> None:
    """Two a step of 5 s are 0.4 a second: the queries reach the data that they should."""
    with Servers(backfilled.url, _DEAD_URL, _DEAD_URL) as servers:
        target = json.loads(
            board_json(Board("b", "B", "B.", "T", (Row("R", (_line(RATE, "{{symbol}}"),)),)))
        )["panels"][1]["targets"][0]
        span = Span(backfilled.end_ms - 900_000, backfilled.end_ms)
        asked = ask(target, servers, span, {"symbol": Value(("BTC",), multi=True)})

    assert 'symbol=~"BTC"' in asked.text
    assert "[20s]" in asked.text
    assert [series.labels for series in asked.answer.series] == [{"symbol": "BTC"}]
    # A rate at a series' beginning is an extrapolation.
    settled = asked.answer.series[0].numbers[20:]
    assert settled
    assert all(math.isclose(number, 0.4, rel_tol=1e-9) for number in settled)


def test_a_run_that_asks_nothing_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt dashboard or scenario has no failures, either."""
    servers = [f"--{name}={_DEAD_URL}" for name in ("prometheus", "loki", "jaeger")]

    with pytest.raises(SystemExit) as caught:
        main([*servers, "--board=no-such-board"])
    assert caught.value.code == 2
    assert main([*servers, "--scenario=no_such_scenario"]) == 2
    assert "no panel names the scenario 'no_such_scenario'" in capsys.readouterr().err


def test_traces_of_lines_come_newest_first() -> None:
    """Whichever stream a line is of."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["end"] == str(70_000 * 1_000_000)
        streams = [
            {"stream": {"trace_id": "old"}, "values": [["9", "x"], ["1", "y"]]},
            {"stream": {"trace_id": "new"}, "values": [["10", "z"]]},
            {"stream": {}, "values": [["11", "without"]]},
        ]
        return httpx.Response(200, json={"data": {"result": streams}})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        servers = Servers(_DEAD_URL, _DEAD_URL, _DEAD_URL, client)

        assert servers.trace_ids_of_lines("{}", Span(0, 100_000)) == ("new", "old")
