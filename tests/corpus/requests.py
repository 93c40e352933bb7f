"""Requests of the corpus: put together of records written short, split, and joined."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.testing.given import batch_of

__all__ = ["START_UNIX_NANO", "batches_of", "joined", "singles"]

START_UNIX_NANO = 1_767_600_000_000_000_000
"""When the generated recordings begin: 2026-01-05T08:00:00Z."""

# Generated protobuf messages of three types, which are handled alike by their fields' names.
AnyMessage = Any
_LEVELS = {
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}


def batches_of(
    items: Sequence[Mapping[str, Any]], start_unix_nano: int = START_UNIX_NANO
) -> list[Batch]:
    """Return a batch for each signal of what was written short, as an SDK groups it."""
    made = [batch_of(item, start_unix_nano) for item in items]
    found = []
    for signal in Signal:
        payloads = [batch.payload for batch in made if batch.signal is signal]
        if payloads:
            request = _grouped(Batch(signal, b"".join(payloads)))
            found.append(Batch(signal, request.SerializeToString()))
    return found


def _grouped(batch: Batch) -> AnyMessage:
    """Return a request in which each resource and each scope of it stands once."""
    outer, middle, inner = _LEVELS[batch.signal]
    request: AnyMessage = batch.request
    made: AnyMessage = type(request)()
    resources: dict[bytes, AnyMessage] = {}
    scopes: dict[tuple[bytes, bytes], AnyMessage] = {}
    for resource in getattr(request, outer):
        of = resource.resource.SerializeToString()
        if of not in resources:
            resources[of] = getattr(made, outer).add(resource=resource.resource)
        for scope in getattr(resource, middle):
            key = (of, scope.scope.SerializeToString())
            if key not in scopes:
                scopes[key] = getattr(resources[of], middle).add(scope=scope.scope)
            getattr(scopes[key], inner).extend(getattr(scope, inner))
    return made


def singles(batches: Iterable[Batch]) -> list[Batch]:
    """Return the same telemetry with one record, or one metric, in each batch.

    What does not parse stays as it is.
    """
    found: list[Batch] = []
    for batch in batches:
        request = _parsed(batch)
        found.extend([batch] if request is None else _split(batch.signal, request))
    return found


def _split(signal: Signal, request: AnyMessage) -> Iterable[Batch]:
    outer, middle, inner = _LEVELS[signal]
    for resource in getattr(request, outer):
        for scope in getattr(resource, middle):
            for record in getattr(scope, inner):
                # Copies keep what a newer OTLP put beside the records.
                made: AnyMessage = type(request)()
                made.CopyFrom(request)
                del getattr(made, outer)[:]
                part = getattr(made, outer).add()
                part.CopyFrom(resource)
                del getattr(part, middle)[:]
                within = getattr(part, middle).add()
                within.CopyFrom(scope)
                del getattr(within, inner)[:]
                getattr(within, inner).add().CopyFrom(record)
                yield Batch(signal, made.SerializeToString())


def joined(batches: Iterable[Batch]) -> list[Batch]:
    """Return the same telemetry with neighbours of one signal in one batch.

    Protobuf merges what is concatenated. What does not parse stays as it is.
    """
    found: list[Batch] = []
    may_grow = False
    for batch in batches:
        is_whole = _parsed(batch) is not None
        if may_grow and is_whole and found[-1].signal is batch.signal:
            found[-1] = Batch(batch.signal, found[-1].payload + batch.payload)
        else:
            found.append(batch)
        may_grow = is_whole
    return found


def _parsed(batch: Batch) -> AnyMessage | None:
    try:
        return batch.request
    except MalformedRequestError:
        return None
