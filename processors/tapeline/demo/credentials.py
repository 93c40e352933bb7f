"""The credentials that the demo leaks on purpose, and when and where it leaks each.

They are made from the seed when the demo runs: no file of the project holds anything that looks
like a credential, and a test that knows the seed knows what to search the backends for.
"""

import base64
import json
import random
import string
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Final

__all__ = ["LEAK_EVERY", "Credentials", "Leak", "credentials", "leak_at", "planted_credentials"]

LEAK_EVERY: Final = 4  # orders from one leak to the next


class Leak(StrEnum):
    """The places where a credential leaks, one after the other."""

    LOG_BODY = "log_body"
    REQUEST_HEADER = "request_header"
    EXCEPTION_MESSAGE = "exception_message"
    QUERY_PARAMETER = "query_parameter"
    NESTED_JSON = "nested_json"
    METRIC_ATTRIBUTE = "metric_attribute"
    FILE_JSON = "file_json"
    FILE_TEXT = "file_text"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One credential for each place; each is the bare secret, without what surrounds it."""

    log_password: str
    bearer_token: str
    database_password: str
    api_key: str
    nested_secret: str
    metric_token: str
    file_access_key: str
    file_password: str


def credentials(seed: int) -> Credentials:
    """Return the credentials of a seed."""
    generator = random.Random(f"{seed}/credentials")  # noqa: S311 - fake ones, on purpose
    return Credentials(
        log_password=_text(generator, 20),
        bearer_token=_web_token(generator),
        database_password=_text(generator, 20),
        api_key=generator.randbytes(20).hex(),
        nested_secret=_text(generator, 40),
        metric_token="gh" + "p_" + _text(generator, 36),
        file_access_key="AK" + "IA" + _text(generator, 16, string.ascii_uppercase + "234567"),
        file_password=_text(generator, 20),
    )


def planted_credentials(seed: int) -> tuple[str, ...]:
    """Return every secret that a long enough run with this seed leaks, to search for."""
    return tuple(str(each) for each in astuple(credentials(seed)))


def leak_at(number: int) -> Leak | None:
    """Return where a credential leaks with the order of this number, or None."""
    turn, rest = divmod(number, LEAK_EVERY)
    places = tuple(Leak)
    return places[(turn - 1) % len(places)] if turn and rest == 0 else None


def _text(
    generator: random.Random, length: int, alphabet: str = string.ascii_letters + string.digits
) -> str:
    return "".join(generator.choice(alphabet) for _ in range(length))


def _web_token(generator: random.Random) -> str:
    """Return something of the shape of a signed JSON Web Token (RFC 7519), signed by nobody."""
    header = _part({"alg": "HS256", "typ": "JWT"})
    claims = _part({"sub": "demo-strategy", "jti": _text(generator, 16)})
    signature = base64.urlsafe_b64encode(generator.randbytes(32)).rstrip(b"=").decode()
    return f"{header}.{claims}.{signature}"


def _part(content: Mapping[str, str]) -> str:
    text = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
