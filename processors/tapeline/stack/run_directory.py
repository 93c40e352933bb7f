"""The folder of one stack: rendered configuration, queues, data, logs, and what runs."""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tapeline.stack.child import Identity

__all__ = ["RunDirectory", "RunDirectoryError", "State", "UnitState"]

_STATE_VERSION: Final = 1
_FOLDER_MODE: Final = 0o700
_LOG_FILES: Final = "log-files"
_CONTENTS: Final = ("config", "queue", "data", "logs", _LOG_FILES)
# Stays as long as there is anything of a stack: by it a folder is known as one of ours.
_LOCK: Final = "lock"


class RunDirectoryError(Exception):
    """The folder is in use, not ours, or unusable; the message says what to do."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """One server as the state file tells of it; `ready_s` is None until it was ready."""

    name: str
    pid: int
    start_ticks: int
    ready_url: str
    url: str
    ready_s: float | None

    @property
    def identity(self) -> Identity:
        """Which process it is."""
        return Identity(self.pid, self.start_ticks)


@dataclass(frozen=True, slots=True)
class State:
    """What runs, and who runs it. `ready` is set once everything that was asked for is ready."""

    supervisor: Identity
    keep: bool
    ready: bool
    units: tuple[UnitState, ...]
    awaited: tuple[str, ...] = ()


class RunDirectory:
    """A folder with one stack in it. Everything inside is readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def log(self, unit: str) -> Path:
        """The log file of a unit."""
        return self.path / "logs" / f"{unit}.log"

    def claim(self) -> bool:
        """Make the folder one of ours; tell whether it was none.

        Raises RunDirectoryError where it holds what no stack put there under the names of a stack's
        folders: that would be removed at the stack's end.
        """
        try:
            if self._has_our_lock():
                return False
            self._refuse_others()
            if not self.path.exists():
                self.path.mkdir(mode=_FOLDER_MODE, parents=True)
                self.path.chmod(stat.S_IRWXU)
            os.close(os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise self._unusable(error) from error
        return True

    def disclaim(self) -> None:
        """Take back a claim, unless something of a stack is here by now."""
        if self._held():
            return
        (self.path / _LOCK).unlink(missing_ok=True)
        self._remove_if_empty()

    def _has_our_lock(self) -> bool:
        """Tell whether there is the file that we make; a `lock` of others has something in it."""
        lock = self.path / _LOCK
        return lock.is_file() and lock.stat().st_size == 0

    def _held(self) -> list[str]:
        return [name for name in _CONTENTS if _holds_others(self.path / name)]

    def _refuse_others(self) -> None:
        held = [*self._held(), *([_LOCK] if (self.path / _LOCK).exists() else [])]
        if held:
            raise RunDirectoryError(
                f"{self.path} holds {', '.join(held)}, and no mark that a stack put it there; it "
                "would be removed at the end. Choose another folder with --run-dir, or, if it is a "
                f"stack's, mark it: touch {self.path / _LOCK}"
            )

    def _unusable(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"cannot use {self.path}: {error.strerror}. Choose another folder with --run-dir."
        )

    def open(self) -> None:
        """Create the folders and take the lock.

        Raises RunDirectoryError where another has it, or where the folder is somebody else's.
        """
        self.claim()
        try:
            for folder in (self.path / name for name in _CONTENTS):
                folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                # The umask only takes away, but an earlier run or a user may have given more.
                folder.chmod(stat.S_IRWXU)
            self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise RunDirectoryError(
                f"a stack is already running in {self.path}. Stop it with `tapeline stack down "
                f"--run-dir {self.path}`, or use another --run-dir and --port-base."
            ) from error
        except OSError as error:
            self.close()
            raise self._unusable(error) from error

    @property
    def is_open(self) -> bool:
        """Whether the lock is ours."""
        return self._lock is not None

    def close(self) -> None:
        """Give the lock back; the contents stay."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Tell whether some process has a stack open here."""
        try:
            handle = os.open(self.path / _LOCK, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def remove_contents(self) -> None:
        """Remove what a stack put here, and the folder itself where nothing else is in it."""
        for name in _CONTENTS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        self.clear_state()
        # What could not be removed, as a link to another disk, is still known as ours.
        if not any((self.path / name).exists() for name in _CONTENTS):
            (self.path / _LOCK).unlink(missing_ok=True)
        self._remove_if_empty()

    def _remove_if_empty(self) -> None:
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def write_state(self, state: State) -> None:
        """Replace the state file at once, so that a reader never sees half of one."""
        document = {"version": _STATE_VERSION, **asdict(state)}
        fresh = self.path / "state.json.new"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(document, indent=1), encoding="utf-8")
        fresh.replace(self.path / "state.json")

    def clear_state(self) -> None:
        """Say that nothing runs here."""
        (self.path / "state.json").unlink(missing_ok=True)

    def read_state(self) -> State | None:
        """Return what runs here, or None; raises RunDirectoryError for a file that is not ours."""
        path = self.path / "state.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return _decode(document)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError(
                f"{path} can't be read as a stack's state ({error}). If no stack runs here, "
                "remove the file."
            ) from error


def _holds_others(folder: Path) -> bool:
    """Tell whether there is something to lose; links to log files may be made beforehand."""
    if not folder.is_dir():
        return folder.exists()
    links_are_ours = folder.name == _LOG_FILES
    return any(not (links_are_ours and each.is_symlink()) for each in folder.iterdir())


def _decode(document: Mapping[str, Any]) -> State:
    if document["version"] != _STATE_VERSION:
        raise ValueError(f"version {document['version']}, not {_STATE_VERSION}")
    units: Sequence[Mapping[str, Any]] = document["units"]
    return State(
        supervisor=Identity(**document["supervisor"]),
        keep=document["keep"],
        ready=document["ready"],
        units=tuple(UnitState(**unit) for unit in units),
        awaited=tuple(document["awaited"]),
    )
