"""HTML from any text: what was text is text again when a browser reads it."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.pipeline.markup import Markup, element, joined, visible

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))
hostile = st.one_of(
    texts,
    st.sampled_from(
        ["</p><script>alert(1)</script>", '" onmouseover="alert(1)', "<!--", "&lt;", "'", "]]>"]
    ),
)


class Seen(HTMLParser):
    """What a parser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


@given(hostile, hostile, hostile)
def test_text_stays_text_wherever_it_stands(first: str, second: str, value: str) -> None:
    """In an element, beside one, and in an attribute."""
    page = element("p", first, element("b", second, title=value), joined(first, second))

    seen = Seen(page)
    assert seen.tags == ["p", "b"]
    assert seen.text == first + second + first + second
    assert seen.attributes == [("title", value)]


def test_markup_is_not_escaped_twice() -> None:
    """An element within another stays one."""
    assert element("p", element("i", "a&b")) == "<p><i>a&amp;b</i></p>"
    assert joined(Markup("<hr>"), "<hr>") == "<hr>&lt;hr&gt;"


def test_attributes_may_be_absent_or_without_a_value() -> None:
    """And their names may be Python's keywords."""
    made = element("details", class_="a", open=True, hidden=False, data_id="1", name="n")
    assert made == '<details class="a" open data-id="1" name="n"></details>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BTC-USD", "BTC-USD"),
        ("Zürich 東京", "Zürich 東京"),
        ("a\nb\x00", "a\\nb\\x00"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_can_not_be_seen_is_spelt_out(text: str, shown: str) -> None:
    """Marks that turn the text around would make one value look like another."""
    assert visible(text) == shown
