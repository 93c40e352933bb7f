"""`tapeline process`, `record`, `replay` and `diff`: the commands about recorded telemetry."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_recording_commands"]

_DEFAULT_CONFIG: Final = Path("config/gate.yaml")


def add_recording_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    _add_process(commands.add_parser("process", help="run recorded telemetry through the chain"))


def _add_process(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs recorded telemetry through the chain offline: OTLP/JSON lines in and out, one Export"
        " request a line, as the collector's file exporter writes them. Time is the data's own;"
        " the same input gives the same bytes. Lines that can't be processed are named on standard"
        " error, left out, and make the exit code 1."
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=_DEFAULT_CONFIG,
        metavar="FILE",
        help=f"the sidecar's configuration (default: {_DEFAULT_CONFIG})",
    )
    parser.add_argument("input", metavar="INPUT", help="a file; - for standard input")
    parser.add_argument("-o", "--output", default="-", help="a file (default: standard output)")
    parser.set_defaults(handler=_process)


def _process(options: argparse.Namespace) -> int:
    from tapeline.recording.command import process_command

    return process_command(options.config, options.input, options.output)
