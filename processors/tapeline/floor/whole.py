"""`tapeline demo floor`: the stack, the systems on it, and the faults that are due."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final

import yaml

from tapeline.demo.children import demo_units
from tapeline.demo.messages import Settings
from tapeline.demo.whole import PROBLEMS, remove_if_empty, show_proofs, until_alarm
from tapeline.floor.catalog import FloorService, services_of
from tapeline.floor.collector import Scraped, ingress_document
from tapeline.floor.faults import switch_faults
from tapeline.floor.gate_config import fast_gate_config
from tapeline.floor.place import Place, place_argument
from tapeline.floor.rules import LOKI_FOLDER, PROMETHEUS_FOLDER, scaled_rule_files
from tapeline.floor.schedule import Turn, active_at
from tapeline.floor.signals_config import floor_signals_config
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, PortError, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.supervisor import Options, ready_table, supervise
from tapeline.stack.topology import Overrides, Unit

__all__ = ["FLOOR_ENVIRONMENT", "FloorPlan", "fault_path", "floor_overrides", "run_floor"]

# A service finishes its calls and flushes its telemetry: more than both may take (service.py).
_GRACE_S: Final = 8.0
_SCHEDULE_POLL_S: Final = 0.2
_SCRAPE_INTERVAL_S: Final = 5
_DEMO_PORTS: Final = 3
_INGRESS_FILE: Final = "floor-ingress.yaml"
_GATE_FILE: Final = "gate.floor.yaml"
_SIGNALS_FILE: Final = "signals.floor.yaml"
_FAULT_FILE: Final = "faults.json"
# Away from the servers' well-known ports.
_DEFAULT_BASE: Final = 8700
_HIGHEST_PORT: Final = 65_535
# Data within seconds, where the SDK's own defaults are 5 s and 60 s.
FLOOR_ENVIRONMENT: Final[Mapping[str, str]] = {
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
    "OTEL_BLRP_SCHEDULE_DELAY": "1000",
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",
}

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """What may be chosen of a floor.

    `rate_per_s` is in orders of each system. `time_scale` divides the rules' windows and waits and
    Alertmanager's intervals. `desk` are the settings of the demo's own services, which trade beside
    the systems; None leaves them out. `duration_s` 0 is until Ctrl-C.
    """

    run_dir: Path
    systems: tuple[str, ...] = ()
    rate_per_s: float = 2.0
    seed: int = 1
    duration_s: float = 0.0
    port_base: int | None = None
    time_scale: int = 1
    turns: tuple[Turn, ...] = ()
    tape_path: Path | None = None
    run: str = "f1"
    desk: Settings | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def ports(self) -> Ports:
        """Return the servers' ports; raises PortError for a base out of range."""
        return Ports() if self.port_base is None else Ports.from_base(self.port_base)

    @property
    def first_port(self) -> int:
        """The floor's first port: behind those of the servers and of the desk."""
        base = self.port_base or _DEFAULT_BASE
        return base + len(fields(Ports)) + _DEMO_PORTS


def fault_path(run_dir: Path) -> Path:
    """Where the floor of a run directory is told which faults are on."""
    return run_dir.absolute() / "config" / _FAULT_FILE


def floor_overrides(plan: FloorPlan) -> Overrides:
    """Return what makes a stack the floor: its services, and what the collector must know.

    Raises PortError for a base so high that a service has no port.
    """
    services = services_of(plan.systems)
    ports = plan.ports()
    ports_of = _ports_of(plan, services)
    logs = plan.run_dir.absolute() / "log-files" / "floor"
    scraped = [Scraped(each, ports_of[each.name]) for each in services]
    ingress = ingress_document(scraped, logs, _SCRAPE_INTERVAL_S)
    units = tuple(_unit(plan, each, ports_of, ports, logs) for each in services)
    if plan.desk is not None:
        units = (*_desk_units(plan, plan.desk, ports), *units)
    config = plan.run_dir.absolute() / "config"
    fast = plan.time_scale > 1
    return Overrides(
        ingress_files=(config / _INGRESS_FILE,),
        config_files={
            _INGRESS_FILE: yaml.safe_dump(ingress, sort_keys=False),
            _SIGNALS_FILE: floor_signals_config(SOURCE_ROOT),
            # A floor that was killed left its faults here: this one begins without.
            _FAULT_FILE: "[]",
            **(_fast_files(plan) if fast else {}),
        },
        signals_config=config / _SIGNALS_FILE,
        gate_config=config / _GATE_FILE if fast else None,
        rules_folder=config / PROMETHEUS_FOLDER if fast else None,
        loki_rules_folder=config / LOKI_FOLDER if fast else None,
        alert_time_scale=plan.time_scale,
        # A scrape before a service listens would be an outage in its objectives.
        needs={"collector": tuple(each.name for each in services)},
        environment={"collector": {"TAPELINE_REST_SAMPLING_PERCENT": "20"}},
        units=units,
    )


def _ports_of(plan: FloorPlan, services: Sequence[FloorService]) -> dict[str, int]:
    beyond = plan.first_port + len(services) - 1 - _HIGHEST_PORT
    if beyond > 0:
        raise PortError(
            f"port base {plan.port_base} is out of range for a floor of {len(services)} services: "
            f"take one that is lower by {beyond} or more."
        )
    return {each.name: plan.first_port + at for at, each in enumerate(services)}


def _fast_files(plan: FloorPlan) -> dict[str, str]:
    return {
        **scaled_rule_files(SOURCE_ROOT, plan.time_scale),
        _GATE_FILE: fast_gate_config(SOURCE_ROOT),
    }


