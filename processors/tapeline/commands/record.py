"""`tapeline record`: its arguments."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tapeline.commands.selection import add_selection

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_record_command"]


def add_record_command(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("record", help="write what is sent to files")
    parser.description = (
        "Takes OTLP over gRPC and HTTP and writes it to files, in the forms of the collector's file"
        " exporter, redacted. A sender is told OK when what it sent is on disk. Ends at SIGTERM,"
        " Ctrl-C or after --for; exits 1 where something could not be written at some time."
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="a new file (a name with an ending, such as session.jsonl), or else a folder",
    )
    _add_intake(parser)
    _add_files(parser)
    add_selection(
        parser,
        "what is written; the rest is acknowledged and left out",
        from_option="--from",
        to_option="--to",
    )
    parser.set_defaults(handler=_record)


def _add_intake(parser: argparse.ArgumentParser) -> None:
    intake = parser.add_argument_group("what is taken, and how it is redacted")
    for option, default, what in (
        ("--listen-grpc", "127.0.0.1:4317", "OTLP/gRPC"),
        ("--listen-http", "127.0.0.1:4318", "OTLP/HTTP, protobuf and JSON"),
    ):
        intake.add_argument(
            option,
            default=default,
            metavar="ADDRESS",
            help=f"HOST:PORT of {what}, or none (default: {default})",
        )
    intake.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="FILE",
        help="a sidecar's configuration: its redaction section (default: the built-in rules)",
    )
    intake.add_argument(
        "--raw",
        action="store_true",
        help="redact nothing: secrets are written as they come, files have mode 0600",
    )
    intake.add_argument(
        "--for", dest="duration", default=None, metavar="DURATION", help="end after 90s, 5m, 1h"
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group("files")
    files.add_argument("--format", choices=("json", "proto"), default="json")
    files.add_argument(
        "--compression", choices=("none", "zstd"), default="none", help="of each message"
    )
    files.add_argument(
        "--rotate-size", type=int, default=None, metavar="MIB", help="begin another file at MIB"
    )
    files.add_argument(
        "--rotate-age", default=None, metavar="DURATION", help="begin another file after 5m, 1h"
    )
    files.add_argument(
        "--keep", type=int, default=None, metavar="N", help="remove the oldest beyond N files"
    )


def _record(options: argparse.Namespace) -> int:
    from tapeline.recording.record_command import record_from

    return record_from(options)
