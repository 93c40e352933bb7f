"""SLO files: what they may say, and how they are refused."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tapeline.alerting.slo import BURN_PAIRS, SLO_FOLDER, Slo, load_slos, read_slos
from tapeline.pipeline.loader import ConfigError
from tapeline.stack.binaries import SOURCE_ROOT

README = SOURCE_ROOT / SLO_FOLDER / "README.md"

GOOD = """\
slos:
  - name: api-errors
    system: veloz
    service: gateway
    team: infrastructure
    objective_percent: 99.9
    description: No 5xx.
    indicator: {errors: 'x_total{status=~"5.."}', total: x_total}
    minimum_events: 200
"""


def _read(folder: Path, text: str, name: str = "veloz.yaml") -> tuple[Slo, ...]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_slos(path)


def test_the_readmes_examples_are_valid(tmp_path: Path) -> None:
    """One for each kind of indicator, as people will copy them."""
    (fence,) = README.read_text(encoding="utf-8").split("```yaml\n")[1:]

    slos = _read(tmp_path, fence.partition("```")[0])

    assert [slo.alert for slo in slos] == [
        "VelozApiErrorsBudgetBurn",
        "VelozOrderLatencyBudgetBurn",
        "VelozGatewayAvailabilityBudgetBurn",
        "VelozMarketDataFreshnessBudgetBurn",
    ]
    assert [slo.indicator.counts_events for slo in slos] == [True, True, False, False]


def test_the_readmes_table_is_the_table_of_the_code() -> None:
    """Windows, factors and `for`, row by row."""
    text = README.read_text(encoding="utf-8")
    priorities = {"page": "critical | P1", "ticket": "warning | P3"}

    for pair in BURN_PAIRS:
        factor = f"{pair.factor:g} time"
        row = f"| {priorities[pair.severity]} | {pair.long} | {pair.short} | {factor}"
        assert row in text


def test_the_factors_are_the_budgets_of_the_workbook() -> None:
    """Factor times long window over 30 days is the part of the budget that is gone."""
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}

    spent = [pair.factor * hours[pair.long] / 720 for pair in BURN_PAIRS]

    assert spent == [Decimal("0.02"), Decimal("0.05"), Decimal("0.1"), Decimal("0.1")]


@pytest.mark.parametrize("percent", ["99", "99.9", "99.95", "99.99"])
def test_one_bad_event_alone_is_never_an_alert(percent: str, tmp_path: Path) -> None:
    """Whatever `minimum_events` says: the guard of each pair is at least that."""
    text = GOOD.replace("99.9", percent).replace("minimum_events: 200", "minimum_events: 1")
    (slo,) = _read(tmp_path, text)

    for pair in BURN_PAIRS:
        assert Decimal(1) / slo.guard(pair) <= pair.factor * slo.budget
        assert slo.guard(pair) >= 1


def test_the_guard_of_a_gauge_counts_samples(tmp_path: Path) -> None:
    """A gauge has as many samples as there were scrapes, whatever happened."""
    text = GOOD.replace(
        "{errors: 'x_total{status=~\"5..\"}', total: x_total}", "{good_gauge: up}"
    ).replace("    minimum_events: 200\n", "")
    (slo,) = _read(tmp_path, text)

    assert {slo.guard(pair) for pair in BURN_PAIRS} == {30}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("99.9", "100", "slos[0].objective_percent: an impossible target"),
        ("99.9", "0", "slos[0].objective_percent: an impossible target"),
        ("99.9", "93", "could never fire; above 93.06 it can"),
        ("99.9", "yes", "slos[0].objective_percent: expected a number of percent"),
        ("99.9", ".nan", "slos[0].objective_percent: Input should be a finite number"),
        ("team: infra", "window: 7d\n    team: infra", "slos[0].window: the burn rates are those"),
        ("minimum_events", "minimum_event", "unknown key 'minimum_event' in 'slos[0]'; did you"),
        ("team: infrastructure", "team: ops", "slos[0].team: expected one of trading, risk"),
        ("system: veloz", "system: acme", "slos[0].system: expected one of veloz"),
        ("system: veloz", "system: b25", "a file holds one system: this is veloz (got 'b25')"),
        ("name: api-errors", "name: Api", "slos[0].name: String should match pattern"),
        (", total: x_total}", "}", "an event ratio has `total`, and one of"),
        ("{errors", "{good: y, errors", "an event ratio has `total`, and one of"),
        ("total: x_total}", "total: 'rate(x_total[5m])'}", "indicator.total: expected a selector"),
        ("{errors", "{good_gauge: up, errors", "give exactly one of"),
        ("{errors", "{latency: {histogram: h_bucket, at_most: 1}, errors", "write the base name"),
        ("{errors", "{latency: {histogram: h, at_most: 0}, errors", "at_most: Input should be"),
        ("{errors", "{at_most: 3, errors", "belong to `good_gauge`"),
        ("service: gateway", 'service: "{{x}}"', "slos[0].service: {{ would be a template"),
        ("No 5xx.", '"No {{ 5xx."', "slos[0].description: {{ would be a template"),
        (
            "No 5xx.",
            "|\n      No\n      5xx.",
            "slos[0].description: expected one line: it has '\\n'",
        ),
        ("No 5xx.", '"No\\t5xx."', "slos[0].description: expected one line: it has '\\t'"),
        ("No 5xx.", '"No\\L5xx."', "slos[0].description: expected one line: it has '\\u2028'"),
        ("service: gateway", 'service: " "', "slos[0].service: it is empty"),
        ("minimum_events: 200", "minimum_events: 0", "slos[0].minimum_events: Input should be"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    """Each with the file and its line, and what would be right."""
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, GOOD.replace(old, new, 1))

    assert any(told in problem for problem in caught.value.problems), caught.value.problems
    assert all(problem.startswith(f"{tmp_path}/veloz.yaml:") for problem in caught.value.problems)


@pytest.mark.parametrize("written", [">\n      No\n      5xx.", "|\n      No 5xx.", "' No 5xx. '"])
def test_blanks_around_a_text_are_none_of_it(tmp_path: Path, written: str) -> None:
    """A folded block ends in a newline, which nobody wrote."""
    (slo,) = _read(tmp_path, GOOD.replace("No 5xx.", written))

    assert slo.description == "No 5xx."


def test_a_text_may_have_any_character_of_a_line(tmp_path: Path) -> None:
    """A no-break space and other writing are good in a message."""
    (slo,) = _read(tmp_path, GOOD.replace("No 5xx.", "99,9\u00a0% sans erreur, 注文"))

    assert slo.description == "99,9\u00a0% sans erreur, 注文"


def test_two_slos_of_one_alert_are_refused(tmp_path: Path) -> None:
    """Names may differ and make one alert, with one runbook, all the same."""
    document = yaml.safe_load(GOOD)
    document["slos"] = [{**document["slos"][0], "name": name} for name in ("api-1", "api1")]
    with pytest.raises(ConfigError, match=r"slos\[1\].name: 'api1' makes VelozApi1Budget.*, too"):
        _read(tmp_path, yaml.safe_dump(document))


def test_two_slos_of_one_name_are_refused(tmp_path: Path) -> None:
    """Their alerts would be one."""
    document = yaml.safe_load(GOOD)
    document["slos"] *= 2
    with pytest.raises(ConfigError, match=r"slos\[1\].name: 'api-errors' stands here twice"):
        _read(tmp_path, yaml.safe_dump(document))


def test_the_committed_files_are_valid() -> None:
    """Every one, with names that no two alerts share."""
    loaded = load_slos(SOURCE_ROOT)
    alerts = [slo.alert for slos in loaded.values() for slo in slos]

    assert len(set(alerts)) == len(alerts)


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Not one after the other."""
    folder = tmp_path / SLO_FOLDER
    folder.mkdir(parents=True)
    (folder / "veloz.yaml").write_text(GOOD.replace("99.9", "100"), encoding="utf-8")
    (folder / "b25.yaml").write_text("slos: []", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_slos(tmp_path)

    assert len(caught.value.problems) == 2
