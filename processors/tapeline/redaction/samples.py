"""Examples that hold no token: `{hex:32}` in them stands for characters made up when needed.

What is made up depends on the seed alone, so an example is the same on every machine.
"""

import hashlib
import re
from types import MappingProxyType
from typing import Final

__all__ = ["ALPHABETS", "expand"]

_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789"

ALPHABETS: Final = MappingProxyType(
    {
        "hex": _DIGITS + "abcdef",
        "HEX": _DIGITS + "ABCDEF",
        "digits": _DIGITS,
        "lower": _LOWER,
        "UPPER": _LOWER.upper(),
        "letters": _LOWER + _LOWER.upper(),
        "lowernum": _LOWER + _DIGITS,
        "UPPERNUM": _LOWER.upper() + _DIGITS,
        "base32": _LOWER.upper() + "234567",
        "base58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        "alnum": _LOWER + _LOWER.upper() + _DIGITS,
        "url": _LOWER + _LOWER.upper() + _DIGITS + "_-",
        "base64": _LOWER + _LOWER.upper() + _DIGITS + "+/",
    }
)
_TEMPLATE: Final = re.compile(r"\{(?P<alphabet>[A-Za-z0-9]{3,8}):(?P<length>[0-9]{1,4})\}|\{uuid\}")


def expand(template: str, seed: str) -> str:
    """Return a template with its characters made up; raises ValueError for an unknown alphabet."""
    count = 0

    def made_up(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        if match["alphabet"] is None:
            digits = _characters(ALPHABETS["hex"], 31, f"{seed}/{count}")
            return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:30]}"
        alphabet = ALPHABETS.get(match["alphabet"])
        if alphabet is None:
            raise ValueError(
                f"unknown alphabet in {match[0]!r}; known are {', '.join(sorted(ALPHABETS))}"
            )
        return _characters(alphabet, int(match["length"]), f"{seed}/{count}")

    return _TEMPLATE.sub(made_up, template)


def _characters(alphabet: str, length: int, seed: str) -> str:
    # Two bytes a character: the remainder's bias is far below what any pattern could notice.
    stream = hashlib.shake_256(seed.encode()).digest(2 * length)
    numbers = (int.from_bytes(stream[at : at + 2]) for at in range(0, 2 * length, 2))
    return "".join(alphabet[number % len(alphabet)] for number in numbers)
