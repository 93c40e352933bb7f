"""`tapeline new`: a processor of your own, begun."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tapeline.otlp.signals import Signal

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_kit_commands"]


def add_kit_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    new = commands.add_parser("new", help="begin a processor of your own")
    kinds = new.add_subparsers(title="what", metavar="WHAT", required=True)
    parser = kinds.add_parser("processor", help="a folder with code, configuration and tests")
    parser.description = (
        "Writes a folder with a small processor: its code, a configuration, a recorded session,"
        " tests and what they expect, a Dockerfile and a README. Its tests pass as it is."
    )
    parser.add_argument("name", metavar="NAME", help="the processor's name, as my_filter")
    parser.add_argument(
        "--signal",
        choices=[*Signal],
        default="logs",
        help="what it looks at (default: logs)",
    )
    parser.add_argument(
        "--folder", type=Path, default=None, metavar="DIR", help="where (default: ./NAME)"
    )
    parser.set_defaults(handler=_new_processor)


def _new_processor(options: argparse.Namespace) -> int:
    from tapeline.kit.command import new_processor_command
    from tapeline.otlp.signals import Signal
    from tapeline.settings import taken_names

    return new_processor_command(
        options.name, Signal(options.signal), options.folder, taken_names()
    )
