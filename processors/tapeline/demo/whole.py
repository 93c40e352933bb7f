"""`tapeline demo`: the stack from nothing, the services on it, and what to look at."""

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final

from tapeline.demo.children import demo_units
from tapeline.demo.credentials import credentials, planted_credentials
from tapeline.demo.messages import Settings
from tapeline.demo.proof import find_proofs
from tapeline.stack.binaries import BinaryError
from tapeline.stack.ports import HOST, PortError, Ports
from tapeline.stack.run_directory import RunDirectoryError
from tapeline.stack.runner import Stack, StackError
from tapeline.stack.supervisor import Options, ready_table, supervise
from tapeline.stack.topology import Overrides, Unit

__all__ = ["PROBLEMS", "remove_if_empty", "run_whole", "show_proofs", "until_alarm"]

PROOF_TIMEOUT_S: Final = 60.0
# What executions cost against each benchmark, in money; negative where they were better than it.
SLIPPAGE: Final = (
    "sum by (trading_benchmark) (trading_slippage_cost_total - trading_slippage_improvement_total)"
)
# What bringing a stack up may meet: each says in its message what to do.
PROBLEMS: Final = (BinaryError, PortError, RunDirectoryError, StackError)

Show = Callable[[str], None]


def run_whole(
    settings: Settings,
    environment: Mapping[str, str],
    run_dir: Path,
    show: Show,
    port_base: int | None = None,
) -> int:
    """Bring everything up and stay until Ctrl-C, SIGTERM or the duration's end; return 0 or 1.

    The duration begins when all is up and shown: building servers does not use it up.
    Nothing is left behind: processes, run directory, and its parent where that is empty.
    """
    began = time.monotonic()
    options = Options(run_dir.absolute(), join=True, port_base=port_base)
    duration_s = settings.duration_s
    try:
        ports = options.ports()
        options = replace(
            options, overrides=Overrides(units=_units(settings, environment, ports, run_dir))
        )

        def on_ready(stack: Stack) -> None:
            show(f"\n{ready_table(stack)}\n")
            show(_what_to_see(ports, settings, run_dir, time.monotonic() - began))
            show_proofs(ports, settings, show)
            show("Ctrl-C stops everything and removes its data.")
            alarm.enter_context(until_alarm(duration_s))

        with ExitStack() as alarm:
            return supervise(options, show, on_ready)
    except PROBLEMS as error:
        sys.stderr.write(f"tapeline demo: {error}\n")
        return 1
    finally:
        remove_if_empty(run_dir.absolute().parent)


def _units(
    settings: Settings, environment: Mapping[str, str], ports: Ports, run_dir: Path
) -> tuple[Unit, ...]:
    """Return the services as further units of the stack, sending to its collector.

    They trade until the stack ends: the duration is kept by this process.
    """
    log_path = run_dir.absolute() / "log-files" / "back_office.log"
    endless = replace(settings, duration_s=0.0, log_path=str(log_path))
    endpoint = f"http://{HOST}:{ports.otlp_grpc}"
    return demo_units(endless, {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})


@contextmanager
def until_alarm(duration_s: float) -> Iterator[None]:
    """Interrupt this process as Ctrl-C does, so long from now; never where it is 0."""
    previous = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, duration_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _what_to_see(ports: Ports, settings: Settings, run_dir: Path, took_s: float) -> str:
    host = f"http://{HOST}"
    rate = "rate(strategy_orders_sent_total%5B1m%5D)"
    # The servers built from Go modules have no web pages (docs/limits.md), so APIs are named.
    prometheus = f"{host}:{ports.prometheus}/api/v1/query"
    loki = f"{host}:{ports.loki}/loki/api/v1/query_range"
    query = "--data-urlencode 'query={service_name=\"gateway\"}'"
    otlp = f"{host}:{ports.otlp_grpc} (gRPC), {host}:{ports.otlp_http} (HTTP)"
    count = len(planted_credentials(settings.seed))
    return "\n".join(
        (
            f"Up after {took_s:.0f} s: {settings.rate_per_s:g} orders/s, seed {settings.seed}.",
            f"  traces   curl -s '{host}:{ports.jaeger}/api/traces?service=strategy'",
            f"  metrics  curl -s '{prometheus}?query={rate}'",
            f"  logs     curl -sG {loki} {query}",
            f"  P&L      curl -s '{prometheus}?query=trading_pnl_net'",
            f"  slippage curl -sG {prometheus} --data-urlencode 'query={SLIPPAGE}'",
            f"  OTLP     {otlp}: send your own",
            f"  files    {run_dir}/logs, {run_dir}/log-files/back_office.log",
            "",
            f"{count} credentials leak in turn, in logs, spans, metrics and the log file.",
            "What was sent, and what arrived:",
        )
    )


def show_proofs(ports: Ports, settings: Settings, show: Show) -> None:
    """Show for each planted kind of credential what was sent, and what a backend has of it."""
    found = find_proofs(
        f"http://{HOST}:{ports.loki}",
        f"http://{HOST}:{ports.jaeger}",
        credentials(settings.seed),
        PROOF_TIMEOUT_S,
    )
    for each in found:
        if isinstance(each, str):
            show(f"\n  {each}")
            continue
        show(f"\n  {each.what}\n    sent    {each.before}\n    {each.backend:<6}  {each.after}")
        if not each.is_redacted:
            show("    The credential arrived: is redaction in the gate's chain?")
    show("")


def remove_if_empty(folder: Path) -> None:
    """Remove the folder that the run directory was in, where nothing else is in it."""
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
