"""The short cut for random values says of each what the filters would have said."""

import hashlib
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction import filters
from tapeline.redaction.filters import value_reason
from tapeline.redaction.rule import Strength

pytestmark = pytest.mark.pure
WORDS = [
    *("test", "my", "Bearer ", "bearer ", "Basic ", "Token ", "xxxxxx", "AAAAAA", "000000000000"),
    *("password", "example", "var.", "cfg", "$", "{{", "}}", "=", "-", "_", " ", "...", "1", "42"),
    *("0x", "ENC[", "<", "redacted", "abcdefghij", "123456789012", "n/a", "varchar", "aA" * 6),
]
VALUES = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.text(f"{string.ascii_letters}{string.digits}+=_~-", max_size=40),
    ),
    max_size=4,
).map("".join)


@given(value=VALUES, bare=st.booleans())
def test_where_any_value_counts_the_short_cut_changes_nothing(value: str, *, bare: bool) -> None:
    """No filter for such names lets a value pass that the short cut takes for a secret."""
    reason = value_reason(value, Strength.ANY, bare=bare)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "_is_random", lambda *_: False)
        assert value_reason(value, Strength.ANY, bare=bare) == reason


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer ", "Basic ", "basic "])
def test_real_credentials_take_the_short_cut(scheme: str) -> None:
    """And the filters agree: random values are what it is for, with a header's scheme or alone."""
    generator = random.Random(scheme)  # noqa: S311 - opens nothing
    taken = 0
    for _ in range(200):
        value = scheme + "".join(generator.choices(string.ascii_letters + string.digits, k=40))
        taken += filters._is_random(value, Strength.CREDENTIAL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(filters, "_is_random", lambda *_: False)
            assert value_reason(value, Strength.CREDENTIAL, bare=False) == ""
    assert taken > 100


@given(
    text=st.one_of(
        st.text("0123456789abcdef", min_size=1, max_size=200),
        st.text(f"{string.ascii_letters}{string.digits}", min_size=1, max_size=200),
        st.text(min_size=1, max_size=600),
    ),
    bits=st.sampled_from([1, 2.5, 2.8, 3, 3.5, 4, 4.2, 4.5]),
)
def test_entropy_is_compared_as_it_is_measured(text: str, bits: float) -> None:
    """What is said of a text without counting each character is what the count would say."""
    assert filters.has_more_entropy(text, bits) == (filters.shannon_entropy(text) > bits)


@given(value=st.text(max_size=40))
def test_a_published_sample_is_known_with_and_without_its_length(value: str) -> None:
    """The length before a hash only spares hashing: another one is not that of the value."""
    digest = hashlib.sha256(value.encode()).hexdigest()
    assert filters.is_published(value, [digest])
    assert filters.is_published(value, ["0" * 64, f"{len(value)}:{digest}"])
    assert not filters.is_published(value, [f"{len(value) + 1}:{digest}"])
    assert not filters.is_published(value + "x", [f"{len(value)}:{digest}", digest])
