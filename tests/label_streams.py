"""The attributes of streams on the wire, made of each label's values."""

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def pair(key: str, value: str) -> bytes:
    """Return an encoded KeyValue with a string."""
    return KeyValue(key=key, value=AnyValue(string_value=value)).SerializeToString()


def streams(*columns: tuple[str, list[str]]) -> list[tuple[bytes, ...]]:
    """Return the attributes of streams, from each label's values."""
    return list(
        zip(*([pair(key, value) for value in values] for key, values in columns), strict=True)
    )


def ids(count: int, prefix: str = "id") -> list[str]:
    """Return so many different values."""
    return [f"{prefix}-{number}" for number in range(count)]
