"""The page that draws a dashboard without Grafana, in a real browser."""

import json
from pathlib import Path

import pytest
from dashboards.build import board_json
from dashboards.model import Board, Query, Row, heatmap, piechart, prom, stat, table, timeseries
from dashboards.preview import page
from dashboards.queries import Span
from dashboards.servers import Servers

from backfilled import Backfilled
from browser import browsing

pytestmark = pytest.mark.stack

_DEAD_URL = "http://127.0.0.1:9"
_RATE = "sum by (symbol) (rate(orders_total[$__rate_interval]))"
_BUCKETS = "sum by (le) (increase(latency_seconds_bucket[$__rate_interval]))"


def test_each_kind_is_drawn(backfilled: Backfilled, tmp_path: Path) -> None:
    """Lines, numbers, shares, rows and cells, from real answers and without an error."""
    panels = (
        timeseries("Lines", "ops", "L.", (prom(_RATE, "{{symbol}}"),)),
        stat("Numbers", "ops", "N.", (prom(_RATE, "{{symbol}}"),)),
        piechart("Shares", "ops", "S.", (Query(_RATE, "{{symbol}}", instant=True),)),
        table("Rows", "ops", "R.", (Query(_RATE, instant=True, shape="table"),)),
        heatmap("Cells", "s", "C.", (Query(_BUCKETS, "{{le}}", shape="heatmap"),)),
        stat("Nothing", "none", "N.", (prom("nothing_here", "nothing"),)),
    )
    board = Board("preview", "Preview", "A dashboard of the test.", "T", (Row("R", panels),))
    span = Span(backfilled.end_ms - 900_000, backfilled.end_ms)
    file = tmp_path / "preview.html"

    with Servers(backfilled.url, _DEAD_URL, _DEAD_URL) as servers:
        file.write_text(page(json.loads(board_json(board)), servers, span, {}), encoding="utf-8")
    with browsing() as browser:
        browser.open(file.as_uri())
        browser.until("document.body.dataset.drawn === 'yes'")
        keys = browser.value("[...document.querySelectorAll('.key')].map((e) => e.textContent)")
        tiles = browser.value("[...document.querySelectorAll('.tile')].map((e) => e.textContent)")
        shares = browser.value("document.querySelectorAll('.share').length")
        cells = browser.value("[...document.querySelectorAll('td')].map((e) => e.textContent)")
        canvases = browser.value("document.querySelectorAll('canvas').length")
        troubles = browser.value(
            "[...document.querySelectorAll('.trouble')].map((e) => e.textContent)"
        )
        assert browser.troubles == []

    assert keys == ["BTC  0.4/s", "ETH  0.4/s"]
    assert tiles == ["0.4/sBTC", "0.4/sETH"]
    assert shares == 2
    assert cells == ["BTC", "0.4/s", "ETH", "0.4/s"]
    assert canvases == 2
    assert troubles == ["no data"]
