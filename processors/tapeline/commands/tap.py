"""`tapeline tap`: a live view of what passes the gate."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tapeline.otlp.signals import Signal

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_tap_commands"]

_DEFAULT_ADMIN: Final = "127.0.0.1:8090"


def add_tap_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    parser = commands.add_parser("tap", help="show what passes the gate, behind the redaction")
    parser.description = (
        "Shows a sample of what passes a running gate, behind the redaction, with what later"
        " processors changed. The gate needs `admin.tap` in its configuration, and this a token of"
        " its file. Ends with Ctrl-C; exits 1 where the gate refuses or goes away."
    )
    parser.add_argument(
        "--admin",
        default=_DEFAULT_ADMIN,
        metavar="HOST:PORT",
        help=f"the gate's admin.listen (default: {_DEFAULT_ADMIN})",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="a file with a token; of several, the first is sent",
    )
    parser.add_argument("--service", default="", metavar="NAME", help="this service.name only")
    parser.add_argument("--signal", default="", choices=[*Signal], help="this signal only")
    parser.add_argument(
        "--name",
        default="",
        metavar="TEXT",
        help="only where this stands in a span's, metric's or event's name, or in a log's body",
    )
    parser.add_argument("--limit", type=_count, default=0, metavar="N", help="end after N records")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each record")
    parser.set_defaults(handler=_tap)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _tap(options: argparse.Namespace) -> int:
    from tapeline.tap.terminal import TapRequest, tap_command

    query = {key: getattr(options, key) for key in ("service", "signal", "name")}
    request = TapRequest(options.admin, options.token_file, query, options.limit)
    return tap_command(request, as_json=options.json)
