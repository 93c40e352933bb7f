"""The month's SLO report: figures of what is known, honest about the rest."""

import math
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import fetch
from promtool import promtool
from tapeline import cli
from tapeline.alerting.report import (
    HOUR_S,
    Episode,
    Hour,
    Month,
    MonthError,
    SloMonth,
    Verdict,
    episodes,
)
from tapeline.alerting.report_command import report_command
from tapeline.alerting.report_page import as_page
from tapeline.alerting.report_text import as_markdown, percent
from tapeline.stack.binaries import require
from tapeline.stack.ports import HOST, Ports
from waiting import eventually

LATER_S = 2_000_000_000.0
FEBRUARY = Month.read("2024-02", LATER_S)
STEP_S = 1800
POINTS = 29 * 48
SLOS = """\
slos:
  - {name: gateway-availability, system: veloz, service: gateway, team: infrastructure,
     objective_percent: 99.9, description: Up., indicator: {good_gauge: up}}
  - {name: order-latency, system: veloz, service: engine, team: trading,
     objective_percent: 99, description: Fast | enough., indicator: {good_gauge: up}}
  - {name: never-seen, system: veloz, service: engine, team: trading,
     objective_percent: 99.5, description: New., indicator: {good_gauge: up}}
"""


def _month(hours: Sequence[Hour], objective: float | None = 0.99) -> SloMonth:
    return SloMonth("veloz", "a", "s", "d", objective, FEBRUARY, tuple(hours))


def _hours(*pairs: tuple[float, float]) -> list[Hour]:
    return [
        Hour(FEBRUARY.start_s + number * HOUR_S, events, errors)
        for number, (events, errors) in enumerate(pairs, start=1)
    ]


def test_a_month_is_read_in_utc_as_far_as_it_has_passed() -> None:
    """A leap year's February has 29 days; one that runs ends with its hour."""
    now_s = datetime(2024, 2, 10, 12, 30, tzinfo=UTC).timestamp()

    assert (FEBRUARY.hours, FEBRUARY.is_over, FEBRUARY.name) == (29 * 24, True, "February 2024")
    assert datetime.fromtimestamp(FEBRUARY.start_s, UTC) == datetime(2024, 2, 1, tzinfo=UTC)
    running = Month.read("2024-02", now_s)
    assert (running.hours, running.is_over) == (9 * 24 + 13, False)


@pytest.mark.parametrize(
    "text", ["2024-13", "2024-2", "24-02", "soon", "", "1969-12", "2024-02-01"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    """With the form that is one."""
    with pytest.raises(MonthError, match="not a month"):
        Month.read(text, LATER_S)


def test_a_month_that_has_not_begun_is_refused() -> None:
    """There is nothing to report."""
    with pytest.raises(MonthError, match="2024-02 has not begun"):
        Month.read("2024-02", FEBRUARY.start_s)


def test_hours_without_data_are_neither_good_nor_bad() -> None:
    """The ratio is that of the hours with data, and the part of them is told."""
    slo = _month(_hours((100, 1), (300, 1)))

    assert slo.reached == 1 - 2 / 400
    assert slo.spent == pytest.approx(0.5)
    assert slo.known == 2 / (29 * 24)
    assert (slo.is_whole, slo.verdict) == (False, Verdict.MET)


@pytest.mark.parametrize(
    ("slo", "verdict"),
    [
        (_month([]), Verdict.NO_DATA),
        (_month(_hours((100, 0)), None), Verdict.NO_DATA),
        (_month(_hours((0, 0))), Verdict.NO_EVENTS),
        (_month(_hours((100, 1))), Verdict.MET),
        (_month(_hours((100, 1.001))), Verdict.MISSED),
    ],
)
def test_an_objective_is_met_or_missed_or_unknown(slo: SloMonth, verdict: Verdict) -> None:
    """Exactly at the objective it is met."""
    assert slo.verdict is verdict


@pytest.mark.parametrize("percent_good", range(1, 100))
def test_exactly_at_any_objective_it_is_met(percent_good: int) -> None:
    """Whether or not floats can say 0.07; one bad event more, and it is missed."""
    bad = 100 - percent_good
    objective = percent_good / 100

    met = _month(_hours((100, bad)), objective)
    missed = _month(_hours((100_000, bad * 1000 + 1)), objective)

    assert met.verdict is Verdict.MET
    assert "No day went beyond the budget." in as_markdown(FEBRUARY, [met], "here", "now")
    assert missed.verdict is Verdict.MISSED
    assert "No day went beyond the budget." not in as_markdown(FEBRUARY, [missed], "here", "now")


@pytest.mark.parametrize(
    ("text", "now_s", "days"),
    [
        ("2024-10", LATER_S, ["1", "6", "11", "16", "21", "26", "31"]),
        ("2024-11", LATER_S, ["1", "6", "11", "16", "21", "26"]),
        ("2024-11", datetime(2024, 11, 6, tzinfo=UTC).timestamp(), ["1"]),
        ("2024-11", datetime(2024, 11, 6, 0, 1, tzinfo=UTC).timestamp(), ["1", "6"]),
    ],
)
def test_a_plot_has_the_days_of_its_month(text: str, now_s: float, days: list[str]) -> None:
    """No thirty-first of November, and no day that has not begun."""
    month = Month.read(text, now_s)
    hours = (Hour(month.start_s + HOUR_S, 100, 1),)
    slo = SloMonth("veloz", "a", "s", "d", 0.99, month, hours)

    page = as_page(month, [slo], "here", "now")

    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    shown = [re.findall(r'y="116"[^>]*>(\d+)<', plot) for plot in plots]
    assert shown == [days, days]


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=696))
def test_days_and_budget_add_up_to_the_month(pairs: list[tuple[int, int]]) -> None:
    """The sum of the days is the month, and the last point of the budget is what is left."""
    slo = _month(_hours(*((total, min(bad, total)) for total, bad in pairs)))
    days = slo.days()

    assert math.fsum(day.events for day in days) == slo.events
    assert math.fsum(day.errors for day in days) == slo.errors
    assert sum(day.hours for day in days) == len(pairs)
    assert [day.number for day in days] == list(range(1, (len(pairs) - 1) // 24 + 2))
    if slo.spent is not None:
        assert slo.budget_left()[-1][1] == pytest.approx(1 - slo.spent)


@given(st.sets(st.integers(0, 60)))
def test_episodes_are_runs_without_a_break(steps: set[int]) -> None:
    """Together they last as long as the alert was seen, and none touches the next."""
    found = episodes("critical", [300 * step for step in sorted(steps)], 300)

    assert sum(episode.end_s - episode.begin_s for episode in found) == 300 * len(steps)
    assert all(after.begin_s > before.end_s for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.999, "99.9 %"), (0.998_999_6, "99.899 %"), (1.0, "100 %"), (0.9999, "99.99 %"),
     (0.999_999_9, "99.999 %"), (0.5, "50 %"), (None, "—")],
)  # fmt: skip
def test_a_missed_objective_never_looks_met(ratio: float | None, text: str) -> None:
    """It is cut, not rounded."""
    assert percent(ratio) == text


