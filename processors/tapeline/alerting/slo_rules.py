"""Makes Prometheus' rules, and their promtool tests, of the SLO files.

`python -m tapeline.alerting.slo_rules` writes `config/prometheus/rules/slo_<system>.yml` and
`config/prometheus/tests/slo_<system>.yml`; a test finds them stale. `config/slo/README.md` names
the series and alerts.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tapeline.alerting.example_series import ExampleError
from tapeline.alerting.slo import BURN_PAIRS, SLO_FOLDER, Slo, load_slos
from tapeline.alerting.slo_alerts import alert_rules
from tapeline.alerting.slo_queries import errors, events, recorded
from tapeline.alerting.slo_rule_tests import rule_tests
from tapeline.pipeline.loader import ConfigError

__all__ = ["RULES", "TESTS", "generated_files", "rules_of", "stale_files"]

RULES: Final = Path("config/prometheus/rules")
TESTS: Final = Path("config/prometheus/tests")

_INTERVAL: Final = "30s"
_LONG_INTERVAL: Final = "2m"
"""Well under Prometheus' lookback of 5m: an alert that finds no sample begins its `for` anew."""
_COUNT_INTERVAL: Final = "5m"
"""As long as the window that is counted, so that each event is in one sample: they add up."""
_RAW_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h")
"""Read from the telemetry itself."""
_LONG_WINDOWS: Final = ("1d", "3d", "30d")
"""Summed from increase5m: a month of raw samples, twice a minute, would be what costs most."""
_COUNTED: Final = frozenset({pair.long for pair in BURN_PAIRS} | {"30d"})

_NOTICE: Final = (
    "# Made from {source} by `python -m tapeline.alerting.slo_rules`. Change that file.\n"
)


def generated_files(source_root: Path) -> dict[Path, str]:
    """Return every file that there must be, by its path in the checkout, with its content.

    Raises ConfigError for wrong SLO files.
    """
    files: dict[Path, str] = {}
    for system, slos in load_slos(source_root).items():
        name = f"slo_{system}.yml"
        notice = _NOTICE.format(source=SLO_FOLDER / f"{system}.yaml")
        files[RULES / name] = notice + _as_yaml(rules_of(slos))
        try:
            tests = rule_tests(slos, Path("../rules") / name)
        except ExampleError as error:
            raise ConfigError([f"{SLO_FOLDER}/{system}.yaml: {error}"]) from error
        files[TESTS / name] = notice + _as_yaml(tests)
    return files


def stale_files(source_root: Path) -> list[Path]:
    """Return generated files of SLO files that are gone."""
    wanted = generated_files(source_root)
    there = [*(source_root / RULES).glob("slo_*.yml"), *(source_root / TESTS).glob("slo_*.yml")]
    relative = (path.relative_to(source_root) for path in there)
    return sorted(path for path in relative if path not in wanted)


def rules_of(slos: Sequence[Slo]) -> dict[str, Any]:
    """Return the rule file of one system: three groups for each SLO."""
    return {"groups": [group for slo in slos for group in _groups(slo)]}


def _groups(slo: Slo) -> list[dict[str, Any]]:
    name = f"slo_{slo.system}_{slo.name.replace('-', '_')}"
    return [
        {"name": f"{name}_counted", "interval": _COUNT_INTERVAL, "rules": list(_counted(slo))},
        {"name": f"{name}_long", "interval": _LONG_INTERVAL, "rules": list(_long(slo))},
        {"name": name, "interval": _INTERVAL, "rules": [*_short(slo), *alert_rules(slo)]},
    ]


def _counted(slo: Slo) -> Iterator[dict[str, Any]]:
    yield _record(slo, "slo:errors:increase5m", errors(slo.indicator, _COUNT_INTERVAL))
    yield _record(slo, "slo:events:increase5m", events(slo.indicator, _COUNT_INTERVAL))


def _short(slo: Slo) -> Iterator[dict[str, Any]]:
    indicator = slo.indicator
    yield _record(slo, "slo:objective:ratio", f"vector({1 - slo.budget})")
    for window in _RAW_WINDOWS:
        ratio = f"({errors(indicator, window)}) / {events(indicator, window)}"
        yield _record(slo, f"slo:errors_per_event:ratio_rate{window}", ratio)
        if window in _COUNTED:
            yield _record(slo, f"slo:events:increase{window}", events(indicator, window))


def _long(slo: Slo) -> Iterator[dict[str, Any]]:
    bad, all_of_them = (recorded(slo, f"slo:{what}:increase5m") for what in ("errors", "events"))
    for window in _LONG_WINDOWS:
        counted = f"sum_over_time({all_of_them}[{window}])"
        ratio = f"sum_over_time({bad}[{window}]) / {counted}"
        yield _record(slo, f"slo:errors_per_event:ratio_rate{window}", ratio)
        yield _record(slo, f"slo:events:increase{window}", counted)
    month = recorded(slo, "slo:errors_per_event:ratio_rate30d")
    yield _record(slo, "slo:error_budget_remaining:ratio30d", f"1 - {month} / {slo.budget}")


def _record(slo: Slo, name: str, expression: str) -> dict[str, Any]:
    labels = {"slo": slo.name, "system": slo.system, "service": slo.service}
    return {"record": name, "expr": expression, "labels": labels}


class _Dumper(yaml.SafeDumper):
    """Writes every list and mapping out: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _as_yaml(document: Any) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=98, allow_unicode=True)
    return text


def main() -> int:
    """Write the files of this checkout, remove those of SLO files that are gone."""
    source_root = Path(__file__).resolve().parents[3]
    try:
        files = generated_files(source_root)
    except ConfigError as error:
        sys.stderr.writelines(f"{problem}\n" for problem in error.problems)
        return 2
    for path, content in files.items():
        (source_root / path).parent.mkdir(parents=True, exist_ok=True)
        (source_root / path).write_text(content, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    for path in stale_files(source_root):
        (source_root / path).unlink()
        sys.stdout.write(f"removed {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
