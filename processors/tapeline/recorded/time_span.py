"""From when to when the records of a batch are, fast.

As for the framing check, upb does the work, with message types built at run time: they go down to
the records' times and hold nothing else that OTLP defines.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

__all__ = ["time_span"]

_Fields = dict[str, tuple[int, str]]
"""Field numbers, and the message type of each; "" is a time (fixed64)."""

_DATA: Final = ("gauge", "sum", "histogram", "exponential", "summary")
# Field numbers: opentelemetry-proto 1.x, {logs,trace,metrics}.proto. The times are those of
# `selection.record_times`.
_RECORDS: Final[dict[Signal, dict[str, _Fields]]] = {
    Signal.LOGS: {"Record": {"time": (1, ""), "otherwise": (11, "")}},
    Signal.TRACES: {"Record": {"time": (8, "")}},
    Signal.METRICS: {
        "Record": {
            name: (number, "Data") for name, number in zip(_DATA, (5, 7, 9, 10, 11), strict=True)
        },
        "Data": {"points": (1, "Point")},
        "Point": {"time": (3, "")},
    },
}
_AROUND: Final[dict[str, _Fields]] = {
    "Request": {"resources": (1, "Resources")},
    "Resources": {"scopes": (2, "Scopes")},
    "Scopes": {"records": (2, "Record")},
}
_REPEATED: Final = frozenset({"resources", "scopes", "records", "points"})


def _request_type(signal: Signal) -> Any:
    package = f"tapeline_times_{signal}"
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
    for name, fields in (_AROUND | _RECORDS[signal]).items():
        message = file.message_type.add(name=name)
        for field_name, (number, inner) in fields.items():
            field = message.field.add(name=field_name, number=number)
            types = descriptor_pb2.FieldDescriptorProto
            repeated = field_name in _REPEATED
            field.label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
            field.type = types.TYPE_MESSAGE if inner else types.TYPE_FIXED64
            if inner:
                field.type_name = f".{package}.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Request"))


_TYPES: Final = {signal: _request_type(signal) for signal in Signal}


def time_span(batch: Batch) -> tuple[int, int] | None:
    """Return the least and the greatest record time, in nanoseconds since the epoch.

    None where no record has a time, or a record is damaged within.
    """
    try:
        request = _TYPES[batch.signal].FromString(batch.payload)
    except DecodeError:
        return None
    records = [
        record
        for resource in request.resources
        for scope in resource.scopes
        for record in scope.records
    ]
    times = list(filter(None, _times(batch.signal, records)))
    return (min(times), max(times)) if times else None


def _times(signal: Signal, records: list[Any]) -> list[int]:
    if signal is Signal.LOGS:
        return [record.time or record.otherwise for record in records]
    if signal is Signal.TRACES:
        return [record.time for record in records]
    return [
        point.time
        for metric in records
        for name in _DATA
        if metric.HasField(name)
        for point in getattr(metric, name).points
    ]
