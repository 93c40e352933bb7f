"""Finds the servers of the stack, and builds those that are missing from pinned Go modules.

A built server lives in `<cache>/bin/<server>/<key>/`, where the key is a digest of the files that
pin it: a changed pin is a new folder, and an old binary is never taken for a new one.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TypeAlias

import yaml

from tapeline.stack.go_toolchain import (
    BuildError,
    GoToolchain,
    Progress,
    find_toolchain,
    run_logged,
    version_wanted_by,
)
from tapeline.stack.servers import (
    BUILDER_FOLDER,
    BUILDER_PACKAGE,
    SERVERS,
    Binary,
    Server,
    binary_named,
    server_named,
)

# .../processors/tapeline/stack/binaries.py in a source checkout.
SOURCE_ROOT = Path(__file__).resolve().parents[3]
KEY_LENGTH = 12  # hexadecimal digits
LOCK_POLL_SECONDS = 0.5
LOCK_NOTICE_SECONDS = 60.0

# Runs one command of a build in a folder, with the build's log and heartbeat.
Run: TypeAlias = Callable[[Sequence[str], Path], None]


class BinaryError(Exception):
    """A server's binary was named wrongly or is not there; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What became of one server in `build_all`: its seconds, and the error if it failed."""

    server: Server
    seconds: float
    error: str | None


def cache_folder() -> Path:
    """Return the folder that outlives checkouts: TAPELINE_CACHE_DIR, or the user's cache."""
    explicit = os.environ.get("TAPELINE_CACHE_DIR")
    if explicit:
        return Path(explicit).expanduser().absolute()
    # The XDG specification says to ignore a relative path.
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return home / "tapeline"


def environment_name(binary: str) -> str:
    """Return the environment variable that overrides where one binary is."""
    return f"TAPELINE_{binary.upper()}_BINARY"


def find(name: str) -> Path | None:
    """Return where a binary is: its environment override, then the cache, then PATH.

    `name` is a binary's name; a server's name stands for its first binary. None where it is in
    none of the three places. Raises BinaryError for an unknown name, or an override that is wrong.
    """
    binary = binary_named(name)
    server = server_named(name)
    if binary is None or server is None:
        raise BinaryError(_unknown(name))
    return _overridden(binary) or _cached(server, binary) or _on_path(binary)


def require(name: str) -> Path:
    """Return where a binary is; raise BinaryError with what to do where it is nowhere."""
    path = find(name)
    if path is not None:
        return path
    server = server_named(name)
    binary = binary_named(name)
    if server is None or binary is None:
        raise BinaryError(_unknown(name))
    raise BinaryError(
        f"the binary {binary.name!r} is not built and not on PATH. Build it with `tapeline stack "
        f"build {server.name}` (about {server.minutes:g} min on 2 cores, needs Go and network), "
        f"or say where it is with {environment_name(binary.name)}=PATH."
    )


def _overridden(binary: Binary) -> Path | None:
    variable = environment_name(binary.name)
    value = os.environ.get(variable)
    if not value:
        return None
    path = Path(value).expanduser().absolute()
    if not _is_program(path):
        raise BinaryError(
            f"{variable} names {path}, which is not an executable file. Correct it, or unset it "
            "to use the built binary."
        )
    return path


def _cached(server: Server, binary: Binary) -> Path | None:
    if missing_pin(server) is not None:
        return None  # An installed wheel has no pins, so it can't tell which build is the right one
    path = target_folder(server) / binary.name
    return path if _is_program(path) else None


def _on_path(binary: Binary) -> Path | None:
    for name in binary.path_names:
        found = shutil.which(name)
        if found is not None:
            return Path(found).absolute()
    return None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _unknown(name: str) -> str:
    names = [server.name for server in SERVERS]
    names += [b.name for server in SERVERS for b in server.binaries if b.name not in names]
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no server or binary {name!r}.{hint} There are: {', '.join(names)}."


def missing_pin(server: Server) -> Path | None:
    """Return the first file that pins this server and is not there, or None."""
    for relative in server.pin_files:
        path = SOURCE_ROOT / relative
        if not path.is_file():
            return path
    return None


