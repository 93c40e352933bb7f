"""The exporters that the SDK's variables name, loaded from the packages that bring them.

OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER name one or more of otlp,
console and none, or what an installed package registers; OTEL_EXPORTER_OTLP_PROTOCOL (and that of
the signal) chooses grpc or http/protobuf. Where to send, TLS, headers, timeouts and compression
are read by the exporters themselves.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final, Literal

__all__ = ["ExporterError", "load_exporters"]

SignalName = Literal["traces", "metrics", "logs"]

_OTLP: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


class ExporterError(ValueError):
    """The environment names an exporter or a protocol that is not there."""


def load_exporters(signal: SignalName, environment: Mapping[str, str]) -> list[Any]:
    """Make the exporters of a signal; none for `none`.

    The groups of entry points are those by which OpenTelemetry's packages register exporters.
    Raises ExporterError.
    """
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    named = [each.strip() for each in environment.get(variable, "otlp").split(",") if each.strip()]
    if "none" in named:
        if len(named) > 1:
            raise ExporterError(f"{variable} names 'none' beside others: leave one of them out")
        return []
    return [_load(signal, _registered(name, signal, environment), variable) for name in named]


def _registered(name: str, signal: SignalName, environment: Mapping[str, str]) -> str:
    """Return the name under which an exporter is registered: `otlp` depends on the protocol."""
    if name != "otlp":
        return name
    variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    general = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = environment.get(variable) or environment.get(general) or "grpc"
    if protocol.strip() not in _OTLP:
        raise ExporterError(
            f"the protocol {protocol!r} ({variable} or {general}) is none of {', '.join(_OTLP)}"
        )
    return _OTLP[protocol.strip()]


def _load(signal: SignalName, name: str, variable: str) -> Any:
    group = f"opentelemetry_{signal}_exporter"
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        known = sorted({each.name for each in entry_points(group=group)})
        raise ExporterError(
            f"{variable} asks for {name!r}, which no installed package has; there are "
            f"{', '.join(['none', *known])}"
        )
    return found.load()()