def test_text_from_outside_is_only_text() -> None:
    """A description can't break a table or a page."""
    slo = SloMonth(
        "veloz", "a|b", "s", "<script>alert(1)</script>", 0.99, FEBRUARY,
        tuple(_hours((100, 2))), (Episode("critical", 0, 600),),
    )  # fmt: skip

    assert "| veloz | a\\|b | 99 % | 98 % | 200.0 % | missed, as far as known |" in as_markdown(
        FEBRUARY, [slo], "here", "now"
    )
    page = as_page(FEBRUARY, [slo], "here", "now")
    assert "<script>" not in page
    assert page.count("<svg") == 2


def _lines(name: str, labels: str, values: Sequence[tuple[float, int]]) -> Iterator[str]:
    yield from (f"{name}{{{labels}}} {value} {at_s}" for value, at_s in values)


def _recorded() -> str:
    """Return a month as the rules record it: one SLO whole, one for ten days, one of no file."""
    times = [FEBRUARY.start_s + number * STEP_S for number in range(1, POINTS + 1)]
    whole = 'slo="gateway-availability",system="veloz",service="gateway"'
    part = 'slo="order-latency",system="veloz",service="engine"'
    old = 'slo="old",system="b25",service="x"'
    fifth_day = range(4 * 48, 5 * 48)
    bad = [(2 if at in fifth_day else 0, time_s) for at, time_s in enumerate(times)]
    ten_days = times[: 10 * 48]
    begin = FEBRUARY.start_s + 86_400
    fired = [begin, begin + 300, begin + 7200, begin + 7500, begin + 7800]
    fired.append(FEBRUARY.end_s)  # That is March
    alert = 'alertname="VelozOrderLatencyBudgetBurn",alertstate="firing",severity="critical"'
    lines = ["# TYPE ALERTS gauge"]
    lines += _lines(
        "ALERTS", f'{alert},slo="order-latency",system="veloz"', [(1, t) for t in fired]
    )
    lines += ["# TYPE slo:errors:increase5m gauge"]
    lines += _lines("slo:errors:increase5m", whole, bad)
    lines += _lines("slo:errors:increase5m", part, [(3, at_s) for at_s in ten_days])
    lines += _lines("slo:errors:increase5m", old, [(0, at_s) for at_s in times[:2]])
    lines += ["# TYPE slo:events:increase5m gauge"]
    lines += _lines("slo:events:increase5m", whole, [(100, at_s) for at_s in times])
    lines += _lines("slo:events:increase5m", part, [(100, at_s) for at_s in ten_days])
    lines += _lines("slo:events:increase5m", old, [(0, at_s) for at_s in times[:2]])
    lines += ["# TYPE slo:objective:ratio gauge"]
    lines += _lines("slo:objective:ratio", whole, [(0.999, at_s) for at_s in times])
    lines += _lines("slo:objective:ratio", part, [(0.99, at_s) for at_s in ten_days])
    lines += _lines("slo:objective:ratio", old, [(0.9, at_s) for at_s in times[:2]])
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(name="prometheus", scope="module")
def _prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Prometheus on a month that was made up."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "month.txt").write_text(_recorded(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n", encoding="utf-8")
    promtool(
        "tsdb", "create-blocks-from", "--max-block-duration=30d", "openmetrics",
        folder / "month.txt", folder / "data",
    )  # fmt: skip
    port = Ports.free().prometheus
    command = [
        str(require("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=50y",
        f"--web.listen-address={HOST}:{port}",
        "--log.level=error",
    ]
    url = f"http://{HOST}:{port}"
    with subprocess.Popen(command) as process:
        try:
            eventually(lambda: fetch(f"{url}/-/ready"))
            yield url
        finally:
            process.terminate()


@pytest.fixture(name="slos")
def _slos(tmp_path: Path) -> Path:
    folder = tmp_path / "slo"
    folder.mkdir()
    (folder / "veloz.yaml").write_text(SLOS, encoding="utf-8")
    return folder


@pytest.mark.stack
def test_the_report_tells_what_prometheus_recorded(
    prometheus: str, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Met, missed as far as known, without events, without data: each SLO has its row."""
    output = tmp_path / "slo.md"
    options = ["--month=2024-02", f"--prometheus={prometheus}", f"--slos={slos}"]

    assert cli.main(["report", "slo", *options, f"--output={output}"]) == 0

    told = capsys.readouterr().out
    assert told == f"{output}: February 2024, 4 SLOs: 1 met, 1 missed, 1 no events, 1 no data\n"
    text = output.read_text(encoding="utf-8")
    missed = (
        "| veloz | order-latency | 99 % | 97 % | 300.0 % | missed, as far as known |"
        " 2 pages (25 min) | 240 of 696 h |"
    )
    rows = [line for line in text.splitlines() if re.match(r"\| (?:veloz|b25) \|", line)]
    assert rows == [
        "| b25 | old | 90 % | — | — | no events | none | 1 of 696 h |",
        "| veloz | gateway-availability | 99.9 % | 99.931 % | 69.0 % | met | none | 696 of 696 h |",
        "| veloz | never-seen | 99.5 % | — | — | no data | none | 0 of 696 h |",
        missed,
    ]
    assert "It covers February 2024, all of it (UTC)." in text
    assert "| 5 | 4 800 | 96 | 98 % | 24 h |" in text
    assert text.count("There is no data: nothing is known of this month.") == 1


@pytest.mark.stack
def test_the_page_has_a_plot_of_each_slo_that_has_events(
    prometheus: str, slos: Path, tmp_path: Path
) -> None:
    """Two each, and needs nothing from elsewhere."""
    output = tmp_path / "slo.html"
    options = ["--month=2024-02", f"--prometheus={prometheus}", f"--slos={slos}"]

    assert cli.main(["report", "slo", *options, f"--output={output}"]) == 0

    page = output.read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "missed, as far as known" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "nan" not in page.lower()


def test_wrong_usage_is_refused(
    slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and what would be right; nothing is written."""
    now = datetime(2024, 3, 1, tzinfo=UTC)
    nowhere = f"http://{HOST}:{Ports.free().prometheus}"
    file = tmp_path / "a.md"

    assert report_command("2024-02", nowhere, tmp_path / "a.pdf", slos, now) == 2
    assert report_command("February", nowhere, file, slos, now) == 2
    assert report_command("2025-01", nowhere, file, slos, now) == 2
    assert report_command("2024-02", nowhere, file, slos, now) == 1
    assert report_command("2024-02", f"{nowhere}/a b", file, slos, now) == 1
    command = ["report", "slo", f"--output={file}", f"--slos={tmp_path / 'misspelt'}"]
    assert cli.main(command) == 2
    (slos / "b25.yaml").write_text("slos: 1", encoding="utf-8")
    assert report_command("2024-02", nowhere, file, slos, now) == 2

    told = capsys.readouterr().err
    for part in (
        ".md or .html",
        "misspelt is no folder",
        "write it as 2026-11",
        "has not begun",
        "--prometheus",
        "b25.yaml:1",
    ):
        assert part in told
    assert not file.exists()
