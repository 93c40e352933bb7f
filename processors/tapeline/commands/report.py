"""`tapeline report`: its arguments."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_report_commands"]

_PROMETHEUS: Final = "http://127.0.0.1:9090"
_SLOS: Final = Path("config/slo")


def add_report_commands(commands: "Commands") -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("report", help="write a report from what the backends hold")
    actions = parser.add_subparsers(title="reports", metavar="REPORT", required=True)
    slo = actions.add_parser("slo", help="how the service level objectives were met in a month")
    slo.description = (
        "Writes how each SLO was met in a month, from what its rules recorded in Prometheus:"
        " Markdown, or a page of HTML with plots, by the name of the file. Hours without data are"
        " said to be without, and an SLO without any is listed as one."
    )
    slo.add_argument(
        "--month", default=None, metavar="YYYY-MM", help="in UTC (default: the one that runs)"
    )
    slo.add_argument(
        "--prometheus",
        default=_PROMETHEUS,
        metavar="URL",
        help=f"where it is (default: {_PROMETHEUS})",
    )
    slo.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="ending in .md or .html"
    )
    slo.add_argument(
        "--slos",
        type=Path,
        default=None,
        metavar="FOLDER",
        help=f"the files of the SLOs that there must be (default: {_SLOS})",
    )
    slo.set_defaults(handler=_slo)


def _slo(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from tapeline.alerting.report_command import report_command

    # An installed package has no folder of its own; one that was named must be there.
    if options.slos is not None and not options.slos.is_dir():
        sys.stderr.write(f"tapeline report slo: --slos {options.slos} is no folder\n")
        return 2
    now, slos = datetime.now(UTC), options.slos or _SLOS
    return report_command(options.month, options.prometheus, options.output, slos, now)
