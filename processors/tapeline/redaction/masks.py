"""What stands where a secret stood.

`[REDACTED:<rule>]`, or `[REDACTED:<rule>:<key id>:<token>]` where two secrets must not become one,
or `[REDACTED:<rule>:<last characters>]`.
"""

import hashlib
import hmac
import sys
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

__all__ = [
    "KEY_ID_LENGTH",
    "MIN_HMAC_KEY_BYTES",
    "TOKEN_LENGTH",
    "end_of_mask",
    "key_id",
    "mask",
    "partial",
    "token",
]

MIN_HMAC_KEY_BYTES: Final = 32
"""RFC 2104, section 3: a key shorter than the hash's output weakens the HMAC; SHA-256 has 32."""

TOKEN_LENGTH: Final = 16
"""Hexadecimal digits of a token: 64 bits, so that 100,000 secrets collide once in 3.7 billion."""

KEY_ID_LENGTH: Final = 4
"""Hexadecimal digits of a key's id: enough to tell the few keys of some years apart."""

PARTIAL_LENGTH: Final = 4
MIN_PARTIAL_LENGTH: Final = 16
"""Bytes: the last four of a shorter secret would be a good part of it."""


def mask(rule: str, token_of_secret: str = "") -> str:
    """Return the mask of a rule, with the secret's token if one is given."""
    return f"[REDACTED:{rule}:{token_of_secret}]" if token_of_secret else f"[REDACTED:{rule}]"


def token(key: bytes, secret: bytes) -> str:
    """Return the keyed token of a secret: the same for the same secret, as long as the key is."""
    return hmac.new(key, secret, hashlib.sha256).hexdigest()[:TOKEN_LENGTH]


def key_id(key: bytes) -> str:
    """Return what names a key and says nothing else about it: the beginning of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:KEY_ID_LENGTH]


def partial(secret: bytes) -> str:
    """Return the last characters of a secret that is long enough to keep the rest of it secret.

    Only what may stand in a mask is shown; of a shorter secret nothing is.
    """
    if len(secret) < MIN_PARTIAL_LENGTH:
        return ""
    tail = secret[-PARTIAL_LENGTH:].decode("ascii", "replace")
    return "".join(
        character if character.isalnum() else "_" for character in tail if character.isascii()
    )


def end_of_mask(masks: Sequence[tuple[int, int]], position: int) -> int:
    """Return where the mask ends that covers a position, 0 if none does.

    `masks` are start and end of each mask in the text, in order.
    """
    number = bisect_right(masks, (position, sys.maxsize)) - 1
    return masks[number][1] if number >= 0 and position < masks[number][1] else 0
