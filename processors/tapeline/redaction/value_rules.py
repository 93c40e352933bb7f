"""Finds secrets by their own shape, whatever name they stand under.

Every search takes time linear in the text: quantifiers are possessive or bounded, none is nested
in another, and a pattern that begins with an unbounded run may begin only where the run does.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tapeline.redaction.spans import Span

__all__ = ["VALUE_RULES", "ValueRule", "find_by_value"]


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A kind of secret: its id, what a text must hold to be searched, and the search.

    `keywords` are in lower case and compared with the text in lower case: one of them must occur.
    """

    rule: str
    keywords: tuple[str, ...]
    find: Callable[[str], Iterator[tuple[int, int]]]


def find_by_value(text: str, lowered: str) -> Iterator[Span]:
    """Yield what is a secret by its shape, in a text and the same text in lower case.

    Spans of different rules may overlap.
    """
    # Most texts hold no keyword at all, and one search tells.
    if _ANY_KEYWORD.search(lowered) is None:
        return
    for rule in VALUE_RULES:
        if any(keyword in lowered for keyword in rule.keywords):
            for start, end in rule.find(text):
                yield Span(start, end, rule.rule)


def _pattern(pattern: str) -> Callable[[str], Iterator[tuple[int, int]]]:
    """Return a search for the group `secret` of a pattern, or for the whole where it has none."""
    compiled = re.compile(pattern)
    group: int | str = "secret" if "secret" in compiled.groupindex else 0

    def find(text: str) -> Iterator[tuple[int, int]]:
        return (match.span(group) for match in compiled.finditer(text))

    return find


_BASIC: Final = re.compile(r"(?i:\bbasic)[ \t]{1,4}+(?P<secret>[A-Za-z0-9+/_\-]{6,}+={0,2}+)")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{0,4096}:")


def _find_basic(text: str) -> Iterator[tuple[int, int]]:
    """Yield the credentials of RFC 7617: base64 of a user, a colon and a password.

    "Basic settings" has the form too, so it is decoded. A piece cut off at the end still counts,
    if the colon is there.
    """
    for match in _BASIC.finditer(text):
        encoded = match["secret"].rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
        whole = encoded[: len(encoded) // 4 * 4] + _padded(encoded[len(encoded) // 4 * 4 :])
        try:
            decoded = base64.b64decode(whole, validate=True)
        except binascii.Error:
            continue
        if _PRINTABLE.match(decoded):
            yield match.span("secret")


def _padded(rest: str) -> str:
    # One character alone is 6 bits of a byte: cut off, it says nothing.
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""


_DOTTED: Final = re.compile(r"(?<![A-Za-z0-9_.\-])[A-Za-z0-9_\-.]{12,}+")
_MIN_JWT_LENGTH: Final = 12


def _find_jwt(text: str) -> Iterator[tuple[int, int]]:
    """Yield JSON Web Tokens (RFC 7519), also without their signature or cut off before it.

    Their header is a JSON object in base64url, and so begins with `eyJ`. Without any dot it is
    just a header, or no token at all.
    """
    for match in _DOTTED.finditer(text):
        run = match[0].rstrip(".")
        begin = run.find("eyJ")
        if begin >= 0 and "." in run and len(run) - begin >= _MIN_JWT_LENGTH:
            yield match.start() + begin, match.start() + len(run)


_PEM_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,60}+-----")


def _find_private_key(text: str) -> Iterator[tuple[int, int]]:
    """Yield PEM private keys; one without its end goes on to the end of the text."""
    position = 0
    while begin := _PEM_BEGIN.search(text, position):
        end = _PEM_END.search(text, begin.end())
        position = end.end() if end else len(text)
        yield begin.start(), position


_AUTHORITY: Final = re.compile(r"://(?P<user>[^\s/?#:@\"'<>\\]*+)(?P<mark>[:@])")
_URL_REST: Final = re.compile(r"[^\s\"'<>\\]*+")
_AUTHORITY_REST: Final = re.compile(r"[^\s\"'<>\\/?#]*+")
_LONG_USER: Final = 20
"""A user name at least this long is taken for a token: hosts of source code and error trackers take
one in place of the user."""


