"""`tapeline test`: finds the files, runs their tests in processes of their own, and reports."""

import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tapeline.pipeline.loader import ConfigError
from tapeline.testing.case_file import SUFFIX, ReadFile, file_schema, read_cases
from tapeline.testing.case_report import counts_text, junit_xml, lines_of, results_to_json
from tapeline.testing.case_run import CaseResult, run_case

__all__ = ["TestOptions", "schema_command", "test_command"]


@dataclass(frozen=True, slots=True)
class TestOptions:
    """How tests are run, and how they are told."""

    __test__ = False  # To pytest this is no class of tests.

    jobs: int = 0
    junit: Path | None = None
    as_json: bool = False
    verbose: bool = False


def schema_command() -> int:
    """Print the JSON Schema of a file of tests."""
    print(json.dumps(file_schema(), indent=2))
    return 0


def test_command(paths: Sequence[Path], options: TestOptions) -> int:
    """Run the tests of files, and of all `*.test.yaml` below folders.

    Returns 0 where all passed, 1 where one failed, and 2 where a file or a configuration can't be
    used, or there is no test at all.
    """
    if options.jobs < 0:
        sys.stderr.write("tapeline test: --jobs takes 1 or more, or 0: one for each processor\n")
        return 2
    files, problems = _files(paths)
    jobs: list[tuple[Path, int]] = []
    for path in files:
        try:
            jobs += [(path, number) for number in range(len(read_cases(path).content.tests))]
        except ConfigError as error:
            problems += error.problems
    results = _run(jobs, options)
    for problem in problems:
        sys.stderr.write(f"tapeline test: {problem}\n")
    if options.junit is not None:
        try:
            options.junit.write_bytes(junit_xml(results))
        except OSError as error:
            problems.append(str(error))
            sys.stderr.write(f"tapeline test: {options.junit}: {error.strerror}\n")
    if problems or any(result.problems for result in results):
        return 2
    return 1 if any(result.failures for result in results) else 0


test_command.__test__ = False  # type: ignore[attr-defined]  # To pytest this is no test.


def _files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob(f"*{SUFFIX}"))
            found.update(dict.fromkeys(below))
            if not below:
                problems.append(f"{path}: no file below it is named *{SUFFIX}")
        elif path.exists():
            found[path] = None
        else:
            problems.append(f"{path}: no such file or folder")
    return list(found), problems


@lru_cache
def _read(path: Path) -> ReadFile:
    return read_cases(path)


def _run_one(job: tuple[Path, int]) -> CaseResult:
    path, number = job
    return run_case(_read(path), number)


def _run(jobs: Sequence[tuple[Path, int]], options: TestOptions) -> list[CaseResult]:
    """Run the tests and print each as it ends, in the order of the files."""
    results = []
    for result in _results(jobs, options.jobs or os.cpu_count() or 1):
        results.append(result)
        if not options.as_json:
            _print(
                lines_of(result), always=options.verbose or bool(result.failures or result.problems)
            )
    if options.as_json:
        print(json.dumps(results_to_json(results)))
    elif results:
        failed = any(result.failures or result.problems for result in results)
        _print([("bold red" if failed else "bold green", counts_text(results))], always=True)
    return results


def _results(jobs: Sequence[tuple[Path, int]], processes: int) -> Iterator[CaseResult]:
    if processes == 1 or len(jobs) < 2:  # noqa: PLR2004 - one needs no process of its own.
        yield from map(_run_one, jobs)
        return
    # Not forked: what runs here already, threads of libraries included, stays out of it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context) as pool:
        yield from pool.map(_run_one, jobs)


def _print(lines: Sequence[tuple[str, str]], *, always: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.text import Text  # noqa: PLC0415 - as above

    if always:
        console = Console(highlight=False, soft_wrap=True)
        for colour, line in lines:
            console.print(Text(line, style=colour))
