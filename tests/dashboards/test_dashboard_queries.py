"""Variables are written as Grafana writes them: against a plain reading, and as regexes."""

import re
from urllib.parse import parse_qs, unquote

import pytest
from dashboards.queries import (
    InterpolationError,
    Span,
    Style,
    Value,
    duration_ms,
    duration_text,
    interpolate,
    round_step_ms,
    step_ms,
    time_values,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
# Neither quotes nor newlines: Grafana leaves those to the user, in every version.
WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"'), min_size=1
)
PLAIN_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="$[{"))


def _naive(text: str, values: dict[str, str]) -> str:
    """Write `$v` and `${v}` out by walking along the text, character by character."""
    out, at = "", 0
    while at < len(text):
        if text[at] != "$":
            out, at = out + text[at], at + 1
            continue
        braced = text[at + 1 : at + 2] == "{"
        begin = end = at + (2 if braced else 1)
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
        out += values[text[begin:end]]
        at = end + (1 if braced else 0)
    return out


@given(
    values=st.dictionaries(NAMES, WORDS, min_size=1, max_size=4),
    data=st.data(),
)
def test_it_writes_what_a_plain_reader_writes(values: dict[str, str], data: st.DataObject) -> None:
    """Names end where their letters end, braces end them sooner."""
    text = ""
    for _ in range(data.draw(st.integers(1, 5))):
        name = data.draw(st.sampled_from(sorted(values)))
        text += data.draw(PLAIN_TEXT)
        # A blank ends the name without braces.
        text += data.draw(st.sampled_from([f"${name} ", f"${{{name}}}"]))

    written = interpolate(text, {name: Value((word,)) for name, word in values.items()})

    assert written == _naive(text, values)


def _unquoted(literal: str) -> str:
    """Return what a query's quoted string stands for, where it holds only such escapes."""
    return re.sub(r"\\(.)", r"\1", literal)


@pytest.mark.parametrize("style", ["prometheus", "loki"])
@given(words=st.lists(WORDS, min_size=1, max_size=4, unique=True), other=WORDS)
def test_a_matcher_finds_exactly_the_picked_values(
    style: Style, words: list[str], other: str
) -> None:
    """`=~"$v"` as the server reads it: first the quoted string, then the regex."""
    literal = interpolate("$v", {"v": Value(tuple(words), multi=True)}, style)

    pattern = re.compile(_unquoted(literal))

    assert all(pattern.fullmatch(word) for word in words)
    assert bool(pattern.fullmatch(other)) == (other in words)


@given(words=st.lists(WORDS, min_size=1, max_size=4, unique=True))
def test_the_regex_format_finds_exactly_the_picked_values(words: list[str]) -> None:
    """`${v:regex}`, read as a regex."""
    pattern = re.compile(interpolate("${v:regex}", {"v": Value(tuple(words))}))

    assert all(pattern.fullmatch(word) for word in words)
    assert not pattern.fullmatch("".join(words) + "x")


@given(words=st.lists(WORDS, min_size=1, max_size=4))
def test_the_queryparam_format_is_read_back(words: list[str]) -> None:
    """As a server reads a query string."""
    text = interpolate("${v:queryparam}", {"v": Value(tuple(words))})

    assert parse_qs(text, keep_blank_values=True) == {"var-v": words}


@given(word=WORDS)
def test_the_percentencode_format_is_read_back(word: str) -> None:
    """As a server reads an address."""
    assert unquote(interpolate("${v:percentencode}", {"v": Value((word,))})) == word


TWO = Value(("a.b", "c"), multi=True)


@pytest.mark.parametrize(
    ("text", "style", "expected"),
    [
        ('{job=~"$v"}', "prometheus", r'{job=~"(a\\.b|c)"}'),
        ('{job=~"$v"}', "loki", r'{job=~"a\\.b|c"}'),
        ("$v", "glob", "{a.b,c}"),
        ("[[v]]", "glob", "{a.b,c}"),
        ("[[v:csv]]", "glob", "a.b,c"),
        ("${v:csv}", "prometheus", "a.b,c"),
        ("${v:pipe}", "prometheus", "a.b|c"),
        ("${v:raw}", "prometheus", "a.b,c"),
        ("${v:glob}", "prometheus", "{a.b,c}"),
        ("${v:regex}", "prometheus", r"(a\.b|c)"),
        ("${v:json}", "prometheus", '["a.b", "c"]'),
        ("${v:doublequote}", "prometheus", '"a.b","c"'),
        ("${v:singlequote}", "prometheus", "'a.b','c'"),
        ("${v:text}", "prometheus", "a.b + c"),
        ("${v:queryparam}", "prometheus", "var-v=a.b&var-v=c"),
    ],
)
def test_each_format_is_written_as_grafana_writes_it(
    text: str, style: Style, expected: str
) -> None:
    """Examples of Grafana's documentation of variable formats, with two values."""
    assert interpolate(text, {"v": TWO}, style) == expected


