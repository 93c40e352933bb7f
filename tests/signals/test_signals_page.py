"""The page `/signals`: what it tells, that text from outside stays text, and how it looks."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import Browser, browsing
from execution_events import bust, trade
from served_page import serving_page
from signal_events import SETTINGS, random_events
from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash, Quote, Trace
from tapeline.signals.instruments import Account, Instrument, Instruments
from tapeline.signals.page import body
from tapeline.signals.page_files import PAGE, UPLOT
from tapeline.signals.report import MAX_POSITIONS, Report, prepare_report
from tapeline.signals.report_merge import merge_reports

SECOND_NS = 1_000_000_000
PERIOD_NS = 60 * SECOND_NS
ATTACK = "</td><script>document.title='owned'</script><img src=x onerror=alert(1)>"
TRACE = Trace(bytes(range(16)), b"s" * 8)
TRACE_URL = "http://127.0.0.1:16686/trace/{trace_id}"
DESK = EngineSettings(
    instruments=Instruments({"X": Instrument(quote_currency="USD")}),
    accounts={"a": Account("USD", Decimal(1000))},
    risk_period_ns=PERIOD_NS,
    max_lateness_ns=0,
    horizons_ns=(SECOND_NS, 10 * SECOND_NS),
)


def at(second: float) -> int:
    """Return a time of an afternoon."""
    return 1_763_000_040 * SECOND_NS + round(second * SECOND_NS)


def quote(second: float, mid: int | str) -> Quote:
    """Return a quote without a spread."""
    return Quote(at(second), "", "X", Decimal(mid), Decimal(mid))


def traded() -> Engine:
    """Return an engine whose figures are easily told: see the tests."""
    engine = Engine(DESK)
    engine.apply([quote(0, 100), trade(at(1), 10, 101, "dear", trace=TRACE)], at(1))
    engine.apply([quote(2, 104), trade(at(3), -4, 103, "cheap"), quote(11, 99)], at(14))
    engine.apply([quote(70, 110)], at(80))
    return engine


def report_of(engine: Engine, trace_url: str | None = TRACE_URL) -> Report:
    """Return a report as it comes from a worker."""
    report: Report = json.loads(json.dumps(prepare_report(engine, trace_url=trace_url)()))
    return report


def page_of(*engines: Engine) -> str:
    """Return the page of several workers."""
    return body(merge_reports([report_of(engine) for engine in engines]))


class Seen(HTMLParser):
    """What a parser finds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.charts: dict[str, Any] = {}
        self.cells: list[str] = []
        self._depth = 0
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if "data-chart" in found:
            chart = json.loads(found["data-chart"] or "")
            self.charts[chart["key"]] = chart
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data


def test_it_tells_what_a_desk_wants_to_know() -> None:
    """Bought 10 at 101 when the mid was 100, sold 4 at 103 when it was 104; now it is 110."""
    merged = merge_reports([report_of(traded())])
    seen = Seen(body(merged))

    (position,) = merged["positions"]
    assert (position["quantity"], position["average_price"]) == ("6", "101")
    assert (position["realized"], position["unrealized"]) == ("8", "54")
    (account,) = merged["accounts"]
    assert (account["equity"], account["net_pnl"], account["gross"]) == ("1062", "62", "660")
    # 10 + 4 beside quotes of 100 and 104: 1e4 · 14/(1000 + 416) bps.
    (slippage,) = merged["slippage"]
    assert (slippage["cost"], slippage["notional"]) == ("14", "1416")
    assert Decimal(slippage["average_bps"]).quantize(Decimal("0.01")) == Decimal("98.87")
    # One second later 104 - 101 up, 103 - 104 down; ten seconds later 99 - 101 down, 103 - 99 up.
    first = (Decimal(10_000) * 3 / 101 - Decimal(10_000) / 103) / 2
    later = (Decimal(-20_000) / 101 + Decimal(40_000) / 103) / 2
    means = [Decimal(row["mean_bps"]) for row in merged["markout_all"]]
    assert [row["count"] for row in merged["markout_all"]] == [2, 2]
    assert [mean.quantize(Decimal("1e-9")) for mean in means] == [
        each.quantize(Decimal("1e-9")) for each in (first, later)
    ]
    for shown in ("1,062.00", "98.87", "1,416.00", "dear", "cheap"):
        assert shown in seen.cells


