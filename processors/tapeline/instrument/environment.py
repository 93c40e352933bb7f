"""What a service's environment says, in the words of the SDK's own variables.

The SDK reads its variables itself: exporters, endpoints, TLS, batches, samplers, limits. Here are
the names that it does not know, and the defaults that differ from its own.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["additions", "deployment_environment", "is_enabled", "wants_console"]

ATTRIBUTE_LENGTH_LIMIT: Final = 1024
"""Characters of a span attribute's value: KTRDR's limit. Events, with stack traces, stay whole."""

SANITIZED_HEADERS: Final = (
    "authorization",
    "cookie",
    "x-api-key",
    ".*api-?key.*",
    ".*secret.*",
    ".*session.*",
    ".*signature.*",
    ".*token.*",
    ".*password.*",
    ".*passphrase.*",
)
"""Headers (regular expressions, searched in the name) whose values are never recorded."""

QUIET_URLS: Final = "/health$,/health/live$,/health/ready$,/metrics$"
"""Probes and scrapes, which come every few seconds and say nothing: no spans of them."""

_SANITIZE: Final = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def is_enabled(environment: Mapping[str, str]) -> bool:
    """Say whether telemetry is wanted: OTEL_ENABLED (default true), and the SDK's own switch.

    Raises ValueError where OTEL_ENABLED says neither yes nor no.
    """
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return _flag(environment, "OTEL_ENABLED", default=True) and not disabled


def wants_console(environment: Mapping[str, str]) -> bool:
    """Say whether spans are printed besides: OTEL_CONSOLE_EXPORT (default false).

    Raises ValueError where it says neither yes nor no.
    """
    return _flag(environment, "OTEL_CONSOLE_EXPORT", default=False)


def deployment_environment(environment: Mapping[str, str]) -> str | None:
    """Return the name of the deployment that VELOZ_ENV gives, if any."""
    return environment.get("VELOZ_ENV", "").strip() or None


def additions(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are to be set before the SDK reads them; none that is set, but one.

    The one is the list of headers to sanitize, which is lengthened: whoever names a header of his
    own still wants no authorization in his traces.
    """
    wanted = {
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": str(ATTRIBUTE_LENGTH_LIMIT),
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": environment.get(
            "OTEL_PYTHON_EXCLUDED_URLS", QUIET_URLS
        ),
        # The names since the conventions are stable; unset, the libraries use those of before.
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    if environment.get("OTLP_ENDPOINT"):
        wanted["OTEL_EXPORTER_OTLP_ENDPOINT"] = environment["OTLP_ENDPOINT"]
    added = {name: value for name, value in wanted.items() if not environment.get(name)}
    own = [each.strip() for each in environment.get(_SANITIZE, "").split(",") if each.strip()]
    added[_SANITIZE] = ",".join(dict.fromkeys([*own, *SANITIZED_HEADERS]))
    return added


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if not text:
        return default
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{name} is {text!r}: say true or false")
    return text in _TRUE
