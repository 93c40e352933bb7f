"""Who may send: bearer tokens and the names in client certificates.

Pure. A wrong client is answered UNAVAILABLE by whoever asks here: a permanent code would make the
collector destroy the data over a configuration mistake.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

__all__ = ["Tokens", "Verdict", "names_of_peer"]

_SCHEME: Final = "bearer "
# What gRPC calls them in a call's authentication context.
_PEER_NAME_KEYS: Final = ("x509_common_name", "x509_subject_alternative_name")


class Verdict(StrEnum):
    """The outcome of a check. The refusals are label values of the failures' counter."""

    ALLOWED = "allowed"
    MISSING_TOKEN = "missing_token"  # noqa: S105 - a label value
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - a label value
    CLIENT_NAME = "client_name"


class Tokens:
    """A set of accepted tokens, kept as digests so that comparing takes the same time for each."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = tuple(_digest(token) for token in tokens)

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> Verdict:
        """Judge a call by its `authorization` header."""
        given = next((value for name, value in metadata if name == "authorization"), None)
        if not isinstance(given, str) or not given.lower().startswith(_SCHEME):
            return Verdict.MISSING_TOKEN
        digest = _digest(given[len(_SCHEME) :].strip())
        # Every token is compared, also after a match: the time must not tell which one it was.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return Verdict.ALLOWED if any(matches) else Verdict.WRONG_TOKEN


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def names_of_peer(authentication_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Return the names in a verified client certificate, as gRPC's context gives them."""
    return frozenset(
        value.decode("utf-8", "replace")
        for key in _PEER_NAME_KEYS
        for value in authentication_context.get(key, ())
    )
