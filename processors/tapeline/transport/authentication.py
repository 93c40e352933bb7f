"""Who may send: bearer tokens and the names in client certificates.

Pure but for reading the token file. A wrong client is answered UNAVAILABLE by whoever asks here: a
permanent code would make the collector destroy the data over a configuration mistake.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

__all__ = ["TokenFileError", "Tokens", "Verdict", "bearer_header", "names_of_peer", "read_tokens"]

MAX_TOKENS: Final = 64
MAX_TOKEN_FILE_BYTES: Final = 64 * 1024
_SCHEME: Final = "bearer "
# What gRPC calls them in a call's authentication context.
_PEER_NAME_KEYS: Final = ("x509_common_name", "x509_subject_alternative_name")


class TokenFileError(ValueError):
    """A token file that can't be used; the message names the file, never its content."""


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


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file, one a line; raises TokenFileError that says what to do."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN_FILE_BYTES + 1)
    except OSError as error:
        raise TokenFileError(f"the token file {path} can't be read: {error.strerror}") from error
    if len(content) > MAX_TOKEN_FILE_BYTES:
        raise TokenFileError(f"the token file {path} is larger than {MAX_TOKEN_FILE_BYTES} bytes")
    try:
        lines = [line.strip() for line in content.decode("ascii").splitlines()]
    except UnicodeDecodeError as error:
        raise TokenFileError(
            f"the token file {path} is not ASCII (byte {error.start}); a header can't carry it"
        ) from error
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise TokenFileError(f"the token file {path} holds no token; write one a line")
    if len(tokens) > MAX_TOKENS:
        raise TokenFileError(f"the token file {path} holds more than {MAX_TOKENS} tokens")
    return tokens


def bearer_header(token: str) -> tuple[str, str]:
    """Return the call metadata that carries a token (RFC 6750, section 2.1)."""
    return ("authorization", f"Bearer {token}")


def names_of_peer(authentication_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """Return the names in a verified client certificate, as gRPC's context gives them."""
    return frozenset(
        value.decode("utf-8", "replace")
        for key in _PEER_NAME_KEYS
        for value in authentication_context.get(key, ())
    )
