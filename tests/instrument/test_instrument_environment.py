"""What the kit adds to a service's environment, and what it leaves as it is."""

from tapeline.instrument.environment import (
    QUIET_URLS,
    SANITIZED_HEADERS,
    additions,
    deployment_environment,
)

SANITIZE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"


def test_headers_of_ones_own_lengthen_the_list() -> None:
    """Whoever names one still wants no authorization in his traces; none is there twice."""
    found = additions({SANITIZE: "x-mine, authorization,"})[SANITIZE].split(",")

    assert found[:2] == ["x-mine", "authorization"]
    assert set(SANITIZED_HEADERS) <= set(found)
    assert len(set(found)) == len(found)
    assert additions({})[SANITIZE].split(",") == list(SANITIZED_HEADERS)


def test_what_is_set_stays() -> None:
    """Defaults are for what the environment doesn't say; an empty value says nothing."""
    own = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": ""}
    added = additions(own | {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9"})

    assert "OTEL_TRACES_EXPORTER" not in added
    assert "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT" not in added
    assert (added["OTEL_METRICS_EXPORTER"], added["OTEL_LOGS_EXPORTER"]) == ("otlp", "otlp")


def test_the_endpoint_has_another_name() -> None:
    """KTRDR's; the SDK's own goes before it."""
    assert additions({"OTLP_ENDPOINT": "a"})["OTEL_EXPORTER_OTLP_ENDPOINT"] == "a"
    both = additions({"OTLP_ENDPOINT": "a", "OTEL_EXPORTER_OTLP_ENDPOINT": "b"})
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in both


def test_probes_are_quiet_unless_urls_are_named() -> None:
    """The SDK's variable for all frameworks counts as well."""
    excluded = "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"
    assert additions({})[excluded] == QUIET_URLS
    assert additions({"OTEL_PYTHON_EXCLUDED_URLS": "/mine"})[excluded] == "/mine"
    assert excluded not in additions({excluded: "/mine"})


def test_a_deployment_without_a_name_has_none() -> None:
    """A blank is no name."""
    assert deployment_environment({"VELOZ_ENV": " paper "}) == "paper"
    assert deployment_environment({"VELOZ_ENV": " "}) is None
