"""Files of bearer tokens, one a line: who may send or look, and what we send ourselves."""

from pathlib import Path
from typing import Final

__all__ = ["MAX_TOKENS", "MAX_TOKEN_FILE_BYTES", "TokenFileError", "bearer_header", "read_tokens"]

MAX_TOKENS: Final = 64
MAX_TOKEN_FILE_BYTES: Final = 64 * 1024


class TokenFileError(ValueError):
    """A token file that can't be used; the message names the file, never its content."""


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
