"""`tapeline demo services`: the trading services alone, against any OTLP endpoint."""

import os
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from tapeline.demo.children import DemoError, DemoServices
from tapeline.demo.credentials import planted_credentials
from tapeline.demo.messages import Settings
from tapeline.demo.service import HOST

__all__ = [
    "DemoOptions",
    "add_demo_arguments",
    "demo_settings",
    "services_command",
    "services_environment",
]

DEFAULT_SEED: Final = 7
DEFAULT_RATE_PER_S: Final = 5.0
DEFAULT_FIRST_PORT: Final = 8711
DEFAULT_LOG_FILE: Final = Path(".tapeline/log-files/back_office.log")
DEFAULT_LOG_SIZE_BYTES: Final = 256 * 1024
RATE_MAX_PER_S: Final = 200.0
PORT_MAX: Final = 65_535
PORTS_USED: Final = 3


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user may choose: the market, its pace, and where the services are."""

    seed: int = DEFAULT_SEED
    rate_per_s: float = DEFAULT_RATE_PER_S
    duration_s: float = 0.0
    first_port: int = DEFAULT_FIRST_PORT
    log_file: Path = DEFAULT_LOG_FILE
    log_size_bytes: int = DEFAULT_LOG_SIZE_BYTES
    run: str = ""


def add_demo_arguments(parser: ArgumentParser) -> None:
    """Add the options to a command's parser; their names are DemoOptions's fields."""
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="the market's seed (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        dest="rate_per_s",
        type=_rate,
        default=DEFAULT_RATE_PER_S,
        metavar="ORDERS",
        help=f"orders a second, at most {RATE_MAX_PER_S:g} (default: %(default)s)",
    )
    parser.add_argument(
        "--duration",
        dest="duration_s",
        type=_duration,
        default=0.0,
        metavar="SECONDS",
        help="how long to trade; 0 means until Ctrl-C (default: %(default)s)",
    )
    parser.add_argument(
        "--first-port",
        type=_first_port,
        default=DEFAULT_FIRST_PORT,
        metavar="PORT",
        help="the strategy listens here, gateway and back office on the two ports after it "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--log-file",
        type=Path,
        default=DEFAULT_LOG_FILE,
        metavar="FILE",
        help="the JSON log file that the back office writes and rotates (default: %(default)s)",
    )
    parser.add_argument(
        "--log-size-bytes",
        type=int,
        default=DEFAULT_LOG_SIZE_BYTES,
        metavar="BYTES",
        help="rotate the log file at this size (default: %(default)s)",
    )
    parser.add_argument(
        "--run",
        default="",
        metavar="TEXT",
        help="begins every order id (default: from the clock); the same text and seed again "
        "give the same ids",
    )


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= RATE_MAX_PER_S:
        raise ArgumentTypeError(f"{text} is not above 0 and at most {RATE_MAX_PER_S:g}")
    return value


def _duration(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text} is not 0 or more seconds")
    return value


def _first_port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= PORT_MAX - PORTS_USED + 1:
        raise ArgumentTypeError(f"{text} leaves no room for {PORTS_USED} ports")
    return value


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


def services_command(options: DemoOptions) -> int:
    """Run `tapeline demo services`; return 0, or 1 where a service failed, 2 without the SDK."""
    try:
        environment = services_environment()
    except ImportError as error:
        sys.stderr.write(f"tapeline demo: {error}\n")
        return 2
    settings = demo_settings(options)
    endpoint = environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    try:
        with _interrupted_by_sigterm(), DemoServices(settings, environment) as services:
            for line in _introduction(settings, endpoint):
                print(line, flush=True)
            services.wait()
    except DemoError as error:
        sys.stderr.write(f"tapeline demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        print("stopped")
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
