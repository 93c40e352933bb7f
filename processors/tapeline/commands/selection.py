"""The arguments that say which part of recorded telemetry is wanted, and of which signal it is."""

import argparse

from tapeline.otlp.signals import Signal

__all__ = ["add_selection", "add_signal_hint"]


def add_selection(
    parser: argparse.ArgumentParser, title: str, *, from_option: str, to_option: str
) -> None:
    """Add the options that `recording.selected.selection_from` reads."""
    selection = parser.add_argument_group(title)
    selection.add_argument(
        "--signal",
        action="append",
        default=[],
        choices=[*Signal],
        help="this signal only; may be given several times",
    )
    selection.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME",
        help="this service.name only; may be given several times",
    )
    for option, place, what in (
        (from_option, "from_time", "from this time on"),
        (to_option, "to_time", "before this time"),
    ):
        selection.add_argument(
            option,
            dest=place,
            default=None,
            metavar="TIME",
            help=f"records {what}: 2026-11-21T15:00:00Z",
        )


def add_signal_hint(parser: argparse.ArgumentParser) -> None:
    """Add the option that settles what a message does not tell."""
    parser.add_argument(
        "--assume-signal",
        choices=[*Signal],
        default=None,
        help="of protobuf messages too sparse to tell by themselves",
    )
