"""Asks servers over HTTP whether they are ready; as a program, waits for them and says so.

`python -m tapeline.stack.probe [--wait SECONDS] [NAME=]URL…` prints a table and exits 0 when all
answered with a success, else 1. Compose uses it: for health checks, since the images have no shell
or HTTP client, and as the `ready` service.
"""

import argparse
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Target", "is_ready", "main", "wait_until_ready"]

REQUEST_TIMEOUT_S = 2.0
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Target:
    """A server: its name, and the URL that answers with a success once it is ready."""

    name: str
    url: str


def is_ready(url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> bool:
    """Tell whether a GET of this http URL is answered with a success."""
    request = urllib.request.Request(url)  # noqa: S310 - the caller's own servers
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            status: int = answer.status
            return status < 300  # noqa: PLR2004 - where success ends (RFC 9110, 15)
    except (OSError, ValueError, http.client.HTTPException):
        return False  # Not there yet: refused, reset, timed out, or an error status


# Never by a proxy: these servers are on this machine or in this network.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until_ready(
    targets: Sequence[Target], timeout_s: float, on_ready: Callable[[Target, float], None]
) -> tuple[Target, ...]:
    """Poll until every target is ready or time is up; return those that are not.

    `on_ready` gets each target once, with the seconds that it took.
    """
    begin = time.monotonic()
    waiting = tuple(targets)
    while True:
        for target in [target for target in waiting if is_ready(target.url)]:
            on_ready(target, time.monotonic() - begin)
            waiting = tuple(other for other in waiting if other != target)
        if not waiting or time.monotonic() - begin >= timeout_s:
            return waiting
        time.sleep(POLL_S)


def _target(text: str) -> Target:
    name, separator, url = text.partition("=")
    target = Target(name, url) if separator and "/" not in name else Target(text, text)
    if not target.url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a URL nor NAME=URL")
    return target


def main(arguments: Sequence[str]) -> int:
    """Run the program; return 0 when every target is ready, 1 when time is up."""
    parser = argparse.ArgumentParser(
        prog="python -m tapeline.stack.probe",
        description="Wait until servers answer a GET with a success. Exit 0: all do. Exit 1: not.",
    )
    parser.add_argument("targets", nargs="+", type=_target, metavar="[NAME=]URL")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    parsed = parser.parse_args(arguments)

    def show(target: Target, seconds: float) -> None:
        sys.stdout.write(f"ready      {seconds:6.1f} s  {target.name:<12} {target.url}\n")
        sys.stdout.flush()

    missing = wait_until_ready(parsed.targets, parsed.wait, show)
    for target in missing:
        sys.stdout.write(f"NOT READY  {parsed.wait:6.1f} s  {target.name:<12} {target.url}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
