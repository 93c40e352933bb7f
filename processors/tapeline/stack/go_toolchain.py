"""Runs the Go toolchain, and turns its failures into errors that say what to do."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]

# Go 1.21 is the first that fetches a newer toolchain by itself where a go.mod asks for one.
FIRST_SELF_UPDATING = (1, 21, 0)
HEARTBEAT_SECONDS = 60.0
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 64 * 1024

_UNREACHABLE = (
    "connection refused",
    "connection reset by peer",
    "dial tcp",
    "i/o timeout",
    "no route to host",
    "no such host",
    "proxyconnect",
    "tls handshake timeout",
    "module lookup disabled by goproxy=off",
)
_NOT_SERVED = ("403 forbidden", "404 not found", "410 gone", "unknown revision")
_PINS_INCOMPLETE = (
    "missing go.sum entry",
    "no required module provides package",
    "updates to go.mod needed",
)
_OUT_OF_SPACE = ("no space left on device",)
_OUT_OF_MEMORY = ("signal: killed", "cannot allocate memory")


class BuildError(Exception):
    """A server could not be built; the message says what was wrong and what to do."""


@dataclass(frozen=True)
class GoToolchain:
    """A `go` command that was found, its version, and the environment that it runs in."""

    executable: str
    version: tuple[int, int, int]
    updates_itself: bool
    environment: Mapping[str, str]

    def require(self, wanted: tuple[int, int, int], needed_by: str) -> None:
        """Raise BuildError where this toolchain is older than `wanted` and can't fetch it."""
        if self.version >= wanted:
            return
        if self.updates_itself and self.version >= FIRST_SELF_UPDATING:
            return
        raise BuildError(
            f"{needed_by} needs Go {_dotted(wanted)} or newer, but {self.executable} is "
            f"{_dotted(self.version)}. Install a newer Go, or let it fetch one itself "
            "(Go 1.21 and newer): run again with GOTOOLCHAIN=auto in the environment."
        )


def find_toolchain() -> GoToolchain:
    """Return the `go` on PATH; raise BuildError with what to do where there is none."""
    executable = shutil.which("go")
    if executable is None:
        raise BuildError(
            "no `go` command on PATH, and the servers are built from Go modules. Install Go "
            "1.26 or newer (your system's package `golang`, or the download on go.dev/dl), or "
            "install the servers themselves and put them on PATH."
        )
    environment = _build_environment()
    answer = subprocess.run(  # noqa: S603 - the arguments are ours, the executable is from PATH
        [executable, "env", "GOVERSION", "GOTOOLCHAIN"],
        env=environment,
        cwd="/",  # Outside every module: a go.mod here must not switch the version asked for.
        capture_output=True,
        text=True,
        check=False,
    )
    lines = answer.stdout.splitlines()
    if answer.returncode != 0 or not lines:
        raise BuildError(
            f"`{executable} env` failed: {answer.stderr.strip()}. Check the Go installation."
        )
    policy = lines[1] if len(lines) > 1 else "auto"
    return GoToolchain(
        executable=executable,
        version=parse_version(lines[0]),
        updates_itself=policy == "auto" or policy.endswith("+auto"),
        environment=environment,
    )


def _build_environment() -> dict[str, str]:
    """Return this process's environment without what would change the result of a build."""
    environment = dict(os.environ)
    environment["CGO_ENABLED"] = "0"  # No C compiler needed, and the binary runs on any libc.
    environment["GOWORK"] = "off"
    environment["GOFLAGS"] = ""
    for name in ("GOOS", "GOARCH"):  # The servers run here, whatever else the user builds for.
        environment.pop(name, None)
    return environment


def parse_version(text: str) -> tuple[int, int, int]:
    """Return the numbers of a Go version such as `go1.26.8`, `1.26.0` or `go1.27rc1`."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise BuildError(f"Go reports the version {text!r}, which has no number. Install a release")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)


def version_wanted_by(go_mod: Path) -> tuple[int, int, int]:
    """Return the version in a go.mod's `go` line."""
    for line in go_mod.read_text(encoding="utf-8").splitlines():
        if line.startswith("go "):
            return parse_version(line)
    raise BuildError(f"{go_mod} has no `go` line. Restore the file from the repository.")


def run_logged(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    on_heartbeat: Callable[[], None],
) -> None:
    """Run one command, appending its output to `log`; raise BuildError where it fails.

    `on_heartbeat` is called every HEARTBEAT_SECONDS, so that a long build shows that it lives.
    """
    with log.open("ab") as output:
        offset = output.tell()
        output.write(f"$ {' '.join(arguments)}\n".encode())
        output.flush()
        process = subprocess.Popen(  # noqa: S603 - the arguments are the table's
            list(arguments),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _wait(process, on_heartbeat)
        except BaseException:
            # The compilers that `go build` started are in its session: none may outlive us.
            _end_session(process)
            raise
    if code != 0:
        raise BuildError(explain(_tail(log, offset), log))


def _wait(process: subprocess.Popen[bytes], on_heartbeat: Callable[[], None]) -> int:
    while True:
        try:
            return process.wait(timeout=HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            on_heartbeat()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    process.wait()


def _tail(log: Path, offset: int) -> str:
    """Return the last lines that were written to `log` after `offset` bytes."""
    with log.open("rb") as written:
        end = written.seek(0, os.SEEK_END)
        written.seek(max(offset, end - LOG_TAIL_BYTES))
        text = written.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def explain(tail: str, log: Path) -> str:
    """Return what a failed build's last lines mean, what to do, and those lines."""
    lowered = tail.lower()

    def says(marks: Sequence[str]) -> bool:
        return any(mark in lowered for mark in marks)

    if says(_UNREACHABLE):
        meaning = (
            "the Go module proxy could not be reached. Check the network and the setting that "
            "`go env GOPROXY` prints, then run the same command again: what was downloaded so "
            "far is kept."
        )
    elif says(_NOT_SERVED):
        meaning = (
            "the Go module proxy does not serve a pinned module. Try the public proxy (unset "
            "GOPROXY), or install this server yourself and put it on PATH."
        )
    elif says(_PINS_INCOMPLETE):
        meaning = (
            "the pinned go.mod and go.sum do not fit what is being built. Where you changed a "
            "version or the manifest, resolve them anew as collector/native/README.md says; "
            "otherwise restore the files from the repository."
        )
    elif says(_OUT_OF_SPACE):
        meaning = "the disk is full. Free some space (`go clean -cache` frees Go's), then retry."
    elif says(_OUT_OF_MEMORY):
        meaning = "the compiler ran out of memory. Retry with GOMAXPROCS=1, or with more memory."
    else:
        meaning = "the Go build failed."
    return f"{meaning} Its last lines (all of them: {log}):\n{tail}"
