"""The pytest plugin, as a project that has Tapeline installed meets it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tapeline.testing import plugin, replays

pytest_plugins = ["pytester"]

# pytester forgets what a run inside this process imported first, and libyaml can't be imported
# twice: so it is there before.
IMPORTED = replays

NO_CHAIN = "NONE = {'chain': {'logs': [], 'traces': [], 'metrics': []}}\n"
TEST = f"""
{NO_CHAIN}
def test_orders(tapeline_replay):
    outcome = tapeline_replay([{{"log": {{"body": "BODY"}}}}], NONE)
    outcome.assert_golden("orders")
"""
GOLDEN = """\
# What came out, to be reviewed by a person. `pytest --tapeline-update` writes it anew.
tapeline_golden: 1
logs:
  - resource: {}
    records:
      - time: 2026-01-01T00:00:00.000000000Z
        body: hello
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a test whose golden is there."""
    pytester.makepyfile(test_orders=TEST.replace("BODY", "hello"))
    _golden(pytester).parent.mkdir(parents=True)
    _golden(pytester).write_text(GOLDEN, encoding="utf-8")
    return pytester


def _golden(pytester: pytest.Pytester) -> Path:
    return pytester.path / "goldens" / "test_orders" / "orders.yaml"


def _change(pytester: pytest.Pytester, body: str) -> None:
    pytester.makepyfile(test_orders=TEST.replace("BODY", body))


def test_a_golden_that_says_the_same_passes(project: pytest.Pytester) -> None:
    """And nothing is told of goldens."""
    result = project.runpytest()

    result.assert_outcomes(passed=1)
    assert "obsolete goldens" not in result.stdout.str()
    assert "written" not in result.stdout.str()


def test_a_missing_golden_tells_the_command_that_writes_it(project: pytest.Pytester) -> None:
    """Which, run as it stands, writes it."""
    _golden(project).unlink()
    result = project.runpytest()

    result.assert_outcomes(failed=1)
    command = "pytest --tapeline-update 'test_orders.py::test_orders'"
    assert command in result.stdout.str()
    assert not _golden(project).exists()
    subprocess.run(
        ["/bin/bash", "-c", f"'{sys.executable}' -m {command}"], cwd=project.path, check=False
    )
    assert _golden(project).read_text(encoding="utf-8") == GOLDEN


def test_a_difference_shows_the_lines_and_where_they_stand(project: pytest.Pytester) -> None:
    """With the keys above them, since a record may be long."""
    _change(project, "good bye")
    result = project.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*not as in goldens/test_orders/orders.yaml (- golden, + now):",
            "*@@ logs",
            "*-*body: hello",
            "*+*body: good bye",
            "*pytest --tapeline-update 'test_orders.py::test_orders'",
        ]
    )
    assert _golden(project).read_text(encoding="utf-8") == GOLDEN


def test_the_run_that_wrote_a_golden_fails_and_the_next_one_passes(
    project: pytest.Pytester,
) -> None:
    """So the flag can't be left on unnoticed; without a change it writes nothing and passes."""
    _change(project, "good bye")
    writing = project.runpytest("--tapeline-update")
    again = project.runpytest("--tapeline-update")

    assert writing.ret == pytest.ExitCode.TESTS_FAILED
    writing.assert_outcomes(passed=1, errors=1)
    writing.stdout.fnmatch_lines(
        ["*tapeline: goldens written*", "goldens/test_orders/orders.yaml", "*this run failed."]
    )
    assert _golden(project).read_text(encoding="utf-8") == GOLDEN.replace("hello", "good bye")
    assert again.ret == pytest.ExitCode.OK


def test_the_run_that_wrote_a_golden_fails_though_its_test_is_expected_to(
    project: pytest.Pytester,
) -> None:
    """An xfail hides a failure at the test's end, not that of the run."""
    expected = TEST.replace("BODY", "new").replace("def test", "@pytest.mark.xfail\ndef test")
    project.makepyfile(test_orders=f"import pytest\n{expected}")

    result = project.runpytest("--tapeline-update")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "new" in _golden(project).read_text(encoding="utf-8")


