"""What several commands share: the type that they are added to, and where their settings are."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

__all__ = ["Commands", "add_config"]

if TYPE_CHECKING:
    # argparse has no public name for it.
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

_DEFAULT_CONFIG: Final = Path("config/gate.yaml")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the sidecar's configuration."""
    parser.add_argument(
        "--config",
        type=Path,
        default=_DEFAULT_CONFIG,
        metavar="FILE",
        help=f"the sidecar's configuration (default: {_DEFAULT_CONFIG})",
    )
