"""Keeps credentials out of what is exported: of spans in the exporter's thread, of logs at once."""

from collections.abc import Sequence

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link

from tapeline.instrument.secret_keys import is_secret_key, without_secrets

__all__ = ["SecretFreeLogs", "SecretFreeSpans"]


class SecretFreeSpans(SpanExporter):
    """An exporter in front of another: drops attributes whose keys name credentials.

    It stands here and not in a span processor, which would see no attribute that is set later,
    and would cost the service's own threads.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans, those with credentials as copies without them."""
        return self._exporter.export([_clean(span) for span in spans])

    def shutdown(self) -> None:
        """Stop the exporter behind."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter behind."""
        return self._exporter.force_flush(timeout_millis)


class SecretFreeLogs(LogRecordProcessor):
    """A log processor before the one that exports: drops attributes that name credentials."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Change the record in place; the processors that follow see what is left."""
        record = log_record.log_record
        clean = without_secrets(record.attributes) if record.attributes else None
        if clean is not None:
            record.attributes = clean

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  # The SDK's form.
        """Nothing is held."""
        return True


def _clean(span: ReadableSpan) -> ReadableSpan:
    parts: tuple[ReadableSpan | Event | Link, ...] = (span, *span.events, *span.links)
    if not any(map(_has_secret, parts)):
        return span
    attributes = without_secrets(span.attributes) if span.attributes else None
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes if attributes is None else attributes,
        events=[_clean_event(event) for event in span.events],
        links=[_clean_link(link) for link in span.links],
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _has_secret(part: ReadableSpan | Event | Link) -> bool:
    return part.attributes is not None and any(map(is_secret_key, part.attributes))


def _clean_event(event: Event) -> Event:
    attributes = without_secrets(event.attributes) if event.attributes else None
    return event if attributes is None else Event(event.name, attributes, event.timestamp)


def _clean_link(link: Link) -> Link:
    attributes = without_secrets(link.attributes) if link.attributes else None
    return link if attributes is None else Link(link.context, attributes)
