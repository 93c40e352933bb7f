"""Small servers for the stack to run: they listen after a while, and write what happens to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeline.stack.ports import HOST, Ports, is_free
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides, Unit

# A server that listens after a while, writes what happens to it, and ends on SIGTERM.
SERVER = """
import http.server, signal, sys, time
name, port, delay_s, log = sys.argv[1:]
def say(word):
    with open(log, "a") as file:
        file.write(f"{name} {word}\\n")
def stop(*_):
    time.sleep(0.5 if name == "lingering" else 0)
    say("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say("started")
time.sleep(float(delay_s))
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(port)), handler).serve_forever()
"""


def unit(name: str, port: int, log: Path, *, delay_s: float = 0.0, needs: str = "") -> Unit:
    """Return a unit that runs SERVER."""
    return Unit(
        name=name,
        binary=None,
        arguments=("-c", SERVER, name, str(port), str(delay_s), str(log)),
        ready_url=f"http://{HOST}:{port}/",
        url=f"http://{HOST}:{port}",
        ports=(("HTTP", port),),
        needs=tuple(needs.split()),
    )


@contextmanager
def stack_of_two(folder: Path) -> Iterator[Stack]:
    """Give a stack of two small servers, the second of which needs the first; end it after."""
    ports, log = Ports.free(), folder / "events"
    units = (
        unit("first", ports.gate, log, delay_s=0.3),
        unit("second", ports.loki, log, needs="first"),
    )
    stack = Stack(folder / "run", ports, servers=(), overrides=Overrides(units=units))
    try:
        yield stack
    finally:
        if stack.running:
            stack.stop()


def events(stack: Stack) -> list[str]:
    """Return what the small servers wrote, in order."""
    return (stack.directory.path.parent / "events").read_text(encoding="utf-8").splitlines()


def is_listening(unit_: Unit) -> bool:
    """Tell whether a unit's first port is in use."""
    return not is_free(unit_.ports[0][1])