def test_what_a_person_adds_to_a_golden_stays(project: pytest.Pytester) -> None:
    """Comments, quotes and line breaks are theirs, as long as it says the same."""
    commented = GOLDEN.replace("body: hello", 'body: "hello"  # As in the incident of March.')
    _golden(project).write_text(commented, encoding="utf-8")

    result = project.runpytest("--tapeline-update")

    result.assert_outcomes(passed=1)
    assert _golden(project).read_text(encoding="utf-8") == commented


@pytest.mark.parametrize("text", ["logs: [", "just text", "\udcff"])
def test_a_broken_golden_is_told_and_can_be_written_anew(
    project: pytest.Pytester, text: str
) -> None:
    """Rather than raising what the YAML reader raises."""
    _golden(project).write_bytes(text.encode("utf-8", "surrogateescape"))
    broken = project.runpytest()
    writing = project.runpytest("--tapeline-update")

    broken.assert_outcomes(failed=1)
    broken.stdout.fnmatch_lines(["*goldens/test_orders/orders.yaml*", "*--tapeline-update*"])
    assert writing.ret == pytest.ExitCode.TESTS_FAILED
    assert _golden(project).read_text(encoding="utf-8") == GOLDEN


def test_two_tests_can_not_share_a_golden_of_different_content(
    project: pytest.Pytester,
) -> None:
    """Else they would overwrite each other's with each update."""
    second = TEST.replace("BODY", "other").replace("def test_orders", "def test_more")
    project.makepyfile(test_orders=TEST.replace("BODY", "hello") + second.replace(NO_CHAIN, ""))

    result = project.runpytest("--tapeline-update")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*share the golden goldens/test_orders/orders.yaml*(- the first, + this one):",
            "*@@ logs*",
            "*-        body: hello",
            "*+        body: other",
            "*Give each a name of its own*",
        ]
    )
    assert _golden(project).read_text(encoding="utf-8") == GOLDEN


def test_a_name_that_is_no_file_name_is_refused(pytester: pytest.Pytester) -> None:
    """It must not lead out of the folder."""
    pytester.makepyfile(TEST.replace('"orders"', '"../orders"'))

    result = pytester.runpytest("--tapeline-update")

    result.assert_outcomes(failed=1)
    assert not list(pytester.path.rglob("*.yaml"))


def _with_obsolete(project: pytest.Pytester) -> None:
    for path in ("test_orders/old.yaml", "test_gone/old.yaml"):
        target = project.path / "goldens" / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(GOLDEN, encoding="utf-8")


def test_goldens_that_no_test_asks_for_are_told(project: pytest.Pytester) -> None:
    """Those of tests that ran whole, and those of test files that are gone; nothing is removed."""
    _with_obsolete(project)
    result = project.runpytest()

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "*tapeline: obsolete goldens*",
            "goldens/test_gone/old.yaml",
            "goldens/test_orders/old.yaml",
            "No test asked for them*",
        ]
    )
    assert "orders/orders.yaml" not in result.stdout.str()
    assert len(list(project.path.rglob("*.yaml"))) == 3


@pytest.mark.parametrize(
    "arguments", [["-k", "orders"], ["test_orders.py::test_orders"], ["-x"], []], ids=str
)
def test_a_run_in_part_calls_no_golden_obsolete(
    project: pytest.Pytester, arguments: list[str]
) -> None:
    """A test that was left out, or did not come to its end, may ask for it."""
    _with_obsolete(project)
    more = "\ndef test_a_second(tapeline_replay):\n    assert 'orders' == ''\n"
    project.makepyfile(test_orders=TEST.replace("BODY", "hello") + more)

    result = project.runpytest(*arguments)

    assert "goldens/test_orders/old.yaml" not in result.stdout.str()


