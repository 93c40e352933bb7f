"""The coverage tables: each row names what is there, and it is as the row says."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from coverage_tables import KINDS, PAGES, Row, complaints_of, metrics_of, read_rows

SYSTEMS = ("veloz", "py_rt", "b25", "ktrdr")
HEADER = "| kind | name | document says | here | proof |\n|---|---|---|---|---|\n"
PROOF = "tests/docs/test_systems.py::test_a_row_that_is_right_has_no_complaint"

VELOZ_RULES = "config/prometheus/rules/veloz.yml"
B25_CASES = "config/prometheus/tests/b25.yml"


def _rows(system: str) -> list[Row]:
    path = PAGES / f"{system}.md"
    assert path.is_file(), f"docs/systems/{system}.md is not written"
    return read_rows(path)[0]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_row_can_be_read(system: str) -> None:
    """Five columns, a known kind, a name, nothing left open."""
    assert _rows(system)
    complaints = read_rows(PAGES / f"{system}.md")[1]

    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_row_names_what_is_there(system: str) -> None:
    """Metrics by name, type, labels and buckets; the rest by name; each proof is a test."""
    complaints = [complaint for row in _rows(system) for complaint in complaints_of(row)]

    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_table_is_not_one_of_excuses(system: str) -> None:
    """Metrics, alerts and more that live here under the document's names."""
    here = Counter(row.kind for row in _rows(system) if not row.is_another_way)

    assert here["metric"] >= 3
    assert len(here) >= 6
    assert set(here) <= KINDS


def test_no_row_stands_twice() -> None:
    """The same thing of the same document, once."""
    twice = [
        key
        for system in SYSTEMS
        if (PAGES / f"{system}.md").is_file()
        for key, count in Counter((system, r.kind, r.name, r.says) for r in _rows(system)).items()
        if count > 1
    ]

    assert not twice


def _row(kind: str, name: str, says: str, here: str = "floor/veloz/gateway_metrics.py") -> Row:
    return Row(PAGES / "veloz.md", 7, kind, name, says, here, PROOF)


