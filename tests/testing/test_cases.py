"""Declarative tests: what is given, what must come out, and the lines that say what did not."""

import json
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from fake_secrets import secret_text, seeded
from tapeline import cli
from tapeline.testing.case_file import read_cases
from tapeline.testing.case_report import junit_xml, lines_of
from tapeline.testing.case_run import CaseResult, run_case

ROOT = Path(__file__).parents[2]
NO_CHAIN = "config: {chain: {logs: [], traces: [], metrics: []}}\n"
SECRET = secret_text(seeded(5))


def _file(folder: Path, tests: str, head: str = NO_CHAIN, name: str = "a.test.yaml") -> Path:
    path = folder / name
    path.write_text(f"{head}tests:\n{textwrap.indent(textwrap.dedent(tests), '  ')}", "utf-8")
    return path


def _case(folder: Path, given: str, expect: str, head: str = NO_CHAIN) -> CaseResult:
    """Run one test; lines 2 to 5 of the file are its frame, `given` begins at 5."""
    text = f"- name: it\n  given:\n{textwrap.indent(textwrap.dedent(given).strip(), '    ')}\n"
    text += f"  expect:\n{textwrap.indent(textwrap.dedent(expect).strip(), '    ')}\n"
    return run_case(read_cases(_file(folder, text, head)), 0)


def _short(folder: Path, result: CaseResult) -> list[str]:
    return [failure.replace(f"{folder}/a.test.yaml", "") for failure in result.failures]


GIVEN = """
- log: {body: one, attributes: {n: 1}}
- log: {body: two, attributes: {n: 2}}
- span: {name: buy}
- metric: {name: fills, type: sum, value: 3, at: 1s}
- metric: {name: fills, type: sum, value: 5, at: 2s}
"""
ALL = """
logs: [{body: two}, {attributes: {n: 1}}]
spans: [{name: buy}]
metrics: [{name: fills, value: 5}]
"""


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    """Logs and spans one by one, metrics by series; order makes no difference."""
    result = _case(tmp_path, GIVEN, ALL)

    assert (result.failures, result.problems) == ((), ())
    assert (result.name, result.place) == ("it", f"{tmp_path}/a.test.yaml:3")


