"""Runs every panel's query against real servers, and prints what does not hold.

    python -m dashboards.check --prometheus URL --loki URL --jaeger URL [--scenario NAME]
        [--board UID] [--end UNIX_SECONDS]

Panels that name the scenario must have data; the others must only be answered. In any scenario
but `steady` only the panels that name it are asked. Exit code 1 where something is wrong, 2 where
nothing was asked.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dashboards.asking import Asked, ask
from dashboards.catalog import BOARDS, FOLDER
from dashboards.following import Places, followed
from dashboards.judge import judged
from dashboards.model import STEADY, Board
from dashboards.queries import InterpolationError, Span, Value, duration_ms
from dashboards.resolve import resolved
from dashboards.servers import AnswerError, Servers

__all__ = ["RANGES", "Checked", "Failure", "check", "load", "main"]

SOURCE_ROOT: Final = Path(__file__).resolve().parents[1]
RANGES: Final = ("15m", "6h")


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with one panel, at one range."""

    dashboard: str
    panel: str
    range: str
    problem: str


@dataclass(slots=True)
class Checked:
    """How much was asked, and what failed."""

    panels: int = 0
    queries: int = 0
    failures: list[Failure] = field(default_factory=list)


def load(folder: Path) -> list[dict[str, Any]]:
    """Return the dashboards as Grafana would read them."""
    files = sorted(folder.rglob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def check(
    dashboards: Iterable[Mapping[str, Any]],
    servers: Servers,
    *,
    end_ms: int,
    scenario: str = STEADY,
    ranges: Sequence[str] = RANGES,
    boards: Sequence[Board] = BOARDS,
) -> Checked:
    """Ask every query of the dashboards, at every range that ends at `end_ms`."""
    by_uid = {board.uid: board for board in boards}
    checked = Checked()
    for dashboard in dashboards:
        board = by_uid[dashboard["uid"]]
        panels = list(_asked_panels(dashboard, board, scenario))
        if not panels:
            continue
        checked.panels += len(panels)
        for text in ranges:
            span = Span(end_ms - duration_ms(text), end_ms)
            _check_board(dashboard, panels, _Run(servers, span, text, by_uid, board, checked))
    return checked


@dataclass(frozen=True, slots=True)
class _Run:
    """One dashboard at one range."""

    servers: Servers
    span: Span
    text: str
    known: Mapping[str, object]
    board: Board
    checked: Checked

    def fail(self, panel: str, problem: str) -> None:
        failure = Failure(self.board.uid, panel, self.text, problem)
        self.checked.failures.append(failure)


def _asked_panels(
    dashboard: Mapping[str, Any], board: Board, scenario: str
) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield each panel that is asked in this scenario, and whether it must have data."""
    scenarios = {(panel.title): panel.scenario for panel in board.panels}
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        named = scenarios.get(panel["title"], STEADY)
        if scenario in (STEADY, named):
            yield panel, named == scenario


def _check_board(
    dashboard: Mapping[str, Any], panels: Sequence[tuple[Mapping[str, Any], bool]], run: _Run
) -> None:
    samples = {each.name: each.sample for each in run.board.variables if each.sample is not None}
    try:
        variables = resolved(dashboard, run.servers, run.span, samples)
    except (InterpolationError, AnswerError) as error:
        run.fail("(variables)", str(error))
        return
    for panel, must_have_data in panels:
        _check_panel(panel, variables, run, must_have_data=must_have_data)


def _check_panel(
    panel: Mapping[str, Any], variables: Mapping[str, Value], run: _Run, *, must_have_data: bool
) -> None:
    asked: list[Asked] = []
    for target in panel["targets"]:
        run.checked.queries += 1
        try:
            asked.append(ask(target, run.servers, run.span, variables))
        except (InterpolationError, AnswerError) as error:
            run.fail(panel["title"], f"query {target['refId']}: {error}")
            return
    answers = [each.answer for each in asked]
    problems = list(judged(panel, answers, must_have_data=must_have_data))
    if must_have_data and not problems:
        runbooks = SOURCE_ROOT / "docs/runbooks"
        places = Places(run.servers, run.span, run.known, runbooks)
        problems += followed(panel, asked, places)
    for problem in problems:
        run.fail(panel["title"], problem)


def _print(checked: Checked) -> None:
    for failure in checked.failures:
        where = f"{failure.dashboard} / {failure.panel}"
        print(f"{where:<70} {failure.range:>4}  {failure.problem}")
    print(
        f"{checked.panels} panels, {checked.queries} queries, {len(checked.failures)} failures",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print the table, and return 1 where something failed."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.check")
    for name in ("prometheus", "loki", "jaeger"):
        parser.add_argument(f"--{name}", required=True, metavar="URL")
    parser.add_argument("--scenario", default=STEADY, help="what the floor is in (default: steady)")
    parser.add_argument(
        "--board",
        choices=[board.uid for board in BOARDS],
        metavar="UID",
        help="the only dashboard that is asked",
    )
    parser.add_argument("--end", type=float, help="the end of the time, in Unix seconds")
    options = parser.parse_args(arguments)
    end_s = time.time() if options.end is None else options.end
    dashboards = [
        each
        for each in load(SOURCE_ROOT / FOLDER)
        if options.board is None or each["uid"] == options.board
    ]
    urls = (url.rstrip("/") for url in (options.prometheus, options.loki, options.jaeger))
    with Servers(*urls) as servers:
        checked = check(dashboards, servers, end_ms=round(end_s * 1000), scenario=options.scenario)
    _print(checked)
    if not checked.panels:
        sys.stderr.write(f"no panel names the scenario {options.scenario!r}: nothing was asked\n")
        return 2
    return 1 if checked.failures else 0


if __name__ == "__main__":
    sys.exit(main())
