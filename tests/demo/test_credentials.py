"""What leaks is known from the seed, and every place has its turn."""

from tapeline.demo.credentials import (
    LEAK_EVERY,
    Leak,
    credentials,
    leak_at,
    planted_credentials,
)


def test_planted_credentials_follow_from_the_seed() -> None:
    """The list is the same for one seed and shares nothing with that of another."""
    assert planted_credentials(3) == planted_credentials(3)
    assert not set(planted_credentials(3)) & set(planted_credentials(4))


def test_there_is_one_long_credential_for_each_place() -> None:
    """Each is long enough that a search for it can't hit by chance."""
    planted = planted_credentials(3)

    assert len(set(planted)) == len(Leak)
    assert min(len(each) for each in planted) >= 20


def test_a_bearer_token_has_the_shape_of_a_signed_web_token() -> None:
    """Three base64url parts, the first two of which are JSON objects."""
    parts = credentials(3).bearer_token.split(".")

    assert len(parts) == 3
    assert parts[0].startswith("eyJ")
    assert parts[1].startswith("eyJ")


def test_every_place_leaks_in_turn() -> None:
    """One order in LEAK_EVERY leaks, and a whole round visits every place once."""
    numbers = range(1, LEAK_EVERY * len(Leak) + 1)
    turns = [leak for number in numbers if (leak := leak_at(number)) is not None]

    assert turns == list(Leak)
    assert leak_at(LEAK_EVERY * (len(Leak) + 1)) is turns[0]
