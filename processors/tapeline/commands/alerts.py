"""`tapeline alert`: a test alert on its way, and what is wrong with Alertmanager's file."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_alert_commands"]

_ALERTMANAGER: Final = "http://127.0.0.1:9093"
_CONFIGURATION: Final = Path("config/alertmanager/alertmanager.yml")
_RULES: Final = (Path("config/prometheus/rules"), Path("config/loki/rules"))


def add_alert_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    parser = commands.add_parser("alert", help="send a test alert; check Alertmanager's file")
    parser.description = "Sees that alerts reach somebody."
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_test(actions.add_parser("test", help="send a test alert, and say who is told"))
    _add_lint(actions.add_parser("lint", help="find what `amtool check-config` lets pass"))


def _add_test(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Sends an alert to a running Alertmanager and says which receivers it leads to. It ends by"
        " itself. Exit code 1 means that Alertmanager did not take it."
    )
    parser.add_argument(
        "--severity", default="warning", choices=("critical", "warning", "info"), help="how bad"
    )
    parser.add_argument("--alertname", default="TestAlert", metavar="NAME", help="its name")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label, as team=risk; may be given several times; an empty value takes one away",
    )
    parser.add_argument(
        "--lasts", default="5m", metavar="DURATION", help="until it ends (default: 5m); 0: end now"
    )
    parser.add_argument(
        "--alertmanager",
        default=_ALERTMANAGER,
        metavar="URL",
        help=f"where it is (default: {_ALERTMANAGER})",
    )
    parser.set_defaults(handler=_test)


def _add_lint(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Reads an Alertmanager configuration and names deprecated keys, missing secret files,"
        " undefined templates, routes to nobody, receivers without a route, times that mute what"
        " must be heard, and inhibition that compares labels which the rules don't have."
    )
    parser.add_argument("file", nargs="?", type=Path, default=_CONFIGURATION)
    parser.add_argument(
        "--rules",
        nargs="*",
        type=Path,
        default=list(_RULES),
        metavar="FOLDER",
        help="every folder with alerting rules; none: leave inhibition out",
    )
    parser.add_argument(
        "--secrets", type=Path, metavar="FOLDER", help="look for the secret files there instead"
    )
    parser.set_defaults(handler=_lint)


def _test(options: argparse.Namespace) -> int:
    from tapeline.alerting.command import alert_from, alert_test_command
    from tapeline.pipeline.durations import parse_duration_s

    try:
        lasts_s = parse_duration_s(0 if options.lasts == "0" else options.lasts)
        alert = alert_from(options.alertname, options.severity, options.label, lasts_s)
    except ValueError as error:
        sys.stderr.write(f"tapeline alert test: {error}\n")
        return 2
    return alert_test_command(options.alertmanager, alert)


def _lint(options: argparse.Namespace) -> int:
    from tapeline.alerting.command import lint_command

    return lint_command(options.file, options.rules, options.secrets)
