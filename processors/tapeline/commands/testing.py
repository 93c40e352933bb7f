"""`tapeline test`: the declarative tests beside a configuration."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_testing_commands"]


def add_testing_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    del commands
