"""`tapeline diff`: its arguments."""

import argparse
from typing import TYPE_CHECKING

from tapeline.commands.selection import add_signal_hint

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_diff_command"]


def add_diff_command(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("diff", help="compare two recordings by what they say")
    parser.description = (
        "Compares two recordings of any form: which records were added, removed and changed. Order,"
        " batches and the form of the files make no difference. Exits 0 where they say the same, 1"
        " where they don't, 2 where one can't be read, or not whole."
    )
    parser.add_argument("before", metavar="A", help="a recording; - for standard input")
    parser.add_argument("after", metavar="B", help="another one")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="GROUPS",
        help="fields that make no difference, with commas between them: times, observed, ids,"
        " exemplars, schemas, dropped, unknown, resource, scope",
    )
    parser.add_argument(
        "--ignore-field",
        action="append",
        default=[],
        metavar="PATH",
        help="one more, as body.id, attributes.http.route, resource.attributes.host.name or"
        " events.*.attributes.exception.message; may be given several times",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="PART",
        help="how far two doubles may be apart, as a part of the larger (default: 0)",
    )
    parser.add_argument(
        "--limit", type=int, default=50, metavar="N", help="records that are shown (default: 50)"
    )
    add_signal_hint(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs: all of it")
    parser.set_defaults(handler=_diff)


def _diff(options: argparse.Namespace) -> int:
    from tapeline.recording.diff_command import diff_from

    return diff_from(options)
