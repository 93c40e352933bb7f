"""`tapeline new`: a processor of your own, begun."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_kit_commands"]


def add_kit_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    del commands
