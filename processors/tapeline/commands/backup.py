"""`tapeline backup` and `tapeline restore`: what has to outlive the machine."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands
    from tapeline.stack.backup_command import BackupChoices

__all__ = ["add_backup_commands"]

_RUN_DIR: Final = Path(".tapeline")


def add_backup_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    backup = commands.add_parser("backup", help="copy every store of a stack, running or not")
    backup.description = (
        "Copies Prometheus, Loki, Jaeger, Alertmanager, the signals' state and the gate's into a"
        " new folder, each as one file with its hash. A server that runs is held still while its"
        " files are read; what comes meanwhile waits in the collector's queues."
    )
    backup.add_argument("target", type=Path, help="the folder that gets a folder for each backup")
    backup.add_argument(
        "--keep", type=int, default=0, metavar="N", help="remove all but the newest N afterwards"
    )
    backup.set_defaults(handler=_backup)
    restore = commands.add_parser("restore", help="put a backup's stores back")
    restore.description = (
        "Checks every file of a backup, then puts the stores back into the run directory of a"
        " stack that does not run. What is there is never removed."
    )
    restore.add_argument("backup", type=Path, help="one folder of those that `backup` made")
    restore.add_argument(
        "--replace", action="store_true", help="move what is there to ….before-restore"
    )
    restore.set_defaults(handler=_restore)
    for parser in (backup, restore):
        parser.add_argument(
            "--run-dir",
            type=Path,
            default=_RUN_DIR,
            metavar="FOLDER",
            help=f"the stack's folder (default: {_RUN_DIR})",
        )
        parser.add_argument(
            "--store",
            dest="stores",
            nargs="+",
            default=[],
            metavar="NAME",
            help="these only: prometheus, loki, jaeger, alertmanager, signals, gate",
        )
        parser.add_argument(
            "--gate-state",
            type=Path,
            metavar="FOLDER",
            help="where the gate keeps its key (default: as TAPELINE_STATE_DIR says)",
        )
        parser.add_argument(
            "--folder",
            dest="folders",
            action="append",
            default=[],
            metavar="STORE=FOLDER",
            help="a store that is elsewhere, as a container's volume; pause its server yourself",
        )


def _choices(options: argparse.Namespace) -> "BackupChoices":
    from tapeline.stack.backup_command import BackupChoices

    return BackupChoices(
        options.run_dir, tuple(options.stores), options.gate_state, tuple(options.folders)
    )


def _backup(options: argparse.Namespace) -> int:
    from tapeline.stack.backup_command import backup_command

    if options.keep < 0:
        sys.stderr.write("tapeline backup: --keep must be 0 or more\n")
        return 2
    return backup_command(_choices(options), options.target, options.keep)


def _restore(options: argparse.Namespace) -> int:
    from tapeline.stack.backup_command import restore_command

    return restore_command(_choices(options), options.backup, replace=options.replace)