def pin_key(server: Server) -> str:
    """Return the digest of the files that pin a server; every file must be there."""
    digest = hashlib.sha256()
    for relative in server.pin_files:
        content = (SOURCE_ROOT / relative).read_bytes()
        digest.update(f"{relative} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:KEY_LENGTH]


def target_folder(server: Server) -> Path:
    """Return the folder that holds a server's binaries once it is built as pinned now."""
    return cache_folder() / "bin" / server.name / pin_key(server)


def is_built(server: Server) -> bool:
    """Tell whether every binary of a server is in the cache, as pinned now."""
    if missing_pin(server) is not None:
        return False
    folder = target_folder(server)
    return all(_is_program(folder / binary.name) for binary in server.binaries)


def build(name: str, on_progress: Progress) -> Path:
    """Build one server into the cache unless it is there; return the folder of its binaries.

    Raises BinaryError for an unknown name and BuildError where it can't be built.
    """
    server = server_named(name)
    if server is None:
        raise BinaryError(_unknown(name))
    missing = missing_pin(server)
    if missing is not None:
        raise BuildError(
            f"{server.name} can only be built from a source checkout: {missing} is not there, and "
            "an installed package does not carry it. Clone the repository and run `make binaries` "
            "there, or put the server on PATH."
        )
    if is_built(server):
        on_progress(f"{server.name}: already built")
        return target_folder(server)
    toolchain = find_toolchain()
    for folder in {server.module_folder, *_generator_folders(server)}:
        toolchain.require(version_wanted_by(SOURCE_ROOT / folder / "go.mod"), server.name)
    target = target_folder(server)
    _create(target.parent)
    with _only_builder(target.parent / ".lock", server, on_progress):
        if is_built(server):  # The builder that we waited for did it.
            on_progress(f"{server.name}: built by another process meanwhile")
            return target
        _build_locked(server, toolchain, target, on_progress)
    return target


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(
            f"cannot create the cache folder {folder}: {error.strerror}. Set TAPELINE_CACHE_DIR to "
            "a folder that you may write."
        ) from error


@contextmanager
def _only_builder(path: Path, server: Server, on_progress: Progress) -> Iterator[None]:
    """Hold the lock of one server's builds; the kernel frees it when its holder dies."""
    with path.open("a+") as lock:
        waited = 0.0
        while not _try_lock(lock):
            if waited % LOCK_NOTICE_SECONDS == 0:
                on_progress(f"{server.name}: another process is building it, waiting ({path})")
            time.sleep(LOCK_POLL_SECONDS)
            waited += LOCK_POLL_SECONDS
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build_locked(
    server: Server, toolchain: GoToolchain, target: Path, on_progress: Progress
) -> None:
    on_progress(f"{server.name}: building (about {server.minutes:g} min on 2 cores)")
    started = time.monotonic()
    log = target.parent / "build.log"
    log.write_bytes(b"")

    def run(arguments: Sequence[str], folder: Path) -> None:
        run_logged(
            arguments,
            folder=folder,
            environment=toolchain.environment,
            log=log,
            on_heartbeat=lambda: on_progress(
                f"{server.name}: still building after {duration(time.monotonic() - started)}"
            ),
        )

    with tempfile.TemporaryDirectory(prefix=".build-", dir=target.parent) as scratch:
        finished = Path(scratch) / "finished"
        finished.mkdir()
        folder, tags = SOURCE_ROOT / server.module_folder, server.tags
        if server.manifest is not None:
            folder, tags = _generate(server, toolchain, Path(scratch), run)
        for binary in server.binaries:
            run(
                go_build(
                    toolchain,
                    package=binary.package,
                    output=finished / binary.name,
                    tags=tags,
                    version_flags=server.version_flags,
                ),
                folder,
            )
        # A folder there now is incomplete: somebody deleted a binary from it.
        shutil.rmtree(target, ignore_errors=True)
        finished.rename(target)


def go_build(
    toolchain: GoToolchain,
    *,
    package: str,
    output: Path,
    tags: Sequence[str] = (),
    version_flags: Sequence[str] = (),
) -> list[str]:
    """Return the `go build` command of one binary: nothing but the pins decides the result."""
    # Without symbol tables (-s -w) the binaries are a third smaller.
    linker = ["-s", "-w", *(f"-X {flag}" for flag in version_flags)]
    return [
        toolchain.executable,
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        f"-tags={','.join(tags)}",
        f"-ldflags={' '.join(linker)}",
        "-o",
        str(output),
        package,
    ]


def _generator_folders(server: Server) -> tuple[Path, ...]:
    return () if server.manifest is None else (SOURCE_ROOT / BUILDER_FOLDER,)


def _generate(
    server: Server, toolchain: GoToolchain, scratch: Path, run: Run
) -> tuple[Path, tuple[str, ...]]:
    """Generate the collector's sources from its manifest; return their folder and build tags.

    The builder would resolve the module versions anew; the committed go.mod and go.sum take the
    place of what it generates, so the same commit always builds the same collector.
    """
    if server.manifest is None:
        raise BuildError(f"{server.name} has no manifest to generate sources from")
    manifest = SOURCE_ROOT / server.manifest
    output, tags = _read_manifest(manifest)
    builder = scratch / "builder"
    run(
        go_build(toolchain, package=BUILDER_PACKAGE, output=builder),
        SOURCE_ROOT / BUILDER_FOLDER,
    )
    run(
        [str(builder), "--skip-compilation", "--skip-get-modules", f"--config={manifest}"],
        scratch,
    )
    sources = scratch / output
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(SOURCE_ROOT / server.module_folder / name, sources / name)
    return sources, tags


def _read_manifest(manifest: Path) -> tuple[str, tuple[str, ...]]:
    """Return where the builder writes the sources, and the build tags that go with them."""
    content = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    try:
        dist = content["dist"]
        output, tags = str(dist["output_path"]), str(dist["build_tags"])
    except (KeyError, TypeError) as error:
        raise BuildError(
            f"{manifest}: dist.output_path and dist.build_tags are needed. Restore the file from "
            "the repository."
        ) from error
    if Path(output).is_absolute():
        raise BuildError(f"{manifest}: dist.output_path must be relative, not {output}")
    return output, tuple(tag.strip() for tag in tags.split(",") if tag.strip())


def duration(seconds: float) -> str:
    """Return seconds as people say them: `48s`, `5m12s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def build_all(names: Sequence[str], on_progress: Progress) -> tuple[Outcome, ...]:
    """Build servers one after the other, in the order of SERVERS; no names means all.

    One that fails does not stop the others. Raises BinaryError for an unknown name.
    """
    return tuple(_build_one(server, on_progress) for server in _selected(names))


def _selected(names: Sequence[str]) -> list[Server]:
    chosen: set[str] = set()
    for name in names:
        server = server_named(name)
        if server is None:
            raise BinaryError(_unknown(name))
        chosen.add(server.name)
    return [server for server in SERVERS if not names or server.name in chosen]


def _build_one(server: Server, on_progress: Progress) -> Outcome:
    started = time.monotonic()
    ready = is_built(server)
    try:
        folder = build(server.name, on_progress)
    except BuildError as error:
        seconds = time.monotonic() - started
        on_progress(f"{server.name}: failed after {duration(seconds)}: {error}")
        return Outcome(server, seconds, str(error))
    seconds = time.monotonic() - started
    if not ready:
        size = sum((folder / binary.name).stat().st_size for binary in server.binaries)
        on_progress(f"{server.name}: done in {duration(seconds)}, {size / 1e6:.0f} MB in {folder}")
    return Outcome(server, seconds, None)


def build_command(names: Sequence[str]) -> int:
    """Run `tapeline stack build [NAME...]`: print progress, return the exit status."""

    def show(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    try:
        outcomes = build_all(names, show)
    except BinaryError as error:
        sys.stderr.write(f"tapeline stack build: {error}\n")
        return 2
    failed = [outcome.server.name for outcome in outcomes if outcome.error is not None]
    if failed:
        sys.stderr.write(f"tapeline stack build: failed: {', '.join(failed)} (reasons above)\n")
        return 1
    return 0