def test_a_row_that_is_right_has_no_complaint() -> None:
    """A metric, an alert, another way."""
    rows = [
        _row("metric", "veloz_http_requests_total", "Counter{method,endpoint,status}"),
        _row("alert", "VeloZGatewayDown", "up == 0 for 1m, critical", VELOZ_RULES),
        _row("metric", "anything", "a number", "another way: nothing makes it, since x"),
        replace(_row("later", "Thanos", "two of them", "no cluster here"), proof="none"),
        _row("alert", "OrderLatencyHigh", "x", "another way: VelozHighOrderLatency is the same"),
        _row("panel", "all of it", "x", "another way: tapeline-overview has it"),
    ]

    assert [complaint for row in rows for complaint in complaints_of(row)] == []
    assert metrics_of("veloz")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (_row("metric", "veloz_nothing_total", "Counter{}"), "makes no such metric; no module"),
        (
            _row("metric", "veloz_http_requests_total", "Gauge{method,endpoint,status}"),
            "it is Counter{method,endpoint,status}",
        ),
        (
            _row("metric", "veloz_http_requests_total", "Counter{method}"),
            "it is Counter{method,endpoint,status}",
        ),
        (
            _row("metric", "veloz_http_request_duration_seconds",
                 "Histogram{method,endpoint} buckets 0.001 0.005"),
            "it is Histogram{method,endpoint} buckets 0.001 0.005 0.01",
        ),
        (_row("metric", "veloz_http_requests_total", "a counter"), "is not of the form"),
        (_row("alert", "VelozNothing", "x"), "there is no such alert"),
        (
            _row("alert", "VeloZGatewayDown", "up == 0 for 5m, critical", VELOZ_RULES),
            "the document says for 5m, the rule for 1m",
        ),
        (
            _row("alert", "VeloZGatewayDown", "up == 0, critical", VELOZ_RULES),
            "the rule waits for 1m, of which the document says nothing, nor does the row",
        ),
        (
            _row("alert", "VeloZGatewayDown", "up == 0 for 1m, high", VELOZ_RULES),
            "high is warning/P2 here, the rule has critical/P1",
        ),
        (
            _row("alert", "VeloZGatewayDown", "up < 1 for 1m, critical", VELOZ_RULES),
            "the rule does not ask for < 1",
        ),
        (_row("recording rule", "veloz:nothing", "x"), "no rule records it"),
        (
            replace(_row("recording rule", "veloz:orders:rate_5m", "x"), proof=B25_CASES),
            "config/prometheus/tests/b25.yml asks for no value of it",
        ),
        (_row("slo", "nothing", "x"), "config/slo/veloz.yaml has "),
        (_row("dashboard", "nothing", "x"), "no dashboard has this uid"),
        (_row("panel", "nothing / Title", "x"), "no dashboard has the uid 'nothing'"),
        (_row("log query", "nothing", "x"), "config/loki/queries/veloz.yaml has no query of this"),
        (_row("runbook", "Nothing", "x"), "docs/runbooks/Nothing.md is not there"),
        (_row("route", "nothing", "x"), "no receiver has this name"),
        (_row("trace", "a", "x", "floor/veloz/nothing.py"), "floor/veloz/nothing.py is not there"),
        (_row("trace", "a", "x", "another way:"), "it does not say which other way"),
        (
            _row("metric", "veloz_nothing", "Gauge{}", "another way: veloz/engine_metrics.py"),
            "veloz/engine_metrics.py makes no such metric",
        ),
        *(
            (_row(kind, "nothing", "x", "another way: by something else"), "neither its name nor")
            for kind in ("alert", "slo", "dashboard", "panel", "log query", "route")
        ),
        (
            replace(_row("trace", "a", "x"), proof="another way: by eye"),
            "'another way: by eye' is no proof",
        ),
        (
            replace(_row("trace", "a", "x"), proof="tests/docs/test_systems.py"),
            "tests/docs/test_systems.py is many tests",
        ),
        (replace(_row("trace", "a", "x"), proof="by eye"), "'by eye' is no proof"),
        (replace(_row("trace", "a", "x"), proof="tests/a/test_b.py::test_c"), "is not there"),
        (
            replace(_row("trace", "a", "x"), proof="tests/docs/test_systems.py::test_nothing"),
            "tests/docs/test_systems.py has no test_nothing",
        ),
        (
            replace(_row("alert", "VeloZGatewayDown", "x"), proof=B25_CASES),
            "has no case 'VeloZGatewayDown fires'",
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_is_found(row: Row, told: str) -> None:
    """With the page, the line, and what is there in its place."""
    complaints = list(complaints_of(row))

    assert any(told in complaint for complaint in complaints), complaints
    assert all(
        complaint.startswith(f"veloz.md:7: {row.kind} {row.name}: ") for complaint in complaints
    )


def test_a_row_that_can_not_be_read_is_found(tmp_path: Path) -> None:
    """An unknown kind, a column too many, no name, an open cell."""
    page = tmp_path / "a.md"
    rows = ("| widget | `a` | x | y | z |", "| alert | `a` | x | y | z | w |",
            "| alert | a | x | y | z |", "| alert | `a` | x |  | z |",
            "| alert | `a` | x \\| y | here | z |")  # fmt: skip
    page.write_text(HEADER + "\n".join(rows), encoding="utf-8")

    read, complaints = read_rows(page)

    assert [row.says for row in read] == ["x | y"]
    assert [complaint.partition(": ")[0] for complaint in complaints] == [
        f"a.md:{line}" for line in (3, 4, 5, 6)
    ]
    assert "'widget' is no kind" in complaints[0]
    assert "6 columns, not 5" in complaints[1]
    assert "is not one name in backticks" in complaints[2]
    assert "here is empty" in complaints[3]