def test_a_run_that_stopped_early_calls_no_golden_obsolete(project: pytest.Pytester) -> None:
    """Tests that were never begun may ask for it."""
    project.makepyfile(test_first="def test_first(tapeline_replay):\n    raise ValueError\n")

    result = project.runpytest("-x")

    result.assert_outcomes(failed=1)
    assert "obsolete goldens" not in result.stdout.str()


def test_workers_of_xdist_tell_what_they_wrote() -> None:
    """Their exit codes are not the run's."""
    config = SimpleNamespace(stash=pytest.Stash(), workeroutput={})
    plugin.pytest_configure(config)  # type: ignore[arg-type]
    config.stash[plugin._LOG].written.append("goldens/a.yaml")
    session = SimpleNamespace(config=config, exitstatus=pytest.ExitCode.OK)
    main = SimpleNamespace(stash=pytest.Stash())
    plugin.pytest_configure(main)  # type: ignore[arg-type]

    plugin.pytest_sessionfinish(session)  # type: ignore[arg-type]
    assert json.dumps(config.workeroutput)
    plugin.pytest_testnodedown(SimpleNamespace(config=main, workeroutput=config.workeroutput))
    run = SimpleNamespace(config=main, exitstatus=pytest.ExitCode.OK)
    plugin.pytest_sessionfinish(run)  # type: ignore[arg-type]

    assert run.exitstatus == pytest.ExitCode.TESTS_FAILED


def test_recordings_and_configurations_are_found_beside_the_test(
    pytester: pytest.Pytester,
) -> None:
    """Wherever pytest was started; what is wrong with them is told."""
    folder = pytester.mkdir("sub")
    line = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}
    (folder / "one.otlp.jsonl").write_text(json.dumps(line), encoding="utf-8")
    (folder / "gate.yaml").write_text("chain: {logs: []}\n", encoding="utf-8")
    (folder / "bad.yaml").write_text("chain: {lugs: []}\n", encoding="utf-8")
    (folder / "cut.otlp.jsonl").write_text(json.dumps(line) + "\n{", encoding="utf-8")
    (folder / "test_sub.py").write_text(
        """
def test_good(tapeline_replay):
    assert [log.body for log in tapeline_replay("one.otlp.jsonl", "gate.yaml").logs] == ["x"]
def test_bad_config(tapeline_replay):
    tapeline_replay("one.otlp.jsonl", "bad.yaml")
def test_no_recording(tapeline_replay):
    tapeline_replay("none.otlp.jsonl", "gate.yaml")
def test_cut(tapeline_replay):
    tapeline_replay("cut.otlp.jsonl", "gate.yaml")
def test_cut_allowed(tapeline_replay):
    assert len(tapeline_replay("cut.otlp.jsonl", "gate.yaml", allow_flaws=True).logs) == 1
def test_inline(tapeline_replay):
    tapeline_replay("one.otlp.jsonl", {"chain": {"lugs": []}})
""",
        encoding="utf-8",
    )

    result = pytester.runpytest("sub")

    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        [
            "*ConfigError: *bad.yaml:1: unknown key 'lugs' in 'chain'; did you mean 'logs'?",
            "*none.otlp.jsonl: can't be read: No such file*",
            "*cut.otlp.jsonl: message 2, at byte *: *",
            "*ConfigError: config: unknown key 'lugs'*",
        ]
    )


def test_the_plugin_imports_nothing_that_takes_time() -> None:
    """It is imported by every run of pytest where Tapeline is installed."""
    code = (
        "import sys, pytest; before = set(sys.modules); import tapeline.testing.plugin\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    )
    new = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "tapeline.testing.plugin" in new
    heavy = {"google", "grpc", "hyperscan", "yaml", "pydantic", "prometheus_client", "aiohttp"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in new)
    assert [name for name in new if name.startswith("tapeline")] == [
        "tapeline", "tapeline.testing", "tapeline.testing.plugin",
    ]  # fmt: skip
