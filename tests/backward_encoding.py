"""OTLP as the collector writes it: each message's fields from last to first.

Protobuf allows any order; the collector's own marshaller fills its buffer from the end, so what it
sends has a KeyValue's value before its key. SDKs write forwards. Both must be tested.
"""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tapeline.otlp.wire import encode_varint

__all__ = ["backwards"]


def backwards(message: Message) -> bytes:
    """Return a message's bytes with the fields of each message, at every depth, in reverse."""
    parts: list[bytes] = []
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            alone = type(message)()
            if field.is_repeated:
                getattr(alone, field.name).extend(value)
            else:
                setattr(alone, field.name, value)
            parts.append(alone.SerializeToString())
            continue
        parts.append(
            b"".join(
                _field(field.number, backwards(each))
                for each in (value if field.is_repeated else (value,))
            )
        )
    return b"".join(reversed(parts))


def _field(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | 2) + encode_varint(len(content)) + content
