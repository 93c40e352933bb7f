"""Attribute keys that name a credential: their values are dropped where they arise.

Keys only. A credential inside of a text is found by the gate's redaction, which knows what
credentials look like; a key such as `api_key` needs no look at its value.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

__all__ = ["is_secret_key", "without_secrets"]

# At the end of the key, without its separators: `http.request.header.x-api-key` and `apiKey` are
# credentials, `api_key_present`, `api_key_id` and `token_count` are not. `token` alone is not
# either: in these systems it may be an instrument.
_SECRET: Final = re.compile(
    r"(?:password|passwd|passphrase|pwd"
    r"|secret|secrets|clientsecret|secretkey|apikey|accesskey|privatekey|signingkey|listenkey"
    r"|credential|credentials|authorization|cookie|signature"
    r"|(?:access|api|auth|bearer|csrf|id|jwt|refresh|security|session)token)$"
)
_SEPARATORS: Final = str.maketrans("", "", "-_. /")
_KEYS_LIMIT: Final = 4096
"""Keys whose answers are kept; a service has hundreds."""


@lru_cache(maxsize=_KEYS_LIMIT)
def is_secret_key(key: str) -> bool:
    """Say whether a key names a credential, whatever its case and separators."""
    return _SECRET.search(key.translate(_SEPARATORS).lower()) is not None


def without_secrets(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the attributes without credentials, None where there are none among them.

    In place of `api_key` there is `api_key_present`: whether it was set is often the question.
    """
    secret = [key for key in attributes if is_secret_key(key)]
    if not secret:
        return None
    kept = {key: value for key, value in attributes.items() if key not in secret}
    return kept | {f"{key}_present": bool(attributes[key]) for key in secret}