@pytest.mark.parametrize(
    ("expect", "failures"),
    [
        (
            "{logs: [{body: three}, {body: one}], others: allowed}",
            [
                (
                    ':11: no log is as expected; the nearest is log "two" at'
                    ' 2026-01-01T00:00:00.000000000Z\n    body\n      - expected "three"'
                    '\n      + is "two"'
                )
            ],
        ),
        ("{spans: [{name: buy}, {}], others: allowed}", [":11: no span is as expected: all that"]),
        (
            "{logs: [{body: one}], spans: [{}], metrics: [{}]}",
            [':11: a log that is not expected: log "two" at '],
        ),
        (
            "{logs: [{}, {}], spans: [{}]}",
            [":10: a metric that is not expected: fills {} = 5"],
        ),
        ("{others: allowed, counts: {logs: 2, spans: 1, metrics: 1}}", []),
        ("{others: allowed, counts: {logs: 3}}", [":11: number of logs: expected 3, is 2"]),
        ("{others: allowed, counts: {logs: {$ge: 3}}}", [":11: number of logs: expected $ge 3"]),
        ("{others: allowed, refused: [late]}", [":11: no batch was refused for 'late'"]),
        ("{others: allowed, audit: {x: 1}}", [":11: no metric 'x' in this chain; there are none"]),
        ("{others: allowed, audit: {'x y': 1}}", [":11: not a metric: write name or name{"]),
        ("{others: allowed, no_secret: [three]}", []),
        ("{others: allowed, no_secret: [fills]}", [":11: 1 places hold a secret:\n  secret 1 (of"]),
        ("{others: allowed, no_secret: true}", []),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_line(
    expect: str, failures: list[str], tmp_path: Path
) -> None:
    """Of the expectation, the nearest record and where it differs."""
    result = _case(tmp_path, GIVEN, expect)

    told = _short(tmp_path, result)
    assert len(told) == len(failures), told
    assert all(line.startswith(begin) for line, begin in zip(told, failures, strict=True)), told


def test_expectations_that_overlap_each_get_a_record(tmp_path: Path) -> None:
    """The first may not take the only one that fits the second."""
    result = _case(tmp_path, GIVEN, "{logs: [{}, {body: one}], others: allowed}")

    assert result.failures == ()


def test_what_came_in_is_not_what_comes_out(tmp_path: Path) -> None:
    """The chain of the configuration ran, and its counters are there to ask."""
    head = "config: {chain: {logs: [redaction]}}\n"
    given = f'- log: {{body: "password={SECRET}"}}'
    audit = '\'tapeline_redaction_hits_total{rule="password",signal="logs"}\': 1'

    good = _case(
        tmp_path, given, f"{{logs: [{{body: {{$contains: REDACTED}}}}], audit: {{{audit}}},"
        f" no_secret: ['{SECRET}']}}", head,
    )  # fmt: skip
    wrong = _case(tmp_path, given, f"{{logs: [{{body: 'password={SECRET}'}}]}}", head)

    assert (good.failures, good.problems) == ((), ())
    assert wrong.failures


def test_time_passes_where_the_test_says_so(tmp_path: Path) -> None:
    """A processor with a window emits in it; times count from the start."""
    given = "- wait: 10m\n- log: {body: x, at: 5s}"
    result = _case(
        tmp_path, given, "{logs: [{time: 2030-01-01T00:00:05.000000000Z}]}",
        NO_CHAIN + "start: 2030-01-01T00:00:00Z\n",
    )  # fmt: skip

    assert (result.failures, result.problems) == ((), ())


def test_more_time_than_can_pass_at_once_is_told_with_its_line(tmp_path: Path) -> None:
    """Rather than a run that never ends, or ends with all others."""
    result = _case(tmp_path, "[{wait: 1000h}]", "{}")

    assert len(result.problems) == 1
    assert "a.test.yaml:" in result.problems[0]
    assert "at most 100000 at once" in result.problems[0]


def test_fewer_than_no_processes_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything runs."""
    assert cli.main(["test", str(tmp_path), "--jobs", "-3"]) == 2

    assert "--jobs takes 1 or more" in capsys.readouterr().err


def test_what_the_chain_refuses_fails_unless_it_is_expected(tmp_path: Path) -> None:
    """By a part of the reason."""
    (tmp_path / "raiser.py").write_text(
        textwrap.dedent(
            """
            from tapeline.kit import LogRecord, processor

            @processor(name="raiser")
            def raiser(record: LogRecord) -> None:
                raise ValueError("no")
            """
        ),
        encoding="utf-8",
    )
    head = "config: {plugins: [raiser.py], chain: {logs: [raiser], traces: [], metrics: []}}\n"

    unexpected = _case(tmp_path, "- log: {body: x}", "{}", head)
    expected = _case(tmp_path, "- log: {body: x}", "{refused: [ailed]}", head)

    assert [": batch 1 was refused: " in line for line in unexpected.failures] == [True]
    assert (expected.failures, expected.problems) == ((), ())


def test_a_recording_may_be_given(tmp_path: Path) -> None:
    """From the test file's folder; one that can't be read is a problem, no failure."""
    line = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}
    (tmp_path / "one.jsonl").write_text(json.dumps(line), encoding="utf-8")

    found = _case(tmp_path, "- recording: one.jsonl", "{logs: [{body: x}]}")
    gone = _case(tmp_path, "- recording: gone.jsonl", "{}")

    assert (found.failures, found.problems) == ((), ())
    assert [
        problem.endswith("gone.jsonl: can't be read: No such file or directory")
        for problem in gone.problems
    ] == [True]


def test_the_configuration_of_the_same_name_is_tested(tmp_path: Path) -> None:
    """With variables that the test file sets; resources have what it says of all."""
    (tmp_path / "a.yaml").write_text(
        "chain: {logs: ['${env:STEP}'], traces: [], metrics: []}\n", encoding="utf-8"
    )
    head = "environment: {STEP: redaction}\nresource: {service.name: orders}\n"

    result = _case(
        tmp_path, "- log: {body: x}", "{logs: [{resource: {service.name: orders}}]}", head
    )
    wrong = _case(tmp_path, "- log: {}", "{}", "environment: {STEP: nothing}\n")

    assert (result.failures, result.problems) == ((), ())
    assert "a.yaml:1: chain.logs: no processor 'nothing' is installed" in wrong.problems[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tests: []", ":1: tests: List should have at least 1 item"),
        ("tests:\n- name: x\n  given: []\n  expect: {}", ":3: tests[0].given: List should have"),
        ("tests:\n- {name: x, given: [{log: {}}]}", ":2: tests[0].expect: Field required"),
        (
            "tests:\n- name: x\n  given: [{log: {}}]\n  expect:\n    lugs: []",
            ":5: unknown key 'lugs' in 'tests[0].expect'; did you mean 'logs'?",
        ),
        (
            "tests:\n- name: x\n  given:\n  - {log: {}, span: {}}\n  expect: {}",
            ":4: tests[0].given[0]: must be one of log, span, metric, recording and wait",
        ),
        (
            "tests:\n- name: x\n  given: [{log: {}}]\n  expect:\n    logs:\n    - body: {$rx: a}",
            ":6: no operator $rx; there are $all, $contains",
        ),
        ("start: noon\ntests: []", ":1: start: 'noon' is no time such as"),
        (
            "tests:\n- name: x\n  given: [{wait: 5}]\n  expect: {}",
            ":3: tests[0].given[0].wait: not",
        ),
        ("tests: {", ":1: not valid YAML"),
    ],
)
def test_a_file_that_can_not_be_used_is_told_with_file_and_line(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    path = tmp_path / "bad.test.yaml"
    path.write_text(text, encoding="utf-8")

    assert cli.main(["test", str(path)]) == 2

    assert f"{path}{problem}" in capsys.readouterr().err


def test_a_record_that_can_not_be_built_is_told_with_its_line(tmp_path: Path) -> None:
    """That of the key at fault."""
    result = _case(tmp_path, "- log:\n    body: x\n    severity: LOUD", "{}")

    assert result.problems[0].startswith(f"{tmp_path}/a.test.yaml:7: does not fit")


def test_dollars_and_times_in_a_test_are_what_they_look_like(tmp_path: Path) -> None:
    """Nothing is expanded, and no time loses its nanoseconds."""
    given = "- log: {body: 'cost ${env:PRICE} $$5', time: 2026-01-01T00:00:00.000000001Z}"
    expect = "{logs: [{body: 'cost ${env:PRICE} $$5', time: 2026-01-01T00:00:00.000000001Z}]}"

    result = _case(tmp_path, given, expect)

    assert (result.failures, result.problems) == ((), ())


PASSING = """\
- name: passes
  given: [{log: {body: x}}]
  expect: {logs: [{body: x}]}
"""
FAILING = """\
- name: fails
  given: [{log: {body: x}}]
  expect: {logs: [{body: y}]}
"""


def test_all_files_below_a_folder_are_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In processes of their own; what passed is counted, and named on request."""
    (tmp_path / "deeper").mkdir()
    _file(tmp_path, PASSING)
    _file(tmp_path / "deeper", PASSING, name="b.test.yaml")
    (tmp_path / "other.yaml").write_text("no: test", encoding="utf-8")

    assert cli.main(["test", "--jobs", "2", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 passed, 0 failed, in 2 files\n"
    assert cli.main(["test", "--jobs", "1", "-v", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"ok    {tmp_path}/a.test.yaml:3: passes",
        f"ok    {tmp_path}/deeper/b.test.yaml:3: passes",
    ]


def test_a_failure_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a file that can't be used weighs more, though the others are run."""
    path = _file(tmp_path, PASSING + FAILING)

    assert cli.main(["test", str(path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"FAIL  {path}:6: fails"
    assert told[-1] == "1 passed, 1 failed, in 1 file"

    assert cli.main(["test", str(path), str(tmp_path / "gone.test.yaml")]) == 2
    printed = capsys.readouterr()
    assert "1 passed, 1 failed" in printed.out
    assert "gone.test.yaml: no such file" in printed.err


def test_no_test_at_all_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without one is likelier a slip than a success."""
    assert cli.main(["test", str(tmp_path)]) == 2

    printed = capsys.readouterr()
    assert "no file below it is named *.test.yaml" in printed.err
    assert printed.out == ""


def test_json_has_each_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its place and what failed."""
    path = _file(tmp_path, PASSING + FAILING)

    assert cli.main(["test", "--json", "--jobs", "1", str(path)]) == 1

    passed, failed = json.loads(capsys.readouterr().out)
    assert (passed["passed"], passed["failures"]) == (True, [])
    assert (failed["passed"], failed["place"]) == (False, f"{path}:6")
    assert "no log is as expected" in failed["failures"][0]


def test_junit_has_suites_cases_failures_and_errors(tmp_path: Path) -> None:
    """As CI systems read it."""
    unusable = "- name: breaks\n  given: [{log: {bodi: x}}]\n  expect: {}\n"
    path = _file(tmp_path, PASSING + FAILING + unusable)
    report = tmp_path / "junit.xml"

    assert cli.main(["test", "--jobs", "1", "--junit", str(report), str(path)]) == 2

    (suite,) = ET.parse(report).getroot()  # noqa: S314 - our own.
    counts = {name: suite.get(name) for name in ("name", "tests", "failures", "errors")}
    assert counts == {"name": str(path), "tests": "3", "failures": "1", "errors": "1"}
    cases = {case.get("name"): [inner.tag for inner in case] for case in suite}
    assert cases == {"passes": [], "fails": ["failure"], "breaks": ["error"]}
    failure = suite[1][0]
    assert "no log is as expected" in (failure.get("message") or "")
    assert 'expected "y"' in (failure.text or "")


def test_a_report_that_can_not_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI would else read an older one."""
    path = _file(tmp_path, PASSING)

    assert cli.main(["test", "--junit", str(tmp_path / "no" / "x.xml"), str(path)]) == 2

    assert "x.xml: No such file or directory" in capsys.readouterr().err


def test_junit_holds_no_character_that_xml_can_not() -> None:
    """Telemetry may hold any."""
    result = CaseResult("f", "f:1", "a\x00b\x1b\ud800", 0.0, ("x\ufffe\ny",))

    (suite,) = ET.fromstring(junit_xml([result]))  # noqa: S314 - our own.

    assert suite[0].get("name") == "a\ufffdb\ufffd\ufffd"
    assert suite[0][0].text == "x\ufffd\ny"


def test_lines_have_colours_by_what_they_tell() -> None:
    """What was expected is green, what is there is red."""
    failure = 'f:1: no log is as expected\n    body\n      - expected "a"\n      + is "b"'
    result = CaseResult("f", "f:1", "x", 0.0, (failure,))

    assert [colour for colour, _ in lines_of(result)] == [
        "bold red", "default", "default", "green", "red",
    ]  # fmt: skip


def test_the_schema_takes_what_is_read_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own file, for one; and it refuses a slip."""
    assert cli.main(["test", "--schema"]) == 0
    schema: dict[str, Any] = json.loads(capsys.readouterr().out)
    good = yaml.safe_load((ROOT / "config" / "gate.test.yaml").read_text(encoding="utf-8"))

    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(good | {"test": []}, schema)


def test_the_gates_own_tests_pass_and_would_fail_without_its_redaction(tmp_path: Path) -> None:
    """They show what the reference configuration promises."""
    own = ROOT / "config" / "gate.test.yaml"
    read = read_cases(own)
    results = [run_case(read, number) for number in range(len(read.content.tests))]
    text = own.read_text(encoding="utf-8")
    (tmp_path / "without.test.yaml").write_text(NO_CHAIN + text, encoding="utf-8")
    without = read_cases(tmp_path / "without.test.yaml")

    assert [result.failures + result.problems for result in results] == [()] * len(results)
    assert len(results) >= 4
    failed = [bool(run_case(without, number).failures) for number in range(len(results))]
    promises = [case.expect.no_secret is not False for case in read.content.tests]
    assert failed == promises
