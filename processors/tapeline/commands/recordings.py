"""`tapeline process`, `record`, `replay` and `diff`: the commands about recorded telemetry."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tapeline.commands.diff import add_diff_command
from tapeline.commands.parsers import add_config
from tapeline.commands.record import add_record_command
from tapeline.commands.selection import add_selection, add_signal_hint

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_recording_commands"]


def add_recording_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    add_record_command(commands)
    _add_process(commands.add_parser("process", help="run recorded telemetry through the chain"))
    _add_replay(commands.add_parser("replay", help="send recorded telemetry to an endpoint"))
    add_diff_command(commands)


def _add_process(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs recorded telemetry through the chain offline. Reads every form that the collector's"
        " file exporter writes, found by the content: OTLP/JSON lines or protobuf, zstd or not."
        " Time is the data's own; the same input gives the same bytes. Messages that can't be"
        " processed are named on standard error, left out, and make the exit code 1."
    )
    add_config(parser)
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
    add_signal_hint(parser)
    parser.set_defaults(handler=_process)


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


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Sends recordings to an OTLP endpoint, by default at the pace at which they were recorded:"
        " a batch is due when its newest record was. What the endpoint may take later is tried"
        " again. Prints a report on standard error; exits 1 where something was rejected, dropped,"
        " unreadable or not sent, and says where to go on."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="in this order")
    parser.add_argument(
        "--to",
        required=True,
        metavar="ENDPOINT",
        help="HOST:PORT for gRPC; http://HOST:PORT or https:// for HTTP",
    )
    _add_pace(parser)
    # --to is where the replay goes.
    add_selection(parser, "what is sent", from_option="--from-time", to_option="--to-time")
    _add_patience(parser)
    _add_access(parser)
    add_signal_hint(parser)
    parser.set_defaults(handler=_replay)


def _add_pace(parser: argparse.ArgumentParser) -> None:
    pace = parser.add_argument_group("pace, times and ids")
    speed = pace.add_mutually_exclusive_group()
    speed.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="so many times as fast (default: 1)"
    )
    speed.add_argument("--flat-out", action="store_true", help="as fast as the endpoint takes it")
    pace.add_argument(
        "--now", action="store_true", help="shift all times so that the first batch is of now"
    )
    pace.add_argument("--loop", type=int, default=1, metavar="N", help="N times (default: 1)")
    pace.add_argument(
        "--new-trace-ids",
        nargs="?",
        const="",
        default=None,
        metavar="SEED",
        help="other trace and span ids, everywhere the same; others in each loop, and by the seed",
    )
    pace.add_argument(
        "--start-at", default=None, metavar="FILE:NUMBER", help="go on at this message of a file"
    )


def _add_patience(parser: argparse.ArgumentParser) -> None:
    patience = parser.add_argument_group("retries")
    patience.add_argument(
        "--give-up-after",
        default="60s",
        metavar="DURATION",
        help="end the replay when a batch failed for so long (default: 60s)",
    )
    patience.add_argument(
        "--timeout", default="10s", metavar="DURATION", help="of one attempt (default: 10s)"
    )
    patience.add_argument(
        "--in-flight",
        type=int,
        default=8,
        metavar="N",
        help="batches under way at once; 1 keeps their order for certain (default: 8)",
    )


def _add_access(parser: argparse.ArgumentParser) -> None:
    access = parser.add_argument_group("access to the endpoint")
    access.add_argument("--token-file", type=Path, default=None, help="a bearer token")
    access.add_argument("--tls", action="store_true", help="TLS by the system's authorities")
    access.add_argument("--ca-file", type=Path, default=None, help="TLS by these authorities")
    access.add_argument("--cert-file", type=Path, default=None, help="our certificate")
    access.add_argument("--key-file", type=Path, default=None, help="its private key")
    access.add_argument("--server-name", default=None, help="the name in its certificate")


def _replay(options: argparse.Namespace) -> int:
    from tapeline.recording.replay_command import replay_from

    return replay_from(options)
