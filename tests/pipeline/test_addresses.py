"""Addresses as people write them."""

import pytest

from tapeline.pipeline.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4319", Address("127.0.0.1", 4319)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:4319", Address("::1", 4319)),
        ("gate.trading.svc:65535", Address("gate.trading.svc", 65535)),
    ],
)
def test_an_address_survives_being_read_and_written(text: str, address: Address) -> None:
    """Hosts by name, IPv4, and IPv6 in brackets."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "4319", ":4319", "host", "host:", "host:x", "::1:4319", "a b:1", "host:-1"]
)
def test_what_is_no_address_says_how_to_write_one(text: str) -> None:
    """The message has an example."""
    with pytest.raises(ValueError, match=r"HOST:PORT, as 127\.0\.0\.1:4317"):
        parse_address(text)


def test_loopback_is_recognised() -> None:
    """It decides whether plain text deserves a warning."""
    assert parse_address("127.0.0.2:1").is_loopback
    assert parse_address("[::1]:1").is_loopback
    assert parse_address("localhost:1").is_loopback
    assert not parse_address("0.0.0.0:1").is_loopback
    assert not parse_address("[::]:1").is_loopback