def test_a_variable_of_one_value_is_no_regex() -> None:
    """Where only one can be picked, it is compared, not matched."""
    assert interpolate("$v", {"v": Value(("a.b",))}, "prometheus") == "a.b"
    assert interpolate("$v", {"v": Value(("a.b",), multi=True)}, "prometheus") == r"a\\.b"


def test_all_is_its_own_value_or_every_value() -> None:
    """A custom value for All is taken as it stands, in whatever format."""
    every = Value(("a", "b"), multi=True, every=True)
    custom = Value(("a", "b"), multi=True, every=True, all_value=".+")

    assert interpolate("$v", {"v": every}, "prometheus") == "(a|b)"
    assert interpolate("$v ${v:csv} ${v:regex}", {"v": custom}, "loki") == ".+ .+ .+"
    assert interpolate("${v:text}", {"v": custom}) == "All"
    assert interpolate("${v:queryparam}", {"v": custom}) == "var-v=%24__all"


@pytest.mark.parametrize("text", ["$nothing", "${nothing}", "[[nothing]]", "${v:nonsense}"])
def test_what_grafana_would_leave_as_it_is_is_an_error(text: str) -> None:
    """A query with a name in it that nobody wrote out finds nothing, and nobody sees why."""
    with pytest.raises(InterpolationError, match=r"nothing|nonsense"):
        interpolate(text, {"v": TWO})


def test_names_with_dots_are_fields_of_a_value() -> None:
    """As links have them."""
    values = {"__field.labels.job": Value(("x",)), "__value.raw": Value(("7",))}

    assert interpolate("${__field.labels.job}/${__value.raw}", values) == "x/7"


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("range_ms", "interval", "rate_interval", "text"),
    [
        (15 * 60_000, "5s", "20s", "15m"),
        (6 * HOUR, "20s", "25s", "6h"),
        (24 * HOUR, "1m", "65s", "1d"),
        (30 * 24 * HOUR, "30m", "1805s", "30d"),
    ],
)
def test_steps_follow_the_time_shown(
    range_ms: int, interval: str, rate_interval: str, text: str
) -> None:
    """With 1,000 points and scrapes of 5 s: four scrapes at least, one more than a step."""
    span = Span(0, range_ms)

    values = time_values(span, step_ms(span, 1000, 5000), 5000)

    assert values["__interval"].picked == (interval,)
    assert values["__rate_interval"].picked == (rate_interval,)
    assert values["__range"].picked == (text,)
    assert values["__range_s"].picked == (str(range_ms // 1000),)


@given(
    range_ms=st.integers(60_000, 400 * 24 * HOUR),
    points=st.integers(100, 3000),
    shortest_ms=st.integers(1_000, 600_000),
)
def test_no_step_is_too_short_or_asks_for_too_many_points(
    range_ms: int, points: int, shortest_ms: int
) -> None:
    """Prometheus refuses more than 11,000 points; a rate needs two samples in its window."""
    span = Span(0, range_ms)

    step = step_ms(span, points, shortest_ms)
    rate_ms = int(time_values(span, step, 5000)["__rate_interval_ms"].picked[0])

    assert step >= shortest_ms
    assert range_ms / step <= 11_000 * 1.5
    assert rate_ms == max(step + 5000, 20_000)


@given(st.integers(1, 10**12))
def test_durations_are_read_as_they_are_written(milliseconds: int) -> None:
    """Also where no unit divides them but the millisecond."""
    assert duration_ms(duration_text(milliseconds)) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "1h 30m", "-5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(InterpolationError, match="not a duration"):
        duration_ms(text)


def test_steps_are_round() -> None:
    """Ten years in one point are a year."""
    assert [round_step_ms(each) for each in (3, 900, 21_600, 86_400, 10**12)] == [
        1,
        1_000,
        20_000,
        60_000,
        31_536_000_000,
    ]
