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
        "Runs recorded telemetry through the chain offline. Reads every form that the collector's"
        " file exporter writes, found by the content: OTLP/JSON lines or protobuf, zstd or not."
        " Time is the data's own; the same input gives the same bytes. Messages that can't be"
        " processed are named on standard error, left out, and make the exit code 1."
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
    parser.add_argument(
        "--format", choices=("json", "proto"), default="json", help="of the output (default: json)"
    )
    parser.add_argument(
        "--compression",
        choices=("none", "zstd"),
        default="none",
        help="of each message of the output, as the collector does it (default: none)",
    )
    _add_signal_hint(parser)
    parser.set_defaults(handler=_process)


def _add_signal_hint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--assume-signal",
        choices=("logs", "traces", "metrics"),
        default=None,
        help="of protobuf messages too sparse to tell by themselves",
    )


def _process(options: argparse.Namespace) -> int:
    from tapeline.otlp.signals import Signal
    from tapeline.recorded.forms import Compression, Format
    from tapeline.recording.command import Form, process_command

    assumed = options.assume_signal
    form = Form(
        Format(options.format),
        Compression(options.compression),
        None if assumed is None else Signal(assumed),
    )
    return process_command(options.config, options.input, options.output, form)
