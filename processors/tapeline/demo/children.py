"""The demo's services as processes: as units of a stack, or by themselves, watched and stopped."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tapeline.demo.messages import Settings
from tapeline.demo.service import HOST, settings_to_arguments
from tapeline.stack.child import Child
from tapeline.stack.ports import holder_of, is_free
from tapeline.stack.probe import is_ready
from tapeline.stack.topology import Unit

__all__ = ["DemoError", "DemoServices", "demo_units"]

START_TIMEOUT_S: Final = 20.0
# A service finishes its calls (3 s) and flushes its telemetry.
GRACE_S: Final = 8.0
POLL_S: Final = 0.1


class DemoError(Exception):
    """A demo service could not start, or ended by itself; the message says which and why."""


def demo_units(settings: Settings, environment: Mapping[str, str]) -> tuple[Unit, ...]:
    """Return the services in the order of their start: who is called comes before who calls."""
    return (
        _unit("back_office", settings.back_office_port, settings, environment),
        _unit("gateway", settings.gateway_port, settings, environment, "back_office"),
        _unit("strategy", settings.strategy_port, settings, environment, "gateway"),
    )


def _unit(
    name: str, port: int, settings: Settings, environment: Mapping[str, str], *calls: str
) -> Unit:
    url = f"http://{HOST}:{port}/health"
    return Unit(
        name=name,
        binary=None,
        arguments=("-m", f"tapeline.demo.{name}", *settings_to_arguments(settings)),
        ready_url=url,
        url=url,
        ports=(("HTTP", port),),
        environment=environment,
        # Without a stack around them the first two names stand for nothing, and are left out.
        needs=("collector", "gate", *calls),
        grace_s=GRACE_S,
    )


class DemoServices:
    """Runs the services without a stack; a context manager that leaves no process behind.

    `folder` takes the log file of each: what it wrote to its standard output and error.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str], folder: Path) -> None:
        self._units = demo_units(settings, environment)
        self._folder = folder
        self._children: dict[str, Child] = {}

    @property
    def process_ids(self) -> Mapping[str, int]:
        """The process id of each service that was started, by name."""
        return {name: child.pid for name, child in self._children.items()}

    def __enter__(self) -> Self:
        """Start the services and wait for each; raises DemoError where one can't start."""
        try:
            for unit in self._units:
                self._start(unit)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop them all."""
        self.stop()

    def wait(self) -> None:
        """Return when the strategy has finished; raises DemoError where a service failed."""
        while True:
            for name, child in self._children.items():
                code = child.exit_code
                if name == "strategy" and code == 0:
                    return
                if code is not None:
                    raise DemoError(_ended(name, child, code))
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End the services, callers first, so that what is under way can finish; idempotent."""
        while self._children:
            _, child = self._children.popitem()
            child.ask_to_end()
            child.wait(GRACE_S)

    def _start(self, unit: Unit) -> None:
        for _, port in unit.ports:
            if not is_free(port):
                raise DemoError(
                    f"port {port} (demo service {unit.name}) is taken by "
                    f"{holder_of(port) or 'another process'}. Stop that, or choose other ports."
                )
        child = Child.start(
            [sys.executable, *unit.arguments],
            {**os.environ, **unit.environment},
            self._folder,
            self._folder / f"{unit.name}.log",
        )
        self._children[unit.name] = child
        until = time.monotonic() + START_TIMEOUT_S
        while not is_ready(unit.ready_url):
            code = child.exit_code
            if code is not None:
                raise DemoError(_ended(unit.name, child, code))
            if time.monotonic() > until:
                raise DemoError(
                    f"the demo service {unit.name} did not answer on {unit.ready_url} within "
                    f"{START_TIMEOUT_S:g} s. Its last lines:\n{child.log_tail()}"
                )
            time.sleep(POLL_S)


def _ended(name: str, child: Child, code: int) -> str:
    how = f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    return f"the demo service {name} ended with {how}. Its last lines:\n{child.log_tail()}"
