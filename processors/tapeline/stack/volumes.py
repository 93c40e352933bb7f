"""Checks that folders are ours alone: the one-shot `volumes` service of docker-compose.yml.

`python -m tapeline.stack.volumes FOLDER…` exits 0 when every folder belongs to this user and nobody
else may enter it, else 1 with what to do.
"""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main", "problem_with"]


def problem_with(folder: Path) -> str | None:
    """Return what is wrong with a folder that must be private to this user, or None."""
    try:
        status = folder.stat()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if status.st_uid != os.geteuid():
        return (
            f"{folder} belongs to user {status.st_uid}, not {os.geteuid()}. If it is a volume of "
            "an earlier version, remove it: docker compose down --volumes"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode != stat.S_IRWXU:
        return f"{folder} has mode {mode:04o}, not 0700"
    return None


def main(folders: Sequence[str]) -> int:
    """Check each folder; return 0 when all are private, else 1."""
    problems = [problem for folder in folders if (problem := problem_with(Path(folder)))]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems or not folders else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
