"""What stands where a secret stood.

`[REDACTED:<rule>]`, or `[REDACTED:<rule>:<token>]` where two secrets must not become one.
"""

import hashlib
import hmac
import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["MIN_HMAC_KEY_BYTES", "TOKEN_LENGTH", "end_of_mask", "mask", "mask_pattern", "token"]

MIN_HMAC_KEY_BYTES: Final = 32
"""RFC 2104, section 3: a key shorter than the hash's output weakens the HMAC; SHA-256 has 32."""

TOKEN_LENGTH: Final = 16
"""Hexadecimal digits of a token: 64 bits, so that 100,000 secrets collide once in 3.7 billion."""


def mask(rule: str, token_of_secret: str = "") -> str:
    """Return the mask of a rule, with the secret's token if one is given."""
    return f"[REDACTED:{rule}:{token_of_secret}]" if token_of_secret else f"[REDACTED:{rule}]"


def token(key: bytes, secret: bytes) -> str:
    """Return the keyed token of a secret: the same for the same secret, as long as the key is."""
    return hmac.new(key, secret, hashlib.sha256).hexdigest()[:TOKEN_LENGTH]


def mask_pattern(rules: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of the masks of these rules.

    Only known rules count: in `[REDACTED:hunter2]` someone else's text is looked at as any other.
    """
    names = "|".join(sorted(map(re.escape, rules), key=len, reverse=True))
    return re.compile(rf"\[REDACTED:(?:{names})(?::[0-9a-f]{{{TOKEN_LENGTH}}})?\]")


def end_of_mask(masks: Sequence[tuple[int, int]], position: int) -> int:
    """Return where the mask ends that covers a position, 0 if none does.

    `masks` are start and end of each mask in the text, in order.
    """
    number = bisect_right(masks, (position, sys.maxsize)) - 1
    return masks[number][1] if number >= 0 and position < masks[number][1] else 0
