"""Requests seen as little more than their resources, span names and span attributes.

The parser behind Python's protobuf reads them, with message types that know nothing else: whatever
else there is it keeps as unknown fields, which costs a copy and no object. So these views are as
exact as a full parse, in any order of fields, and several times faster. All texts are bytes: the
collector takes such as are no UTF-8.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["LOGS_VIEW", "RESOURCE_VIEW", "SPANS_VIEW", "SPAN_NAMES_VIEW"]

_BYTES: Final = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_MESSAGE: Final = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_REPEATED: Final = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_OPTIONAL: Final = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL

# Message, field, number, is repeated, message within. Numbers: opentelemetry-proto, logs/v1,
# trace/v1 and common/v1. A message may stand in its place more than once, and then counts as the
# concatenation of its contents: so resources and values are repeated here, and no messages.
_ROWS: Final = (
    ("Request", "containers", 1, True, "Container"),
    ("Container", "resources", 1, True, None),
    ("Container", "scopes", 2, True, "Scope"),
    ("Scope", "spans", 2, True, "Span"),
    ("Span", "name", 5, False, None),
    ("Span", "attributes", 9, True, "Pair"),
    ("Resource", "attributes", 1, True, "Pair"),
    ("Pair", "key", 1, False, None),
    ("Pair", "values", 2, True, None),
)


def _view(package: str, without: frozenset[tuple[str, str]], root: str = "Request") -> type[Any]:
    """Return the type of a request or resource, whose messages lack some of the fields above."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    for owner, name, number, is_repeated, inner in _ROWS:
        if owner not in messages:
            messages[owner] = file.message_type.add(name=owner)
        if (owner, name) in without:
            continue
        field = messages[owner].field.add(name=name, number=number)
        field.label = _REPEATED if is_repeated else _OPTIONAL
        field.type = _BYTES if inner is None else _MESSAGE
        if inner is not None:
            field.type_name = f".{package}.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{root}"))


RESOURCE_VIEW: Final = _view("tapeline_resource", frozenset(), "Resource")
LOGS_VIEW: Final = _view("tapeline_log_resources", frozenset({("Container", "scopes")}))
SPAN_NAMES_VIEW: Final = _view("tapeline_span_names", frozenset({("Span", "attributes")}))
SPANS_VIEW: Final = _view("tapeline_spans", frozenset())
