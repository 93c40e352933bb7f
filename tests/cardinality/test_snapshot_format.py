"""Snapshots as bytes: what goes in comes out, and no damage passes for data."""

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.cardinality.snapshot_format import (
    DIGEST_BYTES,
    MAX_DEPTH,
    DamagedSnapshotError,
    OtherVersionError,
    Plain,
    decode,
    digest_of,
    encode,
)

scalars: st.SearchStrategy[Plain] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**63 - 2, 2**64),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)
keys = st.one_of(st.text(), st.integers(), st.binary())
plain_data: st.SearchStrategy[Plain] = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


def nested(depth: int) -> Plain:
    """Return an empty list in so many lists."""
    data: Plain = []
    for _ in range(depth):
        data = [data]
    return data


def types_within(data: Plain) -> list[type]:
    """Return the types of all parts, in order."""
    if isinstance(data, dict):
        data = [part for item in data.items() for part in item]
    if isinstance(data, list):
        return [list, *(kind for item in data for kind in types_within(item))]
    return [type(data)]


@given(plain_data, st.integers(0, 2**32 - 1))
def test_what_goes_in_comes_out(data: Plain, version: int) -> None:
    """Types included: True is not 1, 1 is not 1.0."""
    found = decode(encode(data, version), version)

    assert found == data
    assert types_within(found) == types_within(data)


@given(plain_data, st.data())
def test_any_flipped_bit_is_damage(data: Plain, draw: st.DataObject) -> None:
    """Wherever it is: in the data, the versions, the checksum, or the beginning."""
    snapshot = bytearray(encode(data, 7))
    place = draw.draw(st.integers(0, len(snapshot) * 8 - 1))
    snapshot[place // 8] ^= 1 << place % 8

    with pytest.raises(DamagedSnapshotError):
        decode(bytes(snapshot), 7)


@given(plain_data, st.data())
def test_any_truncation_and_any_addition_is_damage(data: Plain, draw: st.DataObject) -> None:
    """Down to the empty file."""
    snapshot = encode(data, 7)
    length = draw.draw(st.integers(0, len(snapshot) - 1))
    more = draw.draw(st.binary(min_size=1))

    for damaged in (snapshot[:length], snapshot + more):
        with pytest.raises(DamagedSnapshotError):
            decode(damaged, 7)


@given(st.binary(max_size=100))
def test_any_content_with_a_right_checksum_is_data_or_damage(content: bytes) -> None:
    """Even a writer with a bug can't make the reader raise something else, or build something."""
    import hashlib

    body = encode(None, 7)[len(b"TLCARD\r\n") + DIGEST_BYTES : -1] + content
    digest = hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()
    try:
        types_within(decode(b"TLCARD\r\n" + digest + body, 7))
    except DamagedSnapshotError:
        return


def test_another_version_is_not_called_damage() -> None:
    """It is whole, but laid out in another way."""
    with pytest.raises(OtherVersionError, match=r"version 1\.7, and this is 1\.8"):
        decode(encode({"a": 1}, 7), 8)


def test_snapshots_of_different_data_have_different_digests() -> None:
    """A mark belongs to one snapshot."""
    assert digest_of(encode({"a": 1}, 7)) != digest_of(encode({"a": 2}, 7))
    assert len(digest_of(encode(None, 7))) == DIGEST_BYTES


def test_arrays_are_kept_as_their_memory() -> None:
    """A million numbers are 8 MB, not a million objects."""
    numbers = array("Q", [0, 1, 2**64 - 1])

    found = decode(encode({"keys": numbers.tobytes()}, 1), 1)

    assert isinstance(found, dict)
    content = found["keys"]
    assert isinstance(content, bytes)
    assert list(struct.unpack("=3Q", content)) == [0, 1, 2**64 - 1]


@pytest.mark.parametrize("data", [{1, 2}, (1,), bytearray(b"a"), object(), {True: 1}, {1.5: 1}])
def test_what_is_not_plain_is_an_error_of_the_writer(data: Plain) -> None:
    """Rather than a surprise at the next start."""
    with pytest.raises(TypeError):
        encode(data, 1)


def test_nesting_has_a_limit() -> None:
    """Recursion is bounded at both ends."""
    assert decode(encode(nested(MAX_DEPTH), 1), 1) == nested(MAX_DEPTH)
    with pytest.raises(ValueError, match="nests at most"):
        encode(nested(MAX_DEPTH + 1), 1)
