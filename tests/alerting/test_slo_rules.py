"""The rules made of SLOs: they are in step with their files, and do what the table says."""

import difflib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promtool import promtool, promtool_result
from tapeline.alerting.example_series import (
    ExampleError,
    Matcher,
    labels_for,
    parse_selector,
)
from tapeline.alerting.slo import SLO_FOLDER, Indicator, read_slos
from tapeline.alerting.slo_queries import bucket_bound, errors
from tapeline.alerting.slo_rules import RULES, TESTS, generated_files, rules_of, stale_files
from tapeline.pipeline.loader import ConfigError
from tapeline.stack.binaries import SOURCE_ROOT


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """Return a folder with the SLOs of the README, and what is made of them."""
    folder = tmp_path / SLO_FOLDER
    folder.mkdir(parents=True)
    readme = (SOURCE_ROOT / SLO_FOLDER / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```yaml\n")[2].partition("```")[0]
    (folder / "veloz.yaml").write_text(example, encoding="utf-8")
    for path, content in generated_files(tmp_path).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    return tmp_path


def differences(source_root: Path) -> str:
    """Return what differs between the committed files and those that there must be."""
    told = [f"{path}: its SLO file is gone\n" for path in stale_files(source_root)]
    for path, wanted in generated_files(source_root).items():
        there = source_root / path
        text = there.read_text(encoding="utf-8") if there.exists() else ""
        told += difflib.unified_diff(
            text.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            f"{path} (committed)",
            f"{path} (made by `python -m tapeline.alerting.slo_rules`)",
        )
    return "".join(told)


def test_the_committed_files_are_those_that_are_made_of_the_slos() -> None:
    """One edited by hand is shown with the difference."""
    told = differences(SOURCE_ROOT)

    assert not told, told


def test_a_file_edited_by_hand_is_shown_with_the_line(checkout: Path) -> None:
    """A threshold that somebody relaxed, and a file whose SLOs are gone."""
    assert differences(checkout) == ""
    edited = checkout / RULES / "slo_veloz.yml"
    text = edited.read_text(encoding="utf-8")
    edited.write_text(text.replace("> 0.0144 and", "> 0.5 and", 1), encoding="utf-8")
    (checkout / TESTS / "slo_b25.yml").write_text("", encoding="utf-8")

    told = differences(checkout)

    assert re.search(r"^-.*ratio_rate1h\{[^}]*\} > 0\.5 and", told, re.MULTILINE)
    assert re.search(r"^\+.*ratio_rate1h\{[^}]*\} > 0\.0144 and", told, re.MULTILINE)
    assert f"{TESTS}/slo_b25.yml: its SLO file is gone" in told


@pytest.mark.stack
def test_promtool_passes_what_is_made_of_each_kind_of_indicator(checkout: Path) -> None:
    """Valid, without a lint, and each of its own tests."""
    name = "slo_veloz.yml"

    promtool("check", "rules", "--lint=all", "--lint-fatal", checkout / RULES / name)
    promtool("test", "rules", checkout / TESTS / name)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("pattern", "replacement", "broken"),
    [
        (r" and slo:events:increase\S+ >= \d+", "", "by its volume guard"),
        (r"> 0\.0144", "> 0.0142", "ApiErrorsBudgetBurn of 1h is silent just below"),
        (r"> 0\.0144", "> 0.0146", "ApiErrorsBudgetBurn fires"),
        (r"for: 3h", "for: 9h", "BudgetBurn fires"),
        (r"and slo:errors_per_event:ratio_rate5m\S+ > \S+ and", "and", "BudgetBurn fires"),
        (r"<= bool 50", "< bool 50", "MarketDataFreshnessBudgetBurn is silent just below"),
        (r'le="0\.1"', 'le="0.10"', "OrderLatencyBudgetBurn is silent just below"),
        (r"window: 1d", "window: 2d", "BudgetBurn fires"),
    ],
    ids=["guard", "factor-low", "factor-high", "for", "short window", "bound", "le", "label"],
)
def test_the_generated_tests_find_a_rule_that_is_wrong(
    checkout: Path, pattern: str, replacement: str, broken: str
) -> None:
    """Each part of an alert has a case that breaks without it."""
    path = checkout / RULES / "slo_veloz.yml"
    # One line for each expression, so that a pattern finds it.
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    text = yaml.safe_dump(document, width=10_000)
    assert re.search(pattern, text)
    path.write_text(re.sub(pattern, replacement, text), encoding="utf-8")

    code, told = promtool_result(
        "test", "rules", f"--run={broken}$", checkout / TESTS / "slo_veloz.yml"
    )

    assert code != 0
    assert re.search(rf"name: .*{broken},", told), told


def _selected(checkout: Path) -> list[dict[str, Any]]:
    slos = read_slos(checkout / SLO_FOLDER / "veloz.yaml")
    return [rule for group in rules_of(slos)["groups"] for rule in group["rules"]]