def test_curves_have_period_ends_and_now() -> None:
    """The first minute ended while the mid was 99; markouts have their horizons as labels."""
    seen = Seen(page_of(traded()))

    curve = seen.charts["equity a"]
    assert curve["x"] == [at(60) / SECOND_NS, at(80) / SECOND_NS]
    assert curve["series"][0]["y"] == [996.0, 1062.0]
    markout = seen.charts["markout"]
    assert markout["labels"] == ["1s", "10s"]
    assert [one["label"] for one in markout["series"]] == ["all"]
    engine = traded()
    engine.apply([trade(at(81), 1, 110, "other", venue="w"), quote(83, 111)], at(120))
    labels = [one["label"] for one in Seen(page_of(engine)).charts["markout"]["series"]]
    assert labels == ["all", "v", "w"]


def test_the_worst_executions_lead_to_their_traces() -> None:
    """Where a trace is known, and an address is configured; else there is the id alone."""
    merged = merge_reports([report_of(traded())])
    (worst,) = merged["worst"]
    assert [(row["id"], row["cost"]) for row in worst["executions"]] == [
        ("dear", "10"),
        ("cheap", "4"),
    ]
    assert Seen(body(merged)).links == [f"http://127.0.0.1:16686/trace/{TRACE.trace_id.hex()}"]

    plain = Seen(body(merge_reports([report_of(traded(), None)])))
    assert plain.links == []
    assert TRACE.trace_id.hex() in plain.cells


def test_a_bust_leaves_the_page() -> None:
    """What does not count costs nothing, and slippage forgets it."""
    engine = traded()
    engine.apply([bust(at(81), "b1", "dear")], at(90))
    merged = merge_reports([report_of(engine)])

    assert [row["id"] for row in merged["worst"][0]["executions"]] == ["cheap"]
    (slippage,) = merged["slippage"]
    assert Decimal(slippage["average_bps"]).quantize(Decimal("0.01")) == Decimal("96.15")
    assert "416.00" in Seen(body(merged)).cells


@pytest.mark.parametrize("seed", range(4))
def test_workers_add_up(seed: int) -> None:
    """Sums of slippage and markouts are those of one engine; accounts stand side by side."""
    events = random_events(Random(seed), 150)  # noqa: S311 - reproducible, not secret
    whole, *parts = Engine(SETTINGS), Engine(SETTINGS), Engine(SETTINGS)
    for event in sorted(events, key=lambda one: one.order_key):
        account = getattr(event, "account", None)
        for engine in (whole, *parts):
            if engine is whole or account is None or account == "ab"[parts.index(engine)]:
                engine.apply([event], event.time_ns)
    for engine in (whole, *parts):
        engine.advance(5_000)
    one = merge_reports([report_of(whole)])
    several = merge_reports([report_of(part) for part in parts])
    again = merge_reports([merge_reports([report_of(part)]) for part in parts])

    assert several == again
    assert several == one
    assert several["split_accounts"] == []


def test_an_account_in_two_workers_is_named() -> None:
    """Neither part is shown as the whole without a word."""
    assert merge_reports([report_of(traded()), report_of(traded())])["split_accounts"] == ["a"]
    assert "none the whole: a" in Seen(page_of(traded(), traded())).text


def test_rows_are_limited_and_the_rest_counted() -> None:
    """Open positions before flat ones, the largest first, over all workers."""
    engine = Engine(replace(DESK, instruments=Instruments({})))
    for number in range(MAX_POSITIONS + 30):
        engine.apply([trade(number + 1, 1 + number % 7, 5, instrument=f"I{number}")], number + 1)
    report = report_of(engine)
    merged = merge_reports([report, report])

    assert (len(report["positions"]), report["positions_left_out"]) == (MAX_POSITIONS, 30)
    sizes = [Decimal(row["value"]) for row in merged["positions"]]
    assert (len(sizes), merged["positions_left_out"]) == (MAX_POSITIONS, MAX_POSITIONS + 60)
    assert sizes == sorted(sizes, reverse=True)
    assert "And 260 more positions" in Seen(body(merged)).text


