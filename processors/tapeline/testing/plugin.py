"""The pytest plugin, by the entry point `pytest11`: to install Tapeline is enough.

Every run of pytest imports this module, so it imports nothing but pytest; what replays is imported
with the first test that asks for it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tapeline.testing.replays import Replays

__all__ = ["tapeline_replay", "tapeline_session"]

_UPDATE: Final = "--tapeline-update"
_FOLDER: Final = "goldens"
_OUTPUT: Final = "tapeline_written"


@dataclass(slots=True)
class GoldenLog:
    """What a run did with goldens: texts asserted by path, and the files that it wrote.

    `left` counts the tests of each test file that are yet to end; `incomplete` are the files of
    which some test was left out, or did not pass.
    """

    asserted: dict[Path, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    left: Counter[Path] = field(default_factory=Counter)
    incomplete: set[Path] = field(default_factory=set)


_LOG: Final = pytest.StashKey[GoldenLog]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option."""
    parser.getgroup("tapeline").addoption(
        _UPDATE,
        action="store_true",
        help="write goldens that are missing or differ; the run that wrote one fails",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin the run's log."""
    config.stash[_LOG] = GoldenLog()


@pytest.fixture
def tapeline_replay(_tapeline_replays: "Replays") -> Any:
    """Replay a recording through a configuration's chain, and return the outcome.

    `tapeline_replay("session.otlp.jsonl", config="gate.yaml")`; files are looked for beside the
    test. See `tapeline.testing.replays.Replays.replay`.
    """
    return _tapeline_replays.replay


@pytest.fixture
def tapeline_session(_tapeline_replays: "Replays") -> Any:
    """Begin a session that the test feeds, and whose clock it moves.

    `session = tapeline_session(config="gate.yaml", start="2026-01-01T00:00:00Z")`, then
    `session.feed(…)`, `session.advance("10m")`, `session.outcome()`.
    """
    return _tapeline_replays.session


@pytest.fixture
def _tapeline_replays(request: pytest.FixtureRequest) -> Iterator["Replays"]:
    from tapeline.testing.golden_files import GoldenFolder  # noqa: PLC0415 - see the module.
    from tapeline.testing.replays import Replays  # noqa: PLC0415 - as above.

    config, path = request.config, request.path
    log = config.stash[_LOG]
    goldens = GoldenFolder(
        path=path.parent / _FOLDER / path.stem,
        rewrite=bool(config.getoption(_UPDATE)),
        command=f"pytest {_UPDATE} '{request.node.nodeid}'",
        asserted=log.asserted,
    )
    yield Replays(path.parent, goldens)
    if goldens.written:
        names = [_shown(written, config) for written in goldens.written]
        log.written.extend(names)
        pytest.fail(f"this test wrote {', '.join(names)}: review, and run again", pytrace=False)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which test files take part; one of which single tests were asked for does so in part."""
    config = session.config
    log = config.stash[_LOG]
    log.left.update(item.path for item in session.items)
    for argument in config.args:
        name, separator, _ = argument.partition("::")
        if separator:
            log.incomplete.add((config.invocation_params.dir / name).resolve())


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note what is left out by -k, -m and others."""
    for item in items:
        item.config.stash[_LOG].incomplete.add(item.path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Note tests that did not pass: which goldens they would have asserted is not known."""
    report: pytest.TestReport = yield
    log = item.config.stash[_LOG]
    if report.outcome != "passed":
        log.incomplete.add(item.path)
    if report.when == "teardown":
        log.left[item.path] -= 1
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run that wrote goldens fail, also where the tests that did are expected to."""
    log = session.config.stash[_LOG]
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # pytest-xdist: the run's end is in another process.
        output[_OUTPUT] = log.written
    elif log.written and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist wrote."""
    written = getattr(node, "workeroutput", {}).get(_OUTPUT, ())
    node.config.stash[_LOG].written.extend(written)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which goldens were written, and which no test asked for."""
    log = config.stash[_LOG]
    if log.written:
        terminalreporter.section("tapeline: goldens written", red=True)
        for name in sorted(log.written):
            terminalreporter.line(name)
        terminalreporter.line(f"Review them, and run again without {_UPDATE}: this run failed.")
    obsolete = _obsolete(log)
    if obsolete and not config.getoption("collectonly"):
        terminalreporter.section("tapeline: obsolete goldens", yellow=True)
        for path in obsolete:
            terminalreporter.line(_shown(path, config))
        terminalreporter.line("No test asked for them; remove them, unless their test is missing.")


def _obsolete(log: GoldenLog) -> list[Path]:
    """Return goldens that nothing asked for: of test files that ran whole, or that are gone."""
    found: set[Path] = set()
    whole = {path for path, left in log.left.items() if left == 0}
    for path in whole - log.incomplete:
        found.update((path.parent / _FOLDER / path.stem).glob("*.yaml"))
    for folder in {path.parent for path in log.left}:
        for goldens in folder.glob(f"{_FOLDER}/*/"):
            if not (folder / f"{goldens.name}.py").exists():
                found.update(goldens.glob("*.yaml"))
    return sorted(found - log.asserted.keys())


def _shown(path: Path, config: pytest.Config) -> str:
    root = config.rootpath
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
