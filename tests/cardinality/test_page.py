"""The page: hostile label values stay text, and a real browser shows it in light and in dark."""

import json
import zlib
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser import Browser, browsing
from label_streams import ids, streams
from served_page import serving_page
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.page import PAGE, body
from tapeline.cardinality.report import (
    LabelState,
    LimitsState,
    MetricState,
    Report,
    TextState,
    prepare_report,
)
from tapeline.pipeline.markup import visible

ATTACK = "</code><script>document.title='owned'</script><img src=x onerror=alert(1)>"


def report_of(demand: Demand, *metrics: MetricState, texts: Sequence[TextState] = ()) -> Report:
    """Return a report, as it comes from a worker."""
    state = LimitsState(
        "enforce",
        metrics,
        10_000,
        counts={"evictions": 3},
        refused={"not_a_number": 2},
        state_bytes=3 << 20,
        texts=texts,
    )
    report: Report = json.loads(json.dumps(prepare_report(state, demand)()))
    return report


def attacked() -> Report:
    """Return a report in which every text from outside is hostile."""
    demand = Demand()
    values = [f"{ATTACK}{number}" for number in range(60)]
    demand.note_new(ATTACK, streams((ATTACK, values), ("turned\u202e", ["a"] * 60)))
    demand.note_refused(ATTACK, range(60))
    uuids = [f"{number:08x}-aaaa-4bbb-8ccc-{number:012x}" for number in range(3000)]
    accounts = [f"ACC-{min(number, 400)}" for number in range(3000)]
    demand.note_new("orders.placed", streams(("order.id", uuids), ("account", accounts)))
    demand.note_refused("orders.placed", range(2500))
    return report_of(
        demand,
        MetricState("orders.placed", 500, "overflow", 500, 2500, evictions=7, state_bytes=9000),
        MetricState(ATTACK, 50, "overflow", 50, 10, refused={ATTACK: 1}),
        MetricState(
            "fills", 2000, "drop_series", 1700, labels=(LabelState("x", 1, "overflow", 1),)
        ),
        MetricState("quiet", 2000, "overflow", 12),
        texts=(TextState("log_label", ATTACK, 10, 4, 1),),
    )


class Seen(HTMLParser):
    """The tags and the text that a parser finds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_and_values_stay_text() -> None:
    """Of metrics, labels, values, reasons, in samples, offenders and fixes."""
    seen = Seen(body(attacked()))

    assert not seen.tags & {"script", "img"}
    assert seen.attributes <= {"class", "open", "title"}
    assert ATTACK[:40] in seen.text
    assert "turned\\u202e" in seen.text
    assert "\u202e" not in seen.text


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_any_name_and_value_is_shown_and_nothing_else(name: str, value: str) -> None:
    """The same tags as with harmless ones."""

    def page(label: str, text: str) -> Seen:
        demand = Demand()
        demand.note_new("m", streams((label, [text])))
        return Seen(body(report_of(demand, MetricState("m", 10, "overflow", 1))))

    plain, given_ = page("label", "value"), page(name, value)

    assert (given_.tags, given_.attributes) == (plain.tags, plain.attributes)
    assert visible(name) in given_.text
    assert visible(value) in given_.text


def test_what_is_over_its_limit_stands_out() -> None:
    """And the fix is there to be copied, in the words of the configuration."""
    page = body(attacked())
    seen = Seen(page)

    assert '<span class="bad">220%</span>' in page
    assert '<span class="warn">85%</span>' in page
    assert "<details open>" in page
    assert "normalize: its values hold ids (uuid)" in seen.text
    assert "    normalize:\n      order.id: [uuid]" in seen.text
    assert "in 2,600 new streams" in seen.text
    assert "3.0 MiB" in seen.text


def test_a_gate_that_has_seen_nothing_has_a_page() -> None:
    """Nothing is divided by it, and nothing is missing."""
    seen = Seen(body(report_of(Demand())))

    assert "No metric has come yet." in seen.text
    assert "table" in seen.tags


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the page as the gate does, with its policy."""
    with serving_page("cardinality", PAGE, attacked) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for all tests of this file."""
    with browsing() as found:
        yield found


def test_a_browser_finds_no_script_and_runs_none(url: str, browser: Browser) -> None:
    """Its own parser, after whatever would have run has run."""
    browser.open(url)

    assert browser.value("document.title") == "Cardinality · Tapeline"
    seen = Seen(browser.value("document.documentElement.outerHTML"))
    assert not seen.tags & {"script", "img"}
    assert ATTACK[:40] in seen.text


@pytest.mark.parametrize("is_dark", [True, False])
def test_a_browser_shows_it_in_light_and_dark(
    url: str, browser: Browser, tmp_path: Path, *, is_dark: bool
) -> None:
    """The style is let through by the policy, and follows the reader's preference."""
    picture = tmp_path / "page.png"
    browser.show_as(1280, 1600, is_dark=is_dark)
    browser.open(url)
    browser.picture(picture)

    brightness = max(_first_pixel(picture.read_bytes()))
    assert brightness < 60 if is_dark else brightness > 200


def _first_pixel(png: bytes) -> bytes:
    """Return red, green and blue of the top left: no filter of PNG (RFC 2083) changes that one."""
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    return zlib.decompress(data)[1:4]


def test_ids_are_listed_once() -> None:
    """The samples of a label are different ones."""
    demand = Demand()
    demand.note_new("m", streams(("id", ids(3))))
    (metric,) = report_of(demand, MetricState("m", 10, "overflow", 3))["metrics"]

    assert sorted(metric["labels"][0]["samples"]) == ids(3)
