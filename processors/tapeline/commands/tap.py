"""`tapeline tap`: a live view of what passes the gate."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_tap_commands"]


def add_tap_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    del commands
