"""Rules whose time runs faster: every duration is divided, and nothing else is touched."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promtool import promtool
from tapeline.alerting.time_scale import (
    TimeScaleError,
    divided,
    scaled_document,
    scaled_expression,
    scaled_rules,
)
from tapeline.stack.binaries import SOURCE_ROOT

RULES = SOURCE_ROOT / "config" / "prometheus" / "rules"
LOKI_RULES = SOURCE_ROOT / "config" / "loki" / "rules"

# A duration, and its tenth, as a reader would write them down.
TENTHS = {
    "5m": "30s",
    "1h": "6m",
    "1d": "2h24m",
    "30d": "3d",
    "90s": "9s",
    "1h30m": "9m",
    "5s": "500ms",
    "300": "30s",
    "1w": "16h48m",
    "1y": "36d12h",
    "10ms": "1ms",
}
# What never is one: names, numbers, matchers, strings and comments that look like durations.
PLAIN = (
    "up",
    "job:errors_per_request:ratio_rate5m",
    "my_offset",
    "offset_5m",
    ' {job="a [5m] offset 5m",x=~"[0-9]{5m}"}',
    " {a='it\\'s [1h]'}",
    ' |~ `[5m] "offset 1h`',
    " > 300",
    " * 5",
    " + (",
    ") ",
    " by (le, job) ",
    ' "\\"[5m]" ',
    "# since [5m] offset 5m\n",
    " @ 1609746000",
    " or on() vector(0)",
    " | duration > 5s ",
)


def _ranges() -> st.SearchStrategy[tuple[str, str]]:
    one = st.sampled_from(sorted(TENTHS.items()))
    forms = st.sampled_from(("[{}]", "[{}:]", " offset {}", " offset -{}", " OFFSET {} ", "[ {} ]"))
    single = st.builds(lambda form, pair: (form.format(pair[0]), form.format(pair[1])), forms, one)
    double = st.builds(lambda a, b: (f"[{a[0]}:{b[0]}]", f"[{a[1]}:{b[1]}]"), one, one)
    return st.one_of(single, double)


@given(st.lists(st.one_of(_ranges(), st.sampled_from([(text, text) for text in PLAIN]))))
def test_an_expression_is_divided_where_its_durations_are(parts: list[tuple[str, str]]) -> None:
    """The oracle knows each part, and what becomes of it."""
    # A space in between: two names in a row would be one.
    before = " ".join(part for part, _ in parts)
    after = " ".join(part for _, part in parts)

    assert scaled_expression(before, 10) == after


@given(
    st.lists(
        st.tuples(st.integers(1, 999), st.sampled_from(["d", "h", "m", "s", "ms"])),
        min_size=1, max_size=3,
    ),
    st.integers(1, 100),
)  # fmt: skip
def test_a_duration_is_divided_to_the_millisecond(
    parts: list[tuple[int, str]], divisor: int
) -> None:
    """Read back by its units, it is the whole by the divisor, rounded, and never nothing."""
    units_ms = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
    whole = sum(number * units_ms[unit] for number, unit in parts)

    text = divided("".join(f"{number}{unit}" for number, unit in parts), divisor)
    back = 0
    for unit in ("d", "h", "m", "s", "ms"):
        head, found, rest = text.partition(unit)
        # `m` of `ms` is no minute.
        if found and head.isdigit() and not (unit == "m" and rest.startswith("s")):
            back, text = back + int(head) * units_ms[unit], rest

    assert not text
    assert back == max(1, round(whole / divisor))


def test_what_is_nothing_stays_nothing() -> None:
    """`for: 0s` fires at once, on a fast floor too."""
    assert divided("0s", 10) == "0s"
    assert divided("0", 10) == "0s"


def test_every_duration_of_a_rule_file_is_divided() -> None:
    """Of its groups and rules; intervals stay at 5 s at least, or at what they were."""
    document = {
        "groups": [
            {
                "name": "a",
                "interval": "30s",
                "query_offset": "1m",
                "limit": 10,
                "rules": [
                    {
                        "alert": "A",
                        "expr": 'rate(x{a="[5m]"}[5m] offset 1h) > 300',
                        "for": "10m",
                        "keep_firing_for": "5m",
                        "labels": {"window": "5m"},
                        "annotations": {"summary": "in [5m]"},
                    },
                    {"record": "x:rate1h", "expr": "rate(x[1h])"},
                ],
            },
            {"name": "b", "interval": "2m", "rules": []},
            {"name": "c", "interval": "2s", "rules": []},
            {"name": "d", "rules": []},
        ]
    }
    before = yaml.safe_dump(document)

    first, *others = scaled_document(document, 10)["groups"]

    assert (first["interval"], first["query_offset"], first["limit"]) == ("5s", "6s", 10)
    assert first["rules"] == [
        {
            "alert": "A",
            "expr": 'rate(x{a="[5m]"}[30s] offset 6m) > 300',
            "for": "1m",
            "keep_firing_for": "30s",
            "labels": {"window": "5m"},
            "annotations": {"summary": "in [5m]"},
        },
        {"record": "x:rate1h", "expr": "rate(x[6m])"},
    ]
    assert [group.get("interval") for group in others] == ["12s", "2s", None]
    assert yaml.safe_dump(document) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "groups: [{name: a, rules: [{alert: A, expr: 'x[5q]'}]}]",
            "a, A: expr: not a duration: '5q'",
        ),
        ("groups: [{name: a, rules: [{alert: A, expr: 'x[soon]'}]}]", "A: expr: not a range"),
        ("groups: [{name: a, rules: [{alert: A, expr: x offset 1.5h}]}]", "duration: '1.5h'"),
        ("groups: [{name: a, rules: [{alert: A, expr: x, for: soon}]}]", "A: for: not a duration"),
        ("groups: [{name: a, interval: 1x, rules: []}]", "group a: interval: not a duration"),
        ("rules: []", "not a rule file"),
        ("a: [", "while parsing"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """The file, the group, the rule and the key."""
    (tmp_path / "a.yml").write_text(text, encoding="utf-8")

    with pytest.raises(TimeScaleError, match=r"a\.yml") as caught:
        scaled_rules(tmp_path, tmp_path / "out", 10)

    assert told in str(caught.value)


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    """A floor without alerts would look like peace."""
    with pytest.raises(TimeScaleError, match="there are no rule files"):
        scaled_rules(tmp_path, tmp_path / "out", 10)
    with pytest.raises(TimeScaleError, match="at least 1"):
        scaled_rules(tmp_path, tmp_path / "out", 0)


@pytest.mark.stack
def test_prometheus_takes_every_committed_rule_at_ten_times_the_speed(tmp_path: Path) -> None:
    """Each file, with as many rules as before."""
    written = scaled_rules(RULES, tmp_path, 10)

    assert [path.name for path in written] == sorted(path.name for path in RULES.glob("*.yml"))
    promtool("check", "rules", "--lint=all", "--lint-fatal", *written)
    for path in written:
        before = yaml.safe_load((RULES / path.name).read_text(encoding="utf-8"))
        after = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert [len(group["rules"]) for group in after["groups"]] == [
            len(group["rules"]) for group in before["groups"]
        ]


def test_lokis_rules_are_scaled_in_their_tenants_folder(tmp_path: Path) -> None:
    """Ranges of LogQL, behind line filters and regular expressions."""
    source = tmp_path / "rules" / "fake"
    source.mkdir(parents=True)
    expression = 'sum(count_over_time({service_name="a"} |~ `[5m]` | json [5m])) > 5'
    group = {"name": "a", "rules": [{"alert": "A", "expr": expression, "for": "2m"}]}
    (source / "a.yaml").write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")

    (written,) = scaled_rules(tmp_path / "rules", tmp_path / "out", 10)

    assert written == tmp_path / "out" / "fake" / "a.yaml"
    (rule,) = yaml.safe_load(written.read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert rule["expr"] == expression.replace("json [5m]", "json [30s]")
    assert rule["for"] == "12s"


def test_every_committed_rule_of_loki_can_be_scaled(tmp_path: Path) -> None:
    """Whichever there are."""
    if not list(LOKI_RULES.rglob("*.yaml")):
        pytest.skip("there are no rules for Loki")

    assert scaled_rules(LOKI_RULES, tmp_path, 10)
