"""`tapeline backup` and `tapeline restore`: options checked, then what was done, line by line."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeline.stack.backup import Job, Saved, back_up, remove_oldest
from tapeline.stack.restore import put_back
from tapeline.stack.run_directory import RunDirectory, RunDirectoryError
from tapeline.stack.stores import STORES, BackupError, Store, folders_of, stores_named

__all__ = ["BackupChoices", "backup_command", "restore_command"]


@dataclass(frozen=True, slots=True)
class BackupChoices:
    """The options of both commands. `folders` are texts as `loki=/var/lib/loki`."""

    run_dir: Path
    stores: tuple[str, ...]
    gate_state: Path | None
    folders: Sequence[str]


def backup_command(choices: BackupChoices, target: Path, keep: int) -> int:
    """Back up; return 0, or 1 where it can't be done. `keep` 0 keeps every backup."""
    try:
        state = RunDirectory(choices.run_dir).read_state()
        units = () if state is None else state.units
        stores, folders = _chosen(choices), _folders(choices)
        absent = _absent(choices, stores, folders)
        job = Job(
            stores,
            folders,
            {unit.name: unit.identity for unit in units},
            target,
        )
        folder = back_up(job, _show_saved)
        gone = remove_oldest(target, keep) if keep else ()
    except (BackupError, RunDirectoryError, OSError) as error:
        sys.stderr.write(f"tapeline backup: {error}\n")
        return 1
    sys.stdout.writelines(f"{name:<13} not there: {folders[name]}\n" for name in absent)
    sys.stdout.write(f"backed up to {folder}\n")
    sys.stdout.writelines(f"removed {path}\n" for path in gone)
    return 0


def restore_command(choices: BackupChoices, backup: Path, *, replace: bool) -> int:
    """Put a backup back; return 0, or 1 where it can't be done: what was put back by then is told.

    What is wrong with the backup or with a folder is found before anything is changed.
    """
    directory = RunDirectory(choices.run_dir)
    if directory.is_locked():
        sys.stderr.write(
            f"tapeline restore: a stack runs in {directory.path}; stop it with `tapeline stack down"
            f" --run-dir {directory.path}`, or name another --run-dir\n"
        )
        return 1
    is_claimed = False
    try:
        stores, folders = _chosen(choices), _folders(choices)
        if any(
            folders[store.name].is_relative_to(directory.path)
            for store in stores
            if store.name in folders
        ):
            is_claimed = directory.claim()
        put_back(backup, stores, folders, _show_restored, replace=replace)
    except (BackupError, RunDirectoryError) as error:
        if is_claimed:
            directory.disclaim()
        sys.stderr.write(f"tapeline restore: {error}\n")
        return 1
    sys.stdout.write(f"tapeline stack up --keep --run-dir {directory.path}  # starts from there\n")
    return 0


def _absent(
    choices: BackupChoices, stores: tuple[Store, ...], folders: dict[str, Path]
) -> tuple[str, ...]:
    """Return the stores that are not there; raises BackupError where they can't be meant.

    From a wrong folder it would else be a backup of next to nothing, for which `--keep` removes one
    that has everything.
    """
    absent = tuple(
        each.name for each in stores if each.name in folders and not folders[each.name].is_dir()
    )
    named = {*choices.stores, *(text.partition("=")[0] for text in choices.folders)}
    missing = next((name for name in absent if name in named), None)
    if missing is not None:
        raise BackupError(f"{missing} is not there: {folders[missing]}")
    if all(each.name in absent for each in stores if each.folder) and "gate" not in named:
        raise BackupError(
            f"{choices.run_dir} holds no store: name the stack's folder with --run-dir; "
            "`--store gate` backs up the gate's state alone"
        )
    return absent


def _chosen(choices: BackupChoices) -> tuple[Store, ...]:
    return stores_named(choices.stores)


def _folders(choices: BackupChoices) -> dict[str, Path]:
    given: dict[str, Path] = {}
    known = {store.name for store in STORES}
    for text in choices.folders:
        name, separator, path = text.partition("=")
        if not separator or name not in known or not path:
            raise BackupError(f"--folder {text!r} is not STORE=PATH, as loki=/var/lib/loki")
        given[name] = Path(path)
    gate_state = choices.gate_state or _gate_state()
    return folders_of(RunDirectory(choices.run_dir).path, gate_state, given)


def _gate_state() -> Path | None:
    """Return where a gate without settings of its own keeps the key of its tokens."""
    own, of_all_programs = os.environ.get("TAPELINE_STATE_DIR"), os.environ.get("XDG_STATE_HOME")
    if own:
        return Path(own)
    try:
        base = Path(of_all_programs) if of_all_programs else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return base / "tapeline"


def _show_saved(saved: Saved) -> None:
    held = f", held still for {saved.stood_still_s:.2f} s" if saved.stood_still_s else ""
    sys.stdout.write(
        f"{saved.store:<13} {saved.files:>6} files {saved.size_bytes:>13} bytes,"
        f" {saved.stored_bytes} stored{held}\n"
    )


def _show_restored(saved: Saved, target: Path) -> None:
    sys.stdout.write(f"{saved.store:<13} {saved.files:>6} files to {target}\n")
