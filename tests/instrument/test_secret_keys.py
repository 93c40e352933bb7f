"""Keys that name credentials, and those that only look like it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, TraceFlags

from tapeline.instrument.secret_filter import SecretFreeSpans
from tapeline.instrument.secret_keys import is_secret_key, without_secrets

SECRET = (
    "password", "db.password", "api_key", "apiKey", "X-API-Key", "x_api_key", "api key",
    "http.request.header.authorization", "http.request.header.x-api-key", "Set-Cookie",
    "client_secret", "secretKey", "aws.secret_access_key", "binance.listenKey", "access_token",
    "refreshToken", "jwt.token", "auth/token", "credentials", "private_key", "X-MBX-SIGNATURE",
)  # fmt: skip
HARMLESS = (
    "api_key_present", "api_key_id", "token", "token_count", "tokens", "symbol", "order.id",
    "password_age_days", "secret_name", "cookie_consent", "key", "exchange.key", "http.url",
    "signature_algorithm", "session", "session.id", "author", "",
)  # fmt: skip


@pytest.mark.parametrize("key", SECRET)
def test_a_credentials_key_is_known_in_any_spelling(key: str) -> None:
    """Cases and separators differ between systems."""
    assert is_secret_key(key)


@pytest.mark.parametrize("key", HARMLESS)
def test_keys_about_credentials_are_kept(key: str) -> None:
    """Also `token`, which in these systems may be an instrument."""
    assert not is_secret_key(key)


VALUES = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none())


@given(
    st.dictionaries(st.sampled_from(SECRET), VALUES),
    st.dictionaries(st.sampled_from(HARMLESS), VALUES),
)
def test_what_is_left_is_all_but_the_credentials(
    secret: dict[str, Any], harmless: dict[str, Any]
) -> None:
    """And for each of those, whether it was set; the given attributes are as they were."""
    given_ones = secret | harmless
    clean = without_secrets(given_ones)

    assert given_ones == secret | harmless
    if secret:
        told = {f"{key}_present": bool(value) for key, value in secret.items()}
        assert clean == harmless | told
    else:
        assert clean is None


class Kept(SpanExporter):
    """Keeps what it is to export."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def test_a_span_without_credentials_is_exported_as_it_is() -> None:
    """The same object: nothing is copied."""
    kept = Kept()
    span = ReadableSpan("work", attributes={"symbol": "AAPL"}, events=[Event("began", {"n": 1})])

    SecretFreeSpans(kept).export([span])

    assert kept.spans == [span]


@pytest.mark.parametrize("place", ["span", "event", "link"])
def test_one_credential_is_enough(place: str) -> None:
    """In the span itself, in an event of it or in a link; each is looked through."""
    kept = Kept()
    secret = {"api_key": "k"}
    other = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    span = ReadableSpan(
        "work",
        attributes=secret if place == "span" else {},
        events=[Event("login", secret if place == "event" else {})],
        links=[Link(other, secret if place == "link" else {})],
    )

    SecretFreeSpans(kept).export([span])

    (found,) = kept.spans
    parts = [found.attributes, found.events[0].attributes, found.links[0].attributes]
    told = [dict(each) for each in parts if each]
    assert told == [{"api_key_present": True}]


def test_a_span_with_credentials_keeps_all_else() -> None:
    """Attributes set at any time, events and links lose theirs; the span given stays as it was."""
    kept = Kept()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(SecretFreeSpans(kept)))
    other = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    link = Link(other, {"symbol": "AAPL", "password": "p"})
    with provider.get_tracer("t").start_as_current_span("work", links=[link]) as span:
        span.set_attribute("api_key", "k")
        span.set_attribute("symbol", "AAPL")
        span.add_event("login", {"access_token": "a"})
    provider.shutdown()

    (found,) = kept.spans
    assert found.attributes == {"symbol": "AAPL", "api_key_present": True}
    assert [event.attributes for event in found.events] == [{"access_token_present": True}]
    assert [dict(link.attributes or {}) for link in found.links] == [
        {"symbol": "AAPL", "password_present": True}
    ]
    assert isinstance(span, ReadableSpan)
    assert (found.name, found.context, found.start_time, found.end_time, found.resource) == (
        span.name, span.context, span.start_time, span.end_time, span.resource,
    )  # fmt: skip
    assert span.attributes is not None
    assert span.attributes["api_key"] == "k"
