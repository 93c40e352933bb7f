"""`tapeline demo`: the whole stack with the trading services, or these services alone."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from tapeline.demo.children import DemoError, DemoServices
from tapeline.demo.credentials import planted_credentials
from tapeline.demo.messages import Settings
from tapeline.demo.service import HOST
from tapeline.demo.whole import run_whole
from tapeline.pipeline.durations import parse_duration_s
from tapeline.stack.ports import Ports

__all__ = [
    "DemoOptions",
    "checked_duration_s",
    "demo_command",
    "demo_settings",
    "services_environment",
]

DEFAULT_SEED: Final = 1
DEFAULT_RATE_PER_S: Final = 5.0
DEFAULT_FIRST_PORT: Final = 8711
DEFAULT_LOG_FILE: Final = Path(".tapeline/log-files/back_office.log")
DEFAULT_LOG_SIZE_BYTES: Final = 256 * 1024
# Beside `tapeline stack`'s own folder, whose data a demo that ends must not remove.
DEFAULT_RUN_DIR: Final = Path(".tapeline/demo")
RATE_MAX_PER_S: Final = 200.0
# Timers take some 290 years.
DURATION_MAX_S: Final = 366 * 86_400.0
PORTS_OF_STACK: Final = len(fields(Ports))


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What may be chosen: the market, its pace, and where the services are.

    `duration_s` 0 means until Ctrl-C. Strategy, gateway and back office listen on `first_port` and
    the two after it. `run` begins every order id; empty takes it from the clock.
    """

    seed: int = DEFAULT_SEED
    rate_per_s: float = DEFAULT_RATE_PER_S
    duration_s: float = 0.0
    first_port: int = DEFAULT_FIRST_PORT
    log_file: Path = DEFAULT_LOG_FILE
    log_size_bytes: int = DEFAULT_LOG_SIZE_BYTES
    run: str = ""


def demo_command(
    part: str,
    *,
    rate: float = DEFAULT_RATE_PER_S,
    seed: int = DEFAULT_SEED,
    duration: str | None = None,
    run_dir: Path = DEFAULT_RUN_DIR,
    port_base: int | None = None,
) -> int:
    """Run `tapeline demo` (part `all`), or the services against OTEL_EXPORTER_OTLP_ENDPOINT.

    `rate` is in orders a second, `duration` as `90s` or `10m` (None: until Ctrl-C). Returns 0 at
    its end, 1 where something was in the way, 2 for a wrong option or without the SDK.
    """
    try:
        options = DemoOptions(
            seed,
            _checked_rate(rate),
            checked_duration_s("--duration", duration),
            first_port=DEFAULT_FIRST_PORT if port_base is None else port_base + PORTS_OF_STACK,
        )
        environment = services_environment()
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"tapeline demo: {error}\n")
        return 2
    settings = demo_settings(options)
    if part == "services":
        return _run_services(settings, environment)
    return run_whole(settings, environment, run_dir, _show, port_base)


def _show(line: str) -> None:
    print(line, flush=True)


def _checked_rate(rate_per_s: float) -> float:
    if not 0 < rate_per_s <= RATE_MAX_PER_S:
        raise ValueError(f"--rate {rate_per_s:g} must be above 0 and at most {RATE_MAX_PER_S:g}")
    return rate_per_s


def checked_duration_s(option: str, text: str | None) -> float:
    """Return an option's seconds, 0 where it is not given; raises ValueError for 0 itself."""
    if text is None:
        return 0.0
    try:
        duration_s = parse_duration_s(text)
    except ValueError as error:
        raise ValueError(f"{option} is {error}") from error
    if not 0 < duration_s <= DURATION_MAX_S:
        raise ValueError(f"{option} {text} must be above 0, and a year at most")
    return duration_s


def demo_settings(options: DemoOptions) -> Settings:
    """Return what the services need to know."""
    return Settings(
        seed=options.seed,
        run=options.run or f"d{datetime.now(tz=UTC):%m%d%H%M%S}",
        rate_per_s=options.rate_per_s,
        duration_s=options.duration_s,
        strategy_port=options.first_port,
        gateway_port=options.first_port + 1,
        back_office_port=options.first_port + 2,
        log_path=str(options.log_file.absolute()),
        log_size_bytes=options.log_size_bytes,
    )


def services_environment() -> dict[str, str]:
    """Return this process's environment; raises ImportError where the SDK is not installed."""
    # The SDK takes a moment to import, and only the demo needs it.
    from tapeline.demo.telemetry import ENVIRONMENT_DEFAULTS  # noqa: PLC0415

    return ENVIRONMENT_DEFAULTS | dict(os.environ)


def _run_services(settings: Settings, environment: dict[str, str]) -> int:
    endpoint = environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tapeline-demo-") as folder,
            _interrupted_by_sigterm(),
            DemoServices(settings, environment, Path(folder)) as services,
        ):
            for line in _introduction(settings, endpoint):
                _show(line)
            services.wait()
    except DemoError as error:
        sys.stderr.write(f"tapeline demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        _show("stopped")
    return 0


def _introduction(settings: Settings, endpoint: str) -> Sequence[str]:
    ends = f"for {settings.duration_s:g} s" if settings.duration_s else "until Ctrl-C"
    pace = f"{settings.rate_per_s:g} orders/s, seed {settings.seed}, order ids {settings.run}-…"
    back_office = f"http://{HOST}:{settings.back_office_port}/health"
    return (
        f"trading {ends}: {pace}, telemetry to {endpoint}",
        f"  strategy     http://{HOST}:{settings.strategy_port}/health",
        f"  gateway      http://{HOST}:{settings.gateway_port}/health",
        f"  back office  {back_office}  log file {settings.log_path}",
        f"  {len(planted_credentials(settings.seed))} planted credentials leak in turn",
    )


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that nothing is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