def _find_userinfo(text: str) -> Iterator[tuple[int, int]]:
    """Yield the password of `scheme://user:password@host`, and a user that is a token."""
    url_end = last_at = -1
    for match in _AUTHORITY.finditer(text):
        if match.end() >= url_end:
            # Once for all the `://` of a run without blanks, so that each run is read once.
            url_end = _end(_URL_REST, text, match.start())
            last_at = text.rfind("@", match.start(), url_end)
        at = match.end() - 1 if match["mark"] == "@" else _at_sign(text, match.end(), last_at)
        if at < 0:
            continue
        start, end = match.span("user")
        if end - start >= _LONG_USER:
            yield start, end
        if at > match.end():
            yield match.end(), at


def _at_sign(text: str, start: int, last_at: int) -> int:
    """Return where the `@` after a password stands that begins at `start`; -1 without one.

    A password may hold `/`, `?`, `#` and `@` although it should not (RFC 3986, section 3.2). So
    what is before the last `@` is one, unless it begins as a port does.
    """
    authority_end = _end(_AUTHORITY_REST, text, start)
    at = text.rfind("@", start, authority_end)
    if at >= 0 or last_at < start or text[start:authority_end].isdecimal():
        return at
    return last_at if authority_end > start else -1


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


VALUE_RULES: Final = (
    ValueRule("pem_private_key", ("private key",), _find_private_key),
    ValueRule("jwt", ("eyj",), _find_jwt),
    ValueRule("url_userinfo", ("://",), _find_userinfo),
    ValueRule("basic", ("basic",), _find_basic),
    # A word in prose ("bearer authentication") has no digit and is short.
    ValueRule(
        "bearer",
        ("bearer",),
        _pattern(
            r"(?i:\bbearer)[ \t]{1,4}+(?P<secret>(?:[A-Za-z0-9._~+/\-]{16}|"
            r"(?=[A-Za-z._~+/\-]{0,15}+[0-9])[A-Za-z0-9._~+/\-]{6})[A-Za-z0-9._~+/\-]*+={0,2}+)"
        ),
    ),
    ValueRule(
        "aws_access_key_id",
        ("akia", "asia", "abia", "acca"),
        _pattern(r"(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"),
    ),
    ValueRule(
        "slack_token",
        ("xox", "xapp-"),
        _pattern(r"(?:xox[a-z](?:\.xox[a-z])?-|xapp-[0-9]-)[A-Za-z0-9\-]{10,}+"),
    ),
    ValueRule(
        "slack_webhook",
        ("hooks.slack.com",),
        _pattern(r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/+\-]{8,}+)"),
    ),
    ValueRule(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        _pattern(r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}+"),
    ),
    ValueRule(
        "gitlab_token", ("glpat-",), _pattern(r"glpat-[A-Za-z0-9_\-]{16,}+(?:\.[A-Za-z0-9_\-]++)*+")
    ),
    ValueRule(
        "stripe_key",
        ("k_live_", "k_test_", "k_prod_", "whsec_"),
        _pattern(r"(?:[rs]k_(?:live|test|prod)_|whsec_)[A-Za-z0-9]{10,}+"),
    ),
    ValueRule("google_api_key", ("aiza",), _pattern(r"AIza[A-Za-z0-9_\-]{35}")),
    ValueRule(
        "openai_key",
        ("sk-",),
        _pattern(r"(?<![A-Za-z0-9_\-])sk-(?:[a-z]{2,12}-)?(?=[a-zA-Z_\-]{0,60}[0-9])[\w\-]{20,}+"),
    ),
    ValueRule("npm_token", ("npm_",), _pattern(r"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}")),
    ValueRule("sendgrid_key", ("sg.",), _pattern(r"SG\.[\w\-]{16,64}\.[\w\-]{16,}+")),
)
"""The rules, the most specific first."""

_ANY_KEYWORD: Final = re.compile(
    "|".join(re.escape(keyword) for rule in VALUE_RULES for keyword in rule.keywords)
)