def test_an_unknown_figure_is_not_zero() -> None:
    """A rate is missing: a dash stands there, with the reason."""
    engine = Engine(replace(DESK, accounts={"a": Account("EUR")}))
    engine.apply([trade(at(1), 1, 5), trade(at(2), 1, 6)], at(2))
    (account,) = merge_reports([report_of(engine)])["accounts"]

    assert (account["equity"], account["net_pnl"]) == (None, None)
    assert 'title="an input is missing"' in page_of(engine)


def test_a_state_in_trouble_is_no_quiet_page() -> None:
    """What is wrong stands at the top, of each worker once."""
    trouble = f"signals.db: the disk is full; make room {ATTACK}"
    for engine in (Engine(DESK), traded()):
        reports = [prepare_report(engine, trouble=each)() for each in (trouble, None, trouble)]
        seen = Seen(body(merge_reports(reports)))
        assert seen.text.count("The state: signals.db: the disk is full; make room </td>") == 1


def test_nothing_yet_is_a_page() -> None:
    """It says what an event is."""
    seen = Seen(page_of(Engine(DESK)))

    assert "No account has had an event yet." in seen.text
    assert seen.charts == {}


def attacked() -> Engine:
    """Return an engine in which every text from outside is hostile."""
    engine = Engine(replace(DESK, instruments=Instruments({})))
    names = {"account": ATTACK, "venue": f"v{ATTACK}", "instrument": f"i{ATTACK}"}
    cash = Cash(at(0), f"turned\u202e{ATTACK}", "c1", Decimal(5), ATTACK)
    quotes = [
        Quote(at(second), names["venue"], names["instrument"], Decimal(mid), Decimal(mid))
        for second, mid in ((0, 100), (30, 101))
    ]
    hostile = trade(
        at(1), 3, 104, f"e{ATTACK}", **names, strategy=f"s{ATTACK}", fee=Decimal(1),
        fee_currency=f"f{ATTACK}", trace=TRACE,
    )  # fmt: skip
    engine.apply([cash, *quotes, hostile], at(200))
    return engine


def test_hostile_names_stay_text() -> None:
    """Of accounts, strategies, instruments, venues, currencies and ids."""
    seen = Seen(page_of(attacked()))

    assert not seen.tags & {"script", "img"}
    assert seen.attributes <= {"class", "title", "data-chart", "data-key", "href"}
    for first in ("", "v", "i", "e", "s", "f"):
        assert f"{first}{ATTACK}"[:40] in seen.text
    assert "turned\\u202e" in seen.text
    assert "\u202e" not in seen.text


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_name_is_shown_and_nothing_else(name: str, venue: str) -> None:
    """The same tags as with a harmless one."""

    def seen(text: str, place: str) -> Seen:
        engine = Engine(DESK)
        one = trade(at(1), 3, 104, account=text, venue=place, id=text)
        engine.apply([quote(0, 100), one, quote(30, 101)], at(200))
        return Seen(page_of(engine))

    plain, found = seen("name", "v" if venue else ""), seen(name, venue)
    assert (found.tags, found.attributes) == (plain.tags, plain.attributes)


def test_the_vendored_files_are_those_of_the_package() -> None:
    """Their sums stand beside them, and the licence does too."""
    readme = (UPLOT / "README.md").read_text(encoding="utf-8")
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() in readme
    assert "The MIT License" in (UPLOT / "LICENSE").read_text(encoding="utf-8")


class Told:
    """An engine whose report is asked for, as long as nobody has its lock."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.Lock()

    def report(self) -> Report:
        """Return the report of now."""
        with self.lock:
            return report_of(self.engine)


def serving(told: Told) -> AbstractContextManager[str]:
    """Serve the page; give its address."""
    return serving_page("signals", PAGE, told.report)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for all tests of this file."""
    with browsing() as found:
        yield found