def test_every_alert_has_a_guard_and_both_windows(checkout: Path) -> None:
    """Four for each SLO, one for each window."""
    alerts = [rule for rule in _selected(checkout) if "alert" in rule]

    assert len(alerts) == 4 * 4
    for alert in alerts:
        long = alert["labels"]["window"]
        assert alert["expr"].count(f"ratio_rate{long}{{") == 1
        assert alert["expr"].count("slo:errors_per_event:ratio_rate") == 2
        assert re.search(rf" and slo:events:increase{long}\{{[^}}]*\}} >= \d+$", alert["expr"])


@pytest.mark.stack
@pytest.mark.parametrize(("errors_a_minute", "ratio"), [(30, 1), (10, 1), (5, 0.5), (0, 0)])
def test_no_more_than_all_events_are_bad(
    tmp_path: Path, errors_a_minute: int, ratio: float
) -> None:
    """Errors of a counter of their own may be several of one event: all are bad then, not more."""
    (tmp_path / SLO_FOLDER).mkdir(parents=True)
    path = tmp_path / SLO_FOLDER / "veloz.yaml"
    path.write_text(
        "slos: [{name: a, system: veloz, service: s, team: ml, objective_percent: 99,"
        " description: d, indicator: {errors: errors_total, total: 'requests_total{a=\"b\"}'}}]",
        encoding="utf-8",
    )
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(rules_of(read_slos(path))), encoding="utf-8")
    entry = {
        "interval": "1m",
        "input_series": [
            {"series": 'requests_total{a="b"}', "values": "0+10x200"},
            {"series": "errors_total", "values": f"0+{errors_a_minute}x200"},
        ],
        "promql_expr_test": [
            {
                "expr": f"sum(slo:errors_per_event:{name})",
                "eval_time": "180m",
                "exp_samples": [{"labels": "{}", "value": ratio}],
            }
            for name in ("ratio_rate5m", "ratio_rate1h", "ratio_rate1d")
        ],
    }
    case = {"rule_files": ["rules.yml"], "fuzzy_compare": True, "tests": [entry]}
    (tmp_path / "case.yml").write_text(yaml.safe_dump(case), encoding="utf-8")

    promtool("test", "rules", tmp_path / "case.yml")


def test_errors_that_are_no_part_of_the_total_are_refused(tmp_path: Path) -> None:
    """Nothing could be both counted and good."""
    folder = tmp_path / SLO_FOLDER
    folder.mkdir(parents=True)
    (folder / "veloz.yaml").write_text(
        "slos: [{name: a, system: veloz, service: s, team: ml, objective_percent: 99,"
        " description: d, indicator: {errors: 'x{a=\"1\"}', total: 'x{a=\"1\"}'}}]",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"config/slo/veloz\.yaml: a: no series is found"):
        generated_files(tmp_path)


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (100, "100.0"),
        (0.1, "0.1"),
        (0.00001, "1e-05"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (999999, "999999.0"),
        (0.0001, "0.0001"),
        (2.5, "2.5"),
    ],
)
def test_a_bound_is_written_as_prometheus_stores_it(bound: float, text: str) -> None:
    """Go's shortest form, with a point: `100` matches nothing in Prometheus 3."""
    assert bucket_bound(bound) == text


@given(st.floats(min_value=1e-12, max_value=1e15))
def test_a_bound_is_the_same_number(bound: float) -> None:
    """Whatever its form is."""
    assert float(bucket_bound(bound)) == bound


@pytest.mark.parametrize(
    "text",
    [
        'x{status=~"5.."}',
        'x{status=~"4..|5.."}',
        r'x{status=~"5\\d\\d"}',
        'x{status!~"2..|3.."}',
        'x{path=~"/api/.*",method!="GET"}',
        'x{kind=~"(order|fill)_rejected"}',
        'x{kind=~"a.+",kind!="a0"}',
        'x{a="say \\"hi\\""}',
        "x",
        "x{}",
    ],
)
def test_an_example_of_a_selector_passes_each_condition(text: str) -> None:
    """And none, where there are conditions, fails one of them."""
    selector = parse_selector(text)
    labels = labels_for(selector.matchers)

    assert all(matcher.takes(labels.get(matcher.label, "")) for matcher in selector.matchers)
    if selector.matchers:
        refused = labels_for((), refused=selector.matchers)
        assert not all(m.takes(refused.get(m.label, "")) for m in selector.matchers)


def test_a_condition_without_an_example_is_told() -> None:
    """With what to write."""
    with pytest.raises(ExampleError, match="name the values"):
        labels_for([Matcher("a", "=", "1"), Matcher("a", "=", "2")])


@pytest.mark.parametrize(
    ("bound", "written"),
    [(1_234_567.0, "1234567"), (0.1234567, "0.1234567"), (1e-7, "0.0000001"), (-5.0, "-5")],
)
def test_a_gauges_bound_is_written_with_all_its_digits(bound: float, written: str) -> None:
    """A bound cut to six of them would be another."""
    most = Indicator(good_gauge="x", at_most=bound)
    least = Indicator(good_gauge="x", at_least=bound)

    assert f"(x <= bool {written})[1h:30s]" in errors(most, "1h")
    assert f"(x >= bool {written})[1h:30s]" in errors(least, "1h")
