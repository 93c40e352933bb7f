"""The key of the tokens that stand for secrets: from the user's file, or made once and kept."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES

__all__ = ["key_from_file", "key_made_once"]

MAX_HMAC_KEY_BYTES: Final = 4096


def key_from_file(path: Path, *, setting: str = "hmac_key_file") -> bytes:
    """Read a key of 32 to 4096 bytes, one final newline aside.

    Raises ValueError that names the setting and the file, and nothing of the key.
    """
    try:
        with path.open("rb") as file:
            key = file.read(MAX_HMAC_KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{setting}: {path} can't be read: {error.strerror}") from error
    key = key.removesuffix(b"\n").removesuffix(b"\r")
    if not MIN_HMAC_KEY_BYTES <= len(key) <= MAX_HMAC_KEY_BYTES:
        found = f"{len(key)}" if len(key) < MIN_HMAC_KEY_BYTES else "more"
        raise ValueError(
            f"{setting}: {path} must hold a key of {MIN_HMAC_KEY_BYTES} to"
            f" {MAX_HMAC_KEY_BYTES} bytes, but holds {found}; make one with"
            " `openssl rand -hex 32`"
        )
    return key


def key_made_once(path: Path) -> bytes:
    """Return the key that is kept at a path, and make it where there is none.

    Processes that start at the same time agree on one: the file appears whole, or not at all, and
    the first one stays. Raises OSError where it can't be written, and ValueError where what stands
    there is no key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(MIN_HMAC_KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # Where another process was first, its key is the one.
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    return key_from_file(path, setting="the key made at the first start")
