"""Walk the data's way hop by hop in a running stack, and name the first one that fails."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tapeline.doctor.findings import Finding, Severity

__all__ = ["Addresses", "Hop", "check_hops", "hops_of"]

TIMEOUT_S: Final = 3.0
_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_REPORT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each part of the stack answers. An empty address leaves its hop out."""

    gate: str
    gate_admin: str
    downstream: str
    collector: str = "127.0.0.1:4317"
    collector_health: str = "http://127.0.0.1:13133/"
    prometheus: str = "http://127.0.0.1:9090/-/ready"
    loki: str = "http://127.0.0.1:3100/ready"
    jaeger: str = "http://127.0.0.1:16686/api/services"
    alertmanager: str = "http://127.0.0.1:9093/-/ready"
    signals: str = "127.0.0.1:4329"
    signals_admin: str = "127.0.0.1:8091"


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing to reach: its check returns None, or what is wrong."""

    name: str
    address: str
    check: Callable[[str], str | None]
    fix: str


def hops_of(addresses: Addresses) -> tuple[Hop, ...]:
    """Return the hops in the order in which data passes them; the branch of the signals is last."""
    hops = (*_to_egress(addresses), *_backends(addresses), *_signals(addresses))
    return tuple(hop for hop in hops if hop.address)


def _to_egress(addresses: Addresses) -> tuple[Hop, ...]:
    return (
        Hop(
            "collector, ingress",
            addresses.collector,
            _reach_port,
            "start the collector with collector/ingress.yaml, or see its log",
        ),
        Hop(
            "collector, health",
            addresses.collector_health,
            _reach_url,
            "the collector is up but not ready: its log names the component",
        ),
        Hop(
            "gate, process",
            addresses.gate_admin,
            _sidecar_live,
            "start it: tapeline serve --config config/gate.yaml",
        ),
        Hop(
            "gate, OTLP",
            addresses.gate,
            _reach_port,
            "server.listen of the gate's configuration and the collector's exporter must agree",
        ),
        Hop(
            "gate, readiness",
            addresses.gate_admin,
            _sidecar_ready,
            "the reasons stand in the answer; the gate's log has more",
        ),
        Hop(
            "collector, egress",
            addresses.downstream,
            _reach_port,
            "start the collector with collector/egress.yaml; downstream.endpoint must name it",
        ),
    )


def _backends(addresses: Addresses) -> tuple[Hop, ...]:
    return (
        Hop(
            "Prometheus",
            addresses.prometheus,
            _reach_url,
            "start Prometheus; metrics wait in the collector meanwhile",
        ),
        Hop(
            "Loki",
            addresses.loki,
            _reach_url,
            "start Loki, or wait a few seconds: it starts the slowest; logs queue meanwhile",
        ),
        Hop(
            "Jaeger",
            addresses.jaeger,
            _reach_url,
            "start Jaeger; spans wait in the collector's queue meanwhile",
        ),
        Hop(
            "Alertmanager",
            addresses.alertmanager,
            _reach_url,
            "start Alertmanager; rules are still evaluated, but nobody is told what they find",
        ),
    )


def _signals(addresses: Addresses) -> tuple[Hop, ...]:
    return (
        Hop(
            "signals, process",
            addresses.signals_admin,
            _sidecar_live,
            "start it: tapeline serve --config config/signals.yaml; where none is wanted, add"
            " collector/no_signals.yaml and leave these hops out by empty addresses",
        ),
        Hop(
            "signals, OTLP",
            addresses.signals,
            _reach_port,
            "server.listen of the sidecar's configuration and TAPELINE_SIGNALS must agree",
        ),
        Hop(
            "signals, readiness",
            addresses.signals_admin,
            _sidecar_ready,
            "the reasons stand in the answer; the sidecar's log has more",
        ),
        Hop(
            "signals, state",
            addresses.signals_admin,
            _signals_state,
            "mend it: events wait in the collector meanwhile, and count once",
        ),
    )


def check_hops(hops: tuple[Hop, ...]) -> Iterator[tuple[Hop, Finding | None]]:
    """Check each hop and yield it with what is wrong, or None."""
    for hop in hops:
        problem = hop.check(hop.address)
        if problem is None:
            yield hop, None
            continue
        place = f"{hop.name} ({hop.address})"
        yield hop, Finding("hop", Severity.ERROR, place, problem, hop.fix)


def _reach_port(address: str) -> str | None:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S):
            return None
    except ValueError:
        return "is not an address of the form host:port"
    except OSError as error:
        return f"does not accept connections ({error.strerror or error})"


def _reach_url(url: str) -> str | None:
    try:
        status, _ = _get(url)
    except _NoUrlError as error:
        return str(error)
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({error})"
    return None if status == http.client.OK else f"answers with HTTP status {status}"


def _sidecar_live(admin: str) -> str | None:
    return _reach_url(f"http://{admin}/health/live")


def _sidecar_ready(admin: str) -> str | None:
    try:
        status, body = _get(f"http://{admin}/health/ready")
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({error})"
    if status == http.client.OK:
        return None
    return f"is not ready: {_reasons(body)}"


def _signals_state(admin: str) -> str | None:
    """Return what the report of the signals says is wrong with their state."""
    try:
        status, body = _get(f"http://{admin}/signals?format=json", _MAX_REPORT_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({error})"
    if status != http.client.OK:
        return f"shows no report: HTTP status {status}"
    try:
        report = json.loads(body)
    except ValueError:
        return "its report is not JSON"
    troubles = report.get("troubles") if isinstance(report, dict) else None
    return "; ".join(map(str, troubles)) or None if isinstance(troubles, list) else None


def _reasons(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return "its answer is not JSON"
    problems = answer.get("problems") if isinstance(answer, dict) else None
    return "; ".join(map(str, problems)) if isinstance(problems, list) else "no reason given"


class _NoUrlError(ValueError):
    """What was given as a URL is none."""

    def __init__(self) -> None:
        super().__init__("is not a URL; write it as http://127.0.0.1:3100/ready")


def _get(url: str, max_bytes: int = _MAX_ANSWER_BYTES) -> tuple[int, bytes]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _NoUrlError from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _NoUrlError
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, port, timeout=TIMEOUT_S)
    try:
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
        answer = connection.getresponse()
        return answer.status, answer.read(max_bytes)
    finally:
        connection.close()
