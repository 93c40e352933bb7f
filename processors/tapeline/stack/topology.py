"""The stack as data: each server with its command, environment, ports and readiness.

The same files under collector/ and config/ run here and in docker-compose.yml; what differs are
the addresses, which come from the environment.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tapeline.stack.ports import HOST, Ports

__all__ = ["SERVER_NAMES", "Overrides", "Plan", "TopologyError", "Unit", "topology"]

SERVER_NAMES: Final = (
    "node_exporter",
    "inbox",
    "alertmanager",
    "prometheus",
    "loki",
    "jaeger",
    "collector",
    "signals",
    "gate",
)


class TopologyError(Exception):
    """A server was named that there is none of; the message lists those that there are."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One process of the stack.

    `binary` is a name for `binaries.find`, or None for this Python. `ports` are what it listens
    on, each with what it is for. It starts once everything in `needs` is ready. `grace_s` is how
    long it may take to end before it is killed.
    """

    name: str
    binary: str | None
    arguments: tuple[str, ...]
    ready_url: str
    url: str
    ports: tuple[tuple[str, int], ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    grace_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Overrides:
    """How a stack differs from the default; what tests and other commands change.

    `ingress_files` and `egress_files` are added last to the collector's configuration of that half
    (collector/strict.yaml, collector/no_sampling.yaml). `gate_config` and `signals_config` stand in
    for the reference files. `environment` is added for each unit by
    name. `units` are further processes, started last; `needs` says which units must be ready before
    one starts, besides those that it names itself. `config_files` are texts by their paths below
    the run directory's `config`, written before anything starts.
    """

    ingress_files: tuple[Path, ...] = ()
    egress_files: tuple[Path, ...] = ()
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gate_config: Path | None = None
    signals_config: Path | None = None
    two_collectors: bool = False
    scrape_interval_s: int = 5
    units: tuple[Unit, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules_folder: Path | None = None
    loki_rules_folder: Path | None = None
    alert_time_scale: int = 1
    config_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a stack lives: its sources, its run directory, its ports, and how it differs."""

    source_root: Path
    run_path: Path
    ports: Ports
    overrides: Overrides