def _unit(
    plan: FloorPlan,
    service: FloorService,
    ports_of: Mapping[str, int],
    ports: Ports,
    logs: Path,
) -> Unit:
    port = ports_of[service.name]
    place = Place(
        name=service.name,
        port=port,
        peers={name: f"http://{HOST}:{each}" for name, each in ports_of.items()},
        otlp_endpoint=f"http://{HOST}:{ports.otlp_grpc}",
        log_path=logs / f"{service.name}.log",
        fault_path=fault_path(plan.run_dir),
        seed=plan.seed,
        rate_per_s=plan.rate_per_s,
        tape_path=plan.tape_path,
        run=plan.run,
    )
    url = f"http://{HOST}:{port}"
    return Unit(
        name=service.name,
        binary=None,
        arguments=(
            "-m",
            f"tapeline.floor.{service.system}.{service.module}",
            place_argument(place),
        ),
        ready_url=f"{url}/health",
        url=url,
        ports=(("HTTP", port),),
        environment={
            **FLOOR_ENVIRONMENT,
            **plan.environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": place.otlp_endpoint,
        },
        grace_s=_GRACE_S,
    )


def _desk_units(plan: FloorPlan, desk: Settings, ports: Ports) -> tuple[Unit, ...]:
    """Return the demo's own services, as `tapeline demo` runs them."""
    first = plan.first_port - _DEMO_PORTS
    settings = replace(
        desk,
        duration_s=0.0,
        strategy_port=first,
        gateway_port=first + 1,
        back_office_port=first + 2,
        log_path=str(plan.run_dir.absolute() / "log-files" / "back_office.log"),
    )
    endpoint = f"http://{HOST}:{ports.otlp_grpc}"
    return demo_units(settings, {**plan.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})


def run_floor(plan: FloorPlan, show: Show) -> int:
    """Bring the floor up and stay until Ctrl-C, SIGTERM or the duration's end; return 0 or 1."""
    began = time.monotonic()
    path = fault_path(plan.run_dir)
    try:
        options = Options(
            plan.run_dir.absolute(),
            join=True,
            port_base=plan.port_base,
            overrides=floor_overrides(plan),
        )

        with ExitStack() as running:

            def on_ready(stack: Stack) -> None:
                show(f"\n{ready_table(stack)}\n")
                show(_what_to_see(plan, time.monotonic() - began))
                if plan.desk is not None:
                    show_proofs(plan.ports(), plan.desk, show)
                show("Ctrl-C stops everything and removes its data.")
                running.enter_context(_Scheduler(path, plan.turns, show))
                running.enter_context(until_alarm(plan.duration_s))

            return supervise(options, show, on_ready)
    except PROBLEMS as error:
        sys.stderr.write(f"tapeline demo floor: {error}\n")
        return 1
    finally:
        remove_if_empty(plan.run_dir.absolute().parent)


class _Scheduler:
    """Switches the scheduled faults on and off; leaves alone what was switched by hand."""

    def __init__(self, path: Path, turns: Sequence[Turn], show: Show) -> None:
        self._path = path
        self._turns = turns
        self._show = show
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="floor-schedule", daemon=True)

    def __enter__(self) -> None:
        if self._turns:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._turns:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        mine: frozenset[str] = frozenset()
        is_told = False
        while not self._ended.wait(_SCHEDULE_POLL_S):
            due = active_at(self._turns, time.monotonic() - began)
            if due == mine:
                continue
            try:
                switch_faults(self._path, on=due - mine, off=mine - due)
            except FileNotFoundError:
                return  # The floor has ended and removed its files: no fault is on.
            except OSError as error:  # as a full disk: tried again, until it is no more
                if not is_told:
                    told = f"{self._path}: {error.strerror}; faults are switched once it can be"
                    sys.stderr.write(f"tapeline demo floor: {told} written\n")
                    is_told = True
                continue
            is_told = False
            for name in sorted(due ^ mine):
                self._show(f"fault {name} {'on' if name in due else 'off'}")
            mine = due


def _what_to_see(plan: FloorPlan, took_s: float) -> str:
    ports = plan.ports()
    host = f"http://{HOST}"
    prometheus = f"{host}:{ports.prometheus}"
    names = ", ".join(dict.fromkeys(each.system for each in services_of(plan.systems)))
    run_dir = plan.run_dir
    return "\n".join(
        (
            f"Up after {took_s:.0f} s: {names}; {plan.rate_per_s:g} orders/s each.",
            f"  inbox    {host}:{ports.inbox}/ shows each alert that was sent, and its runbook",
            f"  alerts   curl -s '{prometheus}/api/v1/alerts'",
            f"  targets  curl -sG {prometheus}/api/v1/query --data-urlencode query=up",
            f"  traces   curl -s '{host}:{ports.jaeger}/api/services'",
            f"  logs     curl -s '{host}:{ports.loki}/loki/api/v1/label/service_name/values'",
            f"  P&L      curl -s '{prometheus}/api/v1/query?query=trading_pnl_net'",
            f"  files    {run_dir}/logs, {run_dir}/log-files",
            f"  faults   tapeline fault slippage_spike --for 2m --run-dir {run_dir}",
            "",
        )
    )


def new_run() -> str:
    """Return what begins the ids of this run: unique enough for one machine."""
    return f"f{int(time.time()) % 1_000_000:06d}{os.getpid() % 1000:03d}"
