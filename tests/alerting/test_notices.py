"""The inbox' memory and pages: what is read, what is refused, what is bounded, what is escaped."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.alerting.inbox_page import SHOWN, inbox_body, page, runbook_link
from tapeline.alerting.notices import (
    MAX_ALERTS,
    MAX_CHARACTERS,
    MAX_PAIRS,
    Inbox,
    Notice,
    NoticeError,
    read_notices,
)
from tapeline.alerting.runbook_page import runbook_body

AT = "2026-01-02T03:04:05.678Z"


def alert(name: str = "A", status: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert as Alertmanager's webhook has it."""
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": "it is so", "runbook_url": f"docs/runbooks/{name}.md"},
        "startsAt": "2026-01-02T03:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-02T03:04:00Z",
        "fingerprint": "0123456789abcdef",
    }


def notices(*alerts: dict[str, Any], receiver: str = "slack", at: str = AT) -> tuple[Notice, ...]:
    """Read a notification of these alerts."""
    return read_notices({"alerts": list(alerts)}, receiver, at)


def test_a_notice_has_what_the_webhook_said() -> None:
    """The fields of /api/alerts, under Alertmanager's names; what fires has no end."""
    firing, resolved = notices(alert(system="veloz"), alert(status="resolved"))
    assert firing.as_json() == {
        "receiver": "slack",
        "status": "firing",
        "labels": {"alertname": "A", "system": "veloz"},
        "annotations": {"summary": "it is so", "runbook_url": "docs/runbooks/A.md"},
        "startsAt": "2026-01-02T03:00:00.123456789Z",
        "endsAt": "",
        "fingerprint": "0123456789abcdef",
        "received_at": AT,
    }
    assert resolved.ends_at == "2026-01-02T03:04:00Z"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ([], "a list `alerts`"),
        ({"alerts": None}, "a list `alerts`"),
        ({"alerts": [1]}, r"alerts\[0\] is no object"),
        ({"alerts": [alert(), alert(status="so-so")]}, r"alerts\[1\]\.status is 'so-so'"),
        ({"alerts": [{**alert(), "labels": {"a": 1}}]}, r"labels\.a is int, not a text"),
        ({"alerts": [{**alert(), "labels": []}]}, r"labels is no object of at most"),
        ({"alerts": [{**alert(), "startsAt": None}]}, r"startsAt is NoneType"),
        ({"alerts": [alert()] * (MAX_ALERTS + 1)}, f"{MAX_ALERTS + 1} alerts"),
        ({"alerts": [alert(**{f"l{n}": "" for n in range(MAX_PAIRS)})]}, f"at most {MAX_PAIRS}"),
    ],
)
def test_what_alertmanager_would_not_send_is_refused(payload: object, told: str) -> None:
    """The message says where it is and what was expected."""
    with pytest.raises(NoticeError, match=told):
        read_notices(payload, "slack", AT)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(
    json_values,
    st.dictionaries(
        st.sampled_from(("status", "labels", "annotations", "startsAt", "endsAt")), json_values
    ),
)
def test_any_json_is_read_or_refused(document: object, changes: dict[str, Any]) -> None:
    """Never anything but NoticeError, whatever stands where."""
    for payload in (document, {"alerts": document}, {"alerts": [{**alert(), **changes}]}):
        try:
            read = read_notices(payload, "slack", AT)
        except NoticeError:
            continue
        assert all(notice.status in {"firing", "resolved"} for notice in read)


def test_long_texts_are_cut_and_old_notices_go() -> None:
    """Memory is bounded in every direction; what went is counted."""
    (cut,) = notices(alert(name="N" * MAX_CHARACTERS * 2))
    assert len(cut.name) == MAX_CHARACTERS
    inbox = Inbox(max_kept=3)
    for number in range(5):
        inbox.add(notices(alert(name=f"A{number}")))
    assert [notice.name for notice in inbox.newest_first()] == ["A4", "A3", "A2"]
    assert (inbox.received, inbox.forgotten) == (5, 2)


def test_long_alerts_are_fewer_and_their_rows_bounded() -> None:
    """Whatever comes, what is kept has a size, and so has the page."""
    inbox = Inbox(max_characters=3_000_000)
    labels = {f"l{number}": "v" * MAX_CHARACTERS for number in range(60)}
    for number in range(40):
        inbox.add(notices(alert(f"A{number}", **labels)))
    kept = list(inbox.newest_first())
    assert [notice.name for notice in kept] == [f"A{39 - at}" for at in range(len(kept))]
    assert 10 <= len(kept) == 40 - inbox.forgotten
    assert sum(notice.characters for notice in kept) <= 3_000_000
    text = inbox_body(inbox, AT)
    assert len(text) < 2 * len(kept) * 20_000
    assert "and 36 more" in text


def test_every_text_of_a_notice_counts() -> None:
    """Or what is remembered would have no bound: these three are as long as any."""
    (short,) = notices(alert(status="resolved"))
    for field in ("startsAt", "endsAt", "fingerprint"):
        plain = len(alert(status="resolved")[field])
        (long,) = notices({**alert(status="resolved"), field: "t" * MAX_CHARACTERS})
        assert long.characters - short.characters == MAX_CHARACTERS - plain, field


