"""`tapeline test`: the declarative tests beside a configuration."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_testing_commands"]


def add_testing_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    parser = commands.add_parser("test", help="run the tests that stand beside a configuration")
    parser.description = (
        "Runs declarative tests: what is given to a configuration's chain, and what must come out."
        " Exits 0 where all passed, 1 where one failed, 2 where a file or a configuration can't be"
        " used, or there is no test."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files, and folders with *.test.yaml below them (default: config)",
    )
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="processes (default: one a processor)"
    )
    parser.add_argument("--junit", type=Path, default=None, metavar="FILE", help="write JUnit XML")
    parser.add_argument("-v", "--verbose", action="store_true", help="name tests that pass too")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of such a file instead"
    )
    parser.set_defaults(handler=_test)


def _test(options: argparse.Namespace) -> int:
    from tapeline.testing.command import TestOptions, schema_command, test_command

    if options.schema:
        return schema_command()
    how = TestOptions(options.jobs, options.junit, options.json, options.verbose)
    return test_command(options.paths or [Path("config")], how)