def topology(plan: Plan, servers: Sequence[str]) -> tuple[Unit, ...]:
    """Return the units of these servers, in the order of their start; the end is the reverse.

    The gate ends first, then the signals: each finishes what it has while the egress half still
    takes it.
    Raises TopologyError for a name that is no server.
    """
    for name in servers:
        if name not in SERVER_NAMES:
            near = get_close_matches(name, SERVER_NAMES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TopologyError(
                f"there is no server {name!r} in the stack.{hint} "
                f"There are: {', '.join(SERVER_NAMES)}."
            )
    units: list[Unit] = []
    for name in SERVER_NAMES:
        if name in servers:
            units += _BUILDERS[name](plan)
    return _with_overrides((*units, *plan.overrides.units), plan.overrides)


def _with_overrides(units: tuple[Unit, ...], overrides: Overrides) -> tuple[Unit, ...]:
    present = {unit.name for unit in units}
    return tuple(
        Unit(
            name=unit.name,
            binary=unit.binary,
            arguments=unit.arguments,
            ready_url=unit.ready_url,
            url=unit.url,
            ports=unit.ports,
            environment={**unit.environment, **overrides.environment.get(unit.name, {})},
            # A stack without a server does not wait for it: a test may stand in for it.
            needs=tuple(
                name
                for name in (*unit.needs, *overrides.needs.get(unit.name, ()))
                if name in present
            ),
            grace_s=unit.grace_s,
        )
        for unit in units
    )


def _http(port: int, path: str = "") -> str:
    return f"http://{HOST}:{port}{path}"


def _address(port: int) -> str:
    return f"{HOST}:{port}"


def _node_exporter(plan: Plan) -> tuple[Unit, ...]:
    port = plan.ports.node_exporter
    return (
        Unit(
            name="node_exporter",
            binary="node_exporter",
            arguments=(f"--web.listen-address={_address(port)}", "--log.level=warn"),
            ready_url=_http(port, "/"),
            url=_http(port, "/metrics"),
            ports=(("metrics", port),),
        ),
    )


def _inbox(plan: Plan) -> tuple[Unit, ...]:
    port = plan.ports.inbox
    return (
        Unit(
            name="inbox",
            binary=None,
            arguments=(
                "-m",
                "tapeline.alerting.inbox",
                f"--listen={_address(port)}",
                f"--runbooks={plan.source_root / 'docs' / 'runbooks'}",
            ),
            ready_url=_http(port, "/health/ready"),
            url=_http(port),
            ports=(("HTTP", port),),
        ),
    )


def _alertmanager(plan: Plan) -> tuple[Unit, ...]:
    port = plan.ports.alertmanager
    return (
        Unit(
            name="alertmanager",
            binary="alertmanager",
            arguments=(
                f"--config.file={plan.run_path / 'config' / 'alertmanager.yml'}",
                f"--storage.path={plan.run_path / 'data' / 'alertmanager'}",
                f"--web.listen-address={_address(port)}",
                # So often silences reach the disk; a crash loses what the default of 15m holds.
                "--data.maintenance-interval=15s",
                # One process has no peers.
                "--cluster.listen-address=",
                "--enable-feature=utf8-strict-mode",
                "--log.level=warn",
            ),
            ready_url=_http(port, "/-/ready"),
            url=_http(port),
            ports=(("HTTP", port),),
        ),
    )


def _prometheus(plan: Plan) -> tuple[Unit, ...]:
    port = plan.ports.prometheus
    return (
        Unit(
            name="prometheus",
            binary="prometheus",
            arguments=(
                f"--config.file={plan.run_path / 'config' / 'prometheus.yml'}",
                f"--storage.tsdb.path={plan.run_path / 'data' / 'prometheus'}",
                "--storage.tsdb.retention.time=45d",
                "--storage.tsdb.retention.size=50GB",
                f"--web.listen-address={_address(port)}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ),
            ready_url=_http(port, "/-/ready"),
            url=_http(port),
            ports=(("HTTP", port),),
        ),
    )


def _loki(plan: Plan) -> tuple[Unit, ...]:
    ports = plan.ports
    rules = plan.overrides.loki_rules_folder or plan.source_root / "config" / "loki" / "rules"
    return (
        Unit(
            name="loki",
            binary="loki",
            arguments=(
                f"-config.file={plan.source_root / 'config' / 'loki' / 'loki.yaml'}",
                "-config.expand-env=true",
            ),
            ready_url=_http(ports.loki, "/ready"),
            url=_http(ports.loki),
            ports=(("HTTP", ports.loki), ("gRPC", ports.loki_grpc)),
            environment={
                "LOKI_HTTP_HOST": HOST,
                "LOKI_HTTP_PORT": str(ports.loki),
                "LOKI_GRPC_HOST": HOST,
                "LOKI_GRPC_PORT": str(ports.loki_grpc),
                "LOKI_DATA_DIR": str(plan.run_path / "data" / "loki"),
                "LOKI_RULES_DIR": str(rules),
                "LOKI_ALERTMANAGER_URL": _http(ports.alertmanager),
            },
        ),
    )


def _jaeger(plan: Plan) -> tuple[Unit, ...]:
    ports = plan.ports
    return (
        Unit(
            name="jaeger",
            binary="jaeger",
            arguments=("--config", str(plan.source_root / "config" / "jaeger" / "jaeger.yaml")),
            ready_url=_http(ports.jaeger_health, "/status"),
            url=_http(ports.jaeger),
            ports=(
                ("HTTP", ports.jaeger),
                ("gRPC", ports.jaeger_grpc),
                ("OTLP/gRPC", ports.jaeger_otlp),
                ("health", ports.jaeger_health),
                ("own metrics", ports.jaeger_metrics),
            ),
            environment={
                "JAEGER_HTTP": _address(ports.jaeger),
                "JAEGER_GRPC": _address(ports.jaeger_grpc),
                "JAEGER_OTLP": _address(ports.jaeger_otlp),
                "JAEGER_HEALTH": _address(ports.jaeger_health),
                "JAEGER_METRICS_HOST": HOST,
                "JAEGER_METRICS_PORT": str(ports.jaeger_metrics),
                "JAEGER_DATA_DIR": str(plan.run_path / "data" / "jaeger"),
            },
        ),
    )


def _collector(plan: Plan) -> tuple[Unit, ...]:
    if not plan.overrides.two_collectors:
        files = ("ingress.yaml", "egress.yaml", "one_process.yaml")
        return (_collector_unit(plan, "collector", files, (*_INGRESS_PORTS, *_EGRESS_PORTS)),)
    return (
        _collector_unit(plan, "collector-egress", ("egress.yaml",), _EGRESS_PORTS),
        _collector_unit(plan, "collector", ("ingress.yaml",), _INGRESS_PORTS),
    )


_INGRESS_PORTS: Final = (("OTLP/gRPC", "otlp_grpc"), ("OTLP/HTTP", "otlp_http"))
_EGRESS_PORTS: Final = (("from the gate", "egress"), ("for Prometheus", "prometheus_exporter"))


def _collector_unit(
    plan: Plan, name: str, files: tuple[str, ...], listeners: tuple[tuple[str, str], ...]
) -> Unit:
    ports = plan.ports
    separate = name == "collector-egress"
    health = ports.egress_health if separate else ports.collector_health
    metrics = ports.egress_metrics if separate else ports.collector_metrics
    collector = plan.source_root / "collector"
    paths = [collector / file for file in files]
    if "ingress.yaml" in files:
        paths += plan.overrides.ingress_files
    if "egress.yaml" in files:
        paths += plan.overrides.egress_files
    named = {port: getattr(ports, port) for _, port in listeners}
    return Unit(
        name=name,
        binary="otelcol",
        arguments=tuple(part for path in paths for part in ("--config", str(path))),
        ready_url=_http(health, "/"),
        url=_address(ports.egress) if separate else _http(ports.otlp_http),
        ports=(
            *((purpose, named[port]) for purpose, port in listeners),
            ("health", health),
            ("own metrics", metrics),
        ),
        environment={
            **_collector_addresses(plan),
            "TAPELINE_COLLECTOR_HEALTH": _address(health),
            "TAPELINE_COLLECTOR_METRICS_HOST": HOST,
            "TAPELINE_COLLECTOR_METRICS_PORT": str(metrics),
        },
    )


def _collector_addresses(plan: Plan) -> dict[str, str]:
    ports = plan.ports
    return {
        "TAPELINE_OTLP_GRPC": _address(ports.otlp_grpc),
        "TAPELINE_OTLP_HTTP": _address(ports.otlp_http),
        "TAPELINE_GATE": _address(ports.gate),
        "TAPELINE_EGRESS": _address(ports.egress),
        "TAPELINE_SIGNALS": _address(ports.signals),
        "TAPELINE_PROMETHEUS_EXPORTER": _address(ports.prometheus_exporter),
        "TAPELINE_LOKI": _http(ports.loki),
        "TAPELINE_JAEGER": _address(ports.jaeger_otlp),
        "TAPELINE_NODE_TARGETS": f'["{_address(ports.node_exporter)}"]',
        "TAPELINE_QUEUE_DIR": str(plan.run_path / "queue"),
        "TAPELINE_LOG_FILES": f'["{plan.run_path / "log-files"}/*.log*"]',
    }


def _gate(plan: Plan) -> tuple[Unit, ...]:
    ports = plan.ports
    config = plan.overrides.gate_config or plan.source_root / "config" / "gate.yaml"
    environment = {
        "TAPELINE_LISTEN": _address(ports.gate),
        "TAPELINE_ADMIN": _address(ports.gate_admin),
    }
    return (_sidecar(plan, "gate", config, (ports.gate, ports.gate_admin), environment),)


def _signals(plan: Plan) -> tuple[Unit, ...]:
    ports = plan.ports
    config = plan.overrides.signals_config or plan.source_root / "config" / "signals.yaml"
    state = plan.run_path / "data" / "signals" / "signals.db"
    environment = {
        "TAPELINE_SIGNALS_LISTEN": _address(ports.signals),
        "TAPELINE_SIGNALS_ADMIN": _address(ports.signals_admin),
        "TAPELINE_SIGNALS_STATE": f"sqlite:///{state}",
        # Jaeger of Go's modules has no pages of its own: what opens is its answer in JSON.
        "TAPELINE_SIGNALS_TRACE_URL": _http(ports.jaeger, "/api/traces/{trace_id}"),
    }
    return (_sidecar(plan, "signals", config, (ports.signals, ports.signals_admin), environment),)


def _sidecar(
    plan: Plan, name: str, config: Path, ports: tuple[int, int], environment: Mapping[str, str]
) -> Unit:
    """Return a `tapeline serve`; `ports` are for OTLP and for its admin pages."""
    listen, admin = ports
    egress = "collector-egress" if plan.overrides.two_collectors else "collector"
    return Unit(
        name=name,
        binary=None,
        arguments=("-m", "tapeline.cli", "serve", "--config", str(config)),
        ready_url=_http(admin, "/health/ready"),
        url=_http(admin, "/health"),
        ports=(("OTLP/gRPC", listen), ("admin", admin)),
        environment={"TAPELINE_DOWNSTREAM": _address(plan.ports.egress), **environment},
        needs=(egress,),
    )


_BUILDERS: Final[Mapping[str, Callable[[Plan], tuple[Unit, ...]]]] = {
    "node_exporter": _node_exporter,
    "inbox": _inbox,
    "alertmanager": _alertmanager,
    "prometheus": _prometheus,
    "loki": _loki,
    "jaeger": _jaeger,
    "collector": _collector,
    "signals": _signals,
    "gate": _gate,
}


def program_of(unit: Unit, find: Callable[[str], Path | None]) -> str | None:
    """Return the program that a unit runs, or None where its binary is nowhere yet."""
    if unit.binary is None:
        return sys.executable
    path = find(unit.binary)
    return None if path is None else str(path)
