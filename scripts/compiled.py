"""Makes the compiled form of the package, outside the tree; prints the folder that holds it.

With that folder in PYTHONPATH, the compiled `tapeline` comes before the editable install:

    PYTHONPATH=$(.venv/bin/python scripts/compiled.py) .venv/bin/tapeline version

A folder's name is a digest of what it was made from, so it is made once. The newest three stay,
and those of the last hour: something may still be running from them. Exits 3 without a compiler.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

from tapeline.stack.binaries import cache_folder

ROOT = Path(__file__).resolve().parents[1]
FOLDERS_MAX = 3
KEPT_S = 3600.0
NO_COMPILER = 3
LIBRARIES = "libraries"
"""Beside the folders: single libraries, for what changes in one part of the package only."""
LIBRARY_KEPT_S = 86400.0


def main() -> int:
    """Print the folder, made where it is not there yet; 1 where it can't be made, 3: no gcc."""
    cache = cache_folder() / "compiled"
    folder = cache / key()
    if not folder.is_dir():
        missing = what_is_missing()
        if missing:
            say(f"no compiled form: {missing}; install the Debian packages gcc and libc6-dev")
            return NO_COMPILER
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir() and not make(folder):
                return 1
            remove_old(cache, folder)
    os.utime(folder)
    print(folder)
    return 0


def say(text: str) -> None:
    """Standard output is for the folder alone."""
    print(f"compiled: {text}", file=sys.stderr, flush=True)


def key() -> str:
    """Return the digest of everything that the compiled form is made from."""
    sources = sorted((ROOT / "processors").rglob("*"))
    paths = [path for path in sources if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256()
    for path in (*paths, ROOT / "pyproject.toml", ROOT / "hatch_build.py"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    for tool in ("mypy", "setuptools", "hatchling"):
        digest.update(f"{tool} {importlib.metadata.version(tool)}\0".encode())
    digest.update(f"{sys.version} {platform.machine()} {sysconfig.get_config_var('CC')}".encode())
    return digest.hexdigest()[:16]


def what_is_missing() -> str:
    """Return what a compiler needs and this machine has not, or nothing."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"{compiler} is not there"
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        return f"{headers}/Python.h is not there (Debian: python3-dev)"
    return ""


def make(folder: Path) -> bool:
    """Build the compiled wheel, and unpack it there; False where that failed, with the reason."""
    began = time.monotonic()
    libraries = folder.parent / LIBRARIES
    libraries.mkdir(exist_ok=True)
    say(f"compiling into {folder}, a few minutes")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as work:
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", work],
            cwd=ROOT,
            env={
                **os.environ,
                "HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1",
                "TAPELINE_LIBRARY_CACHE": str(libraries),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if key() != folder.name:
            say("the sources changed meanwhile: run it again")
            return False
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            lines = done.stdout.splitlines()
            errors = [line for line in lines if "error:" in line][:20]
            say("failed:\n" + "\n".join(errors or lines[-40:]))
            return False
        unpacked = Path(work, "unpacked")
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(unpacked)
        unpacked.rename(folder)
    say(f"done after {time.monotonic() - began:.0f} s")
    return True


def remove_old(cache: Path, newest: Path) -> None:
    """Remove folders that nobody asked for in a while."""
    for path in (cache / LIBRARIES).glob("*"):
        if path.stat().st_mtime < time.time() - LIBRARY_KEPT_S:
            path.unlink()
    others = [path for path in cache.iterdir() if path.is_dir() and path.name != LIBRARIES]
    others.remove(newest)
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[FOLDERS_MAX - 1 :]:
        if path.stat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(path)


if __name__ == "__main__":
    sys.exit(main())