LIVE = "document.querySelector('#live').textContent === ' Live.'"


def test_a_browser_draws_the_curves_and_follows(browser: Browser) -> None:
    """A new execution comes to the page by itself; what was opened stays open."""
    told = Told(traded())
    browser.troubles.clear()
    browser.requests.clear()
    with serving(told) as url:
        browser.show_as(1280, 900)
        browser.open(url)
        browser.until(LIVE)
        assert browser.value("document.querySelectorAll('.chart canvas').length") == 2
        assert browser.value(
            "[...document.querySelectorAll('.u-title')].map(e => e.textContent)"
        ) == [
            "a, USD",
            "Mean markout, bps",
        ]
        browser.value("document.querySelector('details').open = true; 1")
        browser.value("document.querySelector('summary').focus(); scrollTo(0, 300); 1")
        browser.value("window.first = document.querySelector('.chart canvas'); 1")
        with told.lock:
            told.engine.apply([trade(at(81), 2, 111, "later"), quote(82, "112.5")], at(90))
        browser.until("document.querySelector('main').textContent.includes('later')")

        assert browser.value("document.querySelector('details').open")
        assert browser.value("document.activeElement === document.querySelector('summary')")
        assert browser.value("scrollY") == 300
        assert browser.value("window.first === document.querySelector('.chart canvas')")
        assert "1,080.00" in browser.value("document.querySelector('main').textContent")
    assert browser.troubles == []
    assert set(browser.requests) == {url, f"{url}/events"}


def test_a_browser_says_when_the_connection_is_lost(browser: Browser) -> None:
    """And takes up what comes then."""
    with serving(Told(traded())) as url:
        browser.open(url)
        browser.until(LIVE)
    browser.until("document.querySelector('#live').textContent.includes('these figures are old')")


def test_a_browser_runs_nothing_from_outside(browser: Browser) -> None:
    """Its own parser, with every name hostile, before and after an event came."""
    browser.troubles.clear()
    with serving(Told(attacked())) as url:
        browser.open(url)
        browser.until(LIVE)
        assert browser.value("document.title") == "Signals · Tapeline"
        assert browser.value("document.querySelectorAll('main script, main img').length") == 0
        assert ATTACK in browser.value("document.querySelector('main').textContent")
        # A script that got into the page after all would be refused.
        browser.value(
            "(() => { const s = document.createElement('script');"
            " s.textContent = 'document.title = 1'; document.body.append(s); })()"
        )
        assert browser.value("document.title") == "Signals · Tapeline"
    assert any("Content Security Policy" in trouble for trouble in browser.troubles)


@pytest.mark.parametrize("is_dark", [False, True])
def test_a_browser_shows_it_on_any_screen(
    browser: Browser, tmp_path: Path, *, is_dark: bool
) -> None:
    """In light and dark; on a telephone nothing is wider than the screen but tables that scroll."""
    with serving(Told(traded())) as url:
        for width in (1440, 390):
            browser.show_as(width, 900, is_dark=is_dark)
            browser.open(url)
            browser.until(LIVE)
            assert browser.value("document.documentElement.scrollWidth <= innerWidth")
            assert browser.value(
                "[...document.querySelectorAll('.uplot')].every(e => e.offsetWidth <= innerWidth)"
            )
            colour = browser.value("getComputedStyle(document.body).backgroundColor")
            brightness = max(int(part) for part in colour[4:-1].split(","))
            assert brightness < 60 if is_dark else brightness > 200
        browser.picture(tmp_path / "signals.png")
    assert (tmp_path / "signals.png").stat().st_size > 10_000


def test_without_scripts_it_is_a_page() -> None:
    """All figures are there, and no empty place for a curve."""
    with serving(Told(traded())) as url, browsing() as browser:
        browser.without_scripts()
        browser.open(url)
        assert "1,062.00" in browser.value("document.querySelector('main').textContent")
        assert browser.value(
            "[...document.querySelectorAll('.chart')].every(e => e.offsetHeight === 0)"
        )
