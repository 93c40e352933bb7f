"""Endless seeded requests that no sender should send: random, nearly secret, broken, long.

The same seed and number give the same request, so what fails can be sent again.
"""

import base64
import urllib.parse
from collections.abc import Callable, Mapping
from functools import cache
from random import Random
from types import MappingProxyType

from planting import plant_text, request_of
from redaction_shapes import SHAPES
from tapeline.otlp.fields import FIELDS
from tapeline.otlp.signals import Signal
from tapeline.redaction.pack import load_pack

__all__ = ["KINDS", "hostile_request"]

_SIGNALS = tuple(Signal)
_ODD = ("\u200b", "\uff1d", "\u00e9", "\x00", "\x01", "\n", '"', "\\", "%", "{", "=", ":", " ")


@cache
def _samples(number: int) -> tuple[str, ...]:
    """Return every rule's examples, what it finds and what it leaves, one of some variants."""
    pack = load_pack()
    rules = (*pack.value_rules, *pack.name_rules)
    return tuple(text for rule in rules for group in rule.samples(f"{number}") for text in group)


def _near_miss(random: Random) -> str:
    """Return an example of a rule, mostly with one thing about it changed."""
    return _changed(random.choice(_samples(random.randrange(16))), random)


def _mutated_secret(random: Random) -> str:
    _, text, _ = SHAPES[random.choice(tuple(SHAPES))](random)
    return _changed(text, random)


_CHANGES: tuple[Callable[[str, int, Random], str], ...] = (
    lambda text, _at, _random: text,
    lambda text, at, _random: text[:at],
    lambda text, at, _random: text[at:],
    lambda text, at, random: text[:at] + random.choice(_ODD) + text[at:],
    lambda text, at, _random: text[:at] + text[at + 1 :],
    lambda text, _at, _random: text.swapcase(),
    lambda text, _at, _random: base64.b64encode(text.encode()).decode(),
    lambda text, _at, _random: urllib.parse.quote(text, safe=""),
    lambda text, _at, _random: text.encode().hex(),
)


def _changed(text: str, random: Random) -> str:
    return random.choice(_CHANGES)(text, random.randrange(len(text)), random)


def _random_text(random: Random) -> str:
    top = random.choice((0x7F, 0x7F, 0xFF, 0xD7FF, 0x10FFFF))
    codes = (random.randrange(top + 1) for _ in range(random.randrange(1, 200)))
    return "".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF)


def _run(random: Random) -> str:
    """Return a piece of an example again and again: the worst case of some pattern."""
    text = _near_miss(random) or "a"
    at = random.randrange(len(text))
    return text[at : at + random.randrange(1, 12)] * random.randrange(1, 400)


def _texts(make: Callable[[Random], str], random: Random, size_bytes: int) -> list[str]:
    texts, missing = [], size_bytes
    while missing > 0:
        texts.append(make(random)[:size_bytes])
        missing -= len(texts[-1]) + 1
    return texts


def _request(make: Callable[[Random], str], random: Random, size_bytes: int) -> bytes:
    """Return a request of so much text: spread over all fields, or as one text."""
    signal = random.choice(_SIGNALS)
    rows = [row for row in FIELDS if row.signal is signal]
    request = request_of(signal)
    texts = _texts(make, random, size_bytes)
    if random.random() < 0.5:
        texts = [random.choice(("", " ", "\n", "&", ",")).join(texts)]
    for text in texts:
        plant_text(request, random.choice(rows), text)
    return bytes((_SIGNALS.index(signal),)) + bytes(request.SerializeToString())


def _broken(random: Random, size_bytes: int) -> bytes:
    """Return a request with some of its bytes changed."""
    data = bytearray(_request(_mutated_secret, random, size_bytes))
    for _ in range(random.choice((1, 1, 2, 8))):
        data[random.randrange(1, len(data))] = random.randrange(256)
    return bytes(data)


def _random_bytes(random: Random, size_bytes: int) -> bytes:
    return bytes((random.randrange(len(_SIGNALS)),)) + random.randbytes(size_bytes)


def _of(make: Callable[[Random], str]) -> Callable[[Random, int], bytes]:
    return lambda random, size_bytes: _request(make, random, size_bytes)


KINDS: Mapping[str, Callable[[Random, int], bytes]] = MappingProxyType(
    {
        "random bytes": _random_bytes,
        "random texts": _of(_random_text),
        "mutated secrets": _of(_mutated_secret),
        "near misses": _of(_near_miss),
        "long runs": _of(_run),
        "broken": _broken,
    }
)
"""How requests are made: from a source of randomness and a size, the signal's number first."""


def hostile_request(kind: str, seed: str, size_bytes: int) -> tuple[Signal, bytes]:
    """Return the request of a kind and seed, of about so many bytes of text."""
    data = KINDS[kind](Random(seed), size_bytes)  # noqa: S311 - hostile, not secret
    return _SIGNALS[data[0]], data[1:]