def test_the_page_has_a_part_of_very_many_that_fire() -> None:
    """It says how many more there are."""
    inbox = Inbox()
    inbox.add(notices(*(alert(f"A{number}") for number in range(SHOWN + 7))))
    text = inbox_body(inbox, AT)
    assert text.count("<tr>") == 2 * (SHOWN + 1)
    assert f"{SHOWN + 7} firing" in text
    assert "And 7 more." in text


def test_what_fires_is_each_alert_whose_last_word_says_so() -> None:
    """Told to two receivers it is one alert; resolved it is none, until it fires again."""
    inbox = Inbox()
    inbox.add(notices(alert("A"), alert("B", side="buy"), receiver="slack"))
    inbox.add(notices(alert("A"), receiver="pager"))
    assert [(notice.name, told) for notice, told in inbox.firing()] == [
        ("A", ("pager", "slack")),
        ("B", ("slack",)),
    ]
    inbox.add(notices(alert("A", status="resolved")))
    assert [notice.name for notice, _ in inbox.firing()] == ["B"]
    inbox.add(notices(alert("B", side="sell")))
    assert len(inbox.firing()) == 2


class _Elements(HTMLParser):
    """Collects the elements and attributes of a page, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.mark.parametrize("where", ["alertname", "severity", "summary", "receiver", "startsAt"])
def test_texts_of_alerts_stay_text_on_the_page(where: str) -> None:
    """Whoever can name a label can't make an element of it."""
    hostile = alert(severity="critical")
    receiver = "slack"
    if where == "receiver":
        receiver = HOSTILE
    elif where == "summary":
        hostile["annotations"][where] = HOSTILE
    elif where == "startsAt":
        hostile[where] = HOSTILE
    else:
        hostile["labels"][where] = HOSTILE
    inbox = Inbox()
    inbox.add(notices(hostile, receiver=receiver))
    text = page("Alerts", "p{}", inbox_body(inbox, AT), 5)
    elements = _Elements()
    elements.feed(text)
    assert {tag for tag, _ in elements.found} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "small", "p", "a"),
        *("div", "table", "tr", "th", "td", "strong", "br", "span", "code"),
    }
    assert not [name for _, names in elements.found for name in names if name.startswith("on")]
    assert "&lt;script&gt;" in text


def test_the_page_shows_the_newest_and_says_how_many_there_were() -> None:
    """A page of bounded length; the first row is the last that came."""
    inbox = Inbox(max_kept=SHOWN + 10)
    for number in range(SHOWN + 20):
        inbox.add(notices(alert(f"A{number}", "resolved")))
    text = inbox_body(inbox, AT)
    assert text.count("<tr>") == SHOWN + 1
    assert text.index(f"A{SHOWN + 19}") < text.index(f"A{SHOWN + 18}")
    assert f"{SHOWN + 20} notices received, the oldest 10 no longer kept" in text
    assert "Nothing." in text


def test_a_runbook_is_linked_here_for_a_path_and_there_for_an_address() -> None:
    """Anything else is no link: a script's address least of all."""
    (notice,) = notices(alert("PyRtHighSlippage"))
    assert 'href="/runbooks/PyRtHighSlippage"' in str(runbook_link(notice))
    for where, linked in (
        ("https://runbooks.example.com/x", True),
        ("javascript:alert(1)", False),
        ("docs/runbooks/../../etc/passwd.md", False),
        ("", False),
    ):
        changed = {**alert(), "annotations": {"runbook_url": where}}
        assert (runbook_link(*notices(changed)) is not None) is linked, where


RUNBOOK = """\
# Name
## Meaning
Orders take `too long`, see
[the page](https://example.com/a) and [another](VeloZGatewayDown.md), not [this](javascript:x).

- first `a < b`
  goes on
- second **bold**

1. do

| a | b |
|---|---|
| 1 | 2 |

```promql
rate(x[5m]) > 0 <b>
```
"""


def test_a_runbook_is_rendered() -> None:
    """Headings, paragraphs, lists, tables, code and links; all else is text."""
    body = runbook_body(RUNBOOK)
    assert "<h1>Name</h1><h2>Meaning</h2>" in body
    assert "<p>Orders take <code>too long</code>, see <a href=" in body
    assert '<a href="VeloZGatewayDown" rel="noreferrer">another</a>, not this.</p>' in body
    assert "<ul><li>first <code>a &lt; b</code> goes on</li><li>second <strong>bold" in body
    assert "<ol><li>do</li></ol>" in body
    assert "<tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr>" in body
    assert "<pre><code>rate(x[5m]) &gt; 0 &lt;b&gt;</code></pre>" in body
    assert "javascript" not in body


@given(st.text(alphabet=st.sampled_from("#-*|`[]()<>!\n 1.aΩ&\"'/:"), max_size=200))
def test_any_text_is_rendered_without_elements_of_its_own(text: str) -> None:
    """It ends, and nothing but the known elements comes of it."""
    elements = _Elements()
    elements.feed(runbook_body(text))
    assert {tag for tag, _ in elements.found} <= {
        *("h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "div", "table", "tr", "th", "td"),
        *("pre", "code", "a", "strong"),
    }
