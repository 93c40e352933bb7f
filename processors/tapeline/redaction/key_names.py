"""Tells from a key's name whether what stands under it is a secret.

A name is taken apart into words, whatever its spelling (snake, camel, kebab, dotted, header), and
the words are compared with terms such as `api key`. What comes after the term decides: `token` in
`token_address` only says which address it is, while `password_old` is still a password.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

__all__ = ["DENIED_NAME", "NAME_RULES", "PAIR_TERMS", "KeyNames", "is_end_of_term", "words_of"]

MAX_NAME_LENGTH: Final = 256
"""Characters of a name that are judged: its last ones, because there the meaning stands."""

MAX_CACHED_NAMES: Final = 16_384

DENIED_NAME: Final = "denied_name"
"""The rule of the names that the configuration denies."""

# Each rule's terms, as words. A term of several words is also recognised when it is written as one.
_TERMS_BY_RULE: Final = MappingProxyType(
    {
        "password": (
            "password, passwd, passcode, pass word, pwd, db pass, database pass, user pass,"
            " admin pass, root pass, smtp pass, mysql pass, postgres pass, pg pass, redis pass,"
            " mongo pass, ftp pass, proxy pass, key pass, store pass"
        ),
        "passphrase": "passphrase, pass phrase",
        "recovery_phrase": "mnemonic, seed phrase, recovery phrase, seed words, wallet seed",
        "secret": "secret, secret id",
        "token": (
            "access token, auth token, api token, refresh token, id token, session token, csrf"
            " token, security token, bearer token, bot token, oauth token, xsrf token, user token,"
            " personal token, vault token, deploy token, sas token"
        ),
        "api_key": "api key, api key id, app key, application key, license key",
        "access_key": "access key, access key id",
        "secret_key": (
            "secret key, signing key, encryption key, decryption key, master key, shared key, auth"
            " key, session key, hmac key"
        ),
        "private_key": "private key, priv key",
        "authorization": "authorization, auth header",
        "cookie": "cookie",
        "credential": "credential, cred",
        "connection_string": "connection string, conn string, conn str",
        "signature": (
            "access sign, api sign, bapi sign, bfx signature, mbx signature, amz signature, goog"
            " signature, cb signature"
        ),
    }
)

NAME_RULES: Final = (*_TERMS_BY_RULE, DENIED_NAME)
"""Every rule that judges by a name."""

_TERMS: Final = MappingProxyType(
    {
        tuple(term.split()): rule
        for rule, terms in _TERMS_BY_RULE.items()
        for term in terms.split(", ")
    }
)
PAIR_TERMS: Final = MappingProxyType(
    {
        ("signature",): "signature",
        ("sig",): "signature",
        ("account", "key"): "secret_key",
    }
)
"""Names of request signatures, and of a storage account's key, in query strings and connection
strings, with their rules. As names of attributes they often mean something else."""

_MAX_TERM_WORDS: Final = max(map(len, _TERMS))

# Terms written as one word, such as `apikey`. The longer ones are also recognised with something
# stuck to them in front, as in `dbpassword`; `idtoken` at the end of `bidtoken` would be chance.
_GLUED: Final = MappingProxyType({"".join(words): rule for words, rule in _TERMS.items()})
_MIN_GLUED_LENGTH: Final = 8
_GLUED_ENDS: Final = tuple(
    word
    for word in _GLUED
    if len(word) >= _MIN_GLUED_LENGTH or word in {"apikey", "passwd", "pwd", "secret"}
)


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Last words that make the name one of something about the secret, not of the secret.
_ABOUT: Final = _vocabulary(
    """
    address age alg algorithm arn at attempt attempts banner bytes changed class checker consent
    count counts created date decision description dir disabled domain duration enabled endpoint
    error errors exists expiration expired expires expiry failure failures field file filename
    filter format handler hint host id ids in index issuer label latency len length level limit
    location manager max method middleware min missing mode ms name names namespace on owner path
    policy present prompt provider rate ratio ref reference region required reset result retries
    rotated rotation rule rules scheme scope scopes seconds service set size source state status
    store strength time timestamp total ttl type types uid updated uri url usage used valid
    validator version
    """
)

# First words that make the name a question or a number.
_ASKING: Final = frozenset({"has", "is", "needs", "num", "require", "requires"})

# A bare `token` is a secret only at the end of the name or before one of these words...
_TOKEN_ENDS: Final = _vocabulary(
    """
    current encoded encrypted hash header new old plain plaintext raw secret string text value
    """
)
# ...and not after one of these: page cursors, pieces of text, traded assets.
_NO_CREDENTIAL_BEFORE: Final = _vocabulary(
    """
    base bought cancel cancellation collateral completion continuation cursor debt erc fee gas
    governance input lp native next nft output page pool prompt quote reward sold stop swap sync
    underlying wrapped
    """
)

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")

_ENDS_OF_TERMS: Final = frozenset(words[-1] for words in _TERMS if len(words) > 1)


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: `X-MBX-APIKEY`, `apiKey` and `api.key` alike."""
    return tuple(word.lower() for word in _WORD.findall(name[-MAX_NAME_LENGTH:]))


@lru_cache(MAX_CACHED_NAMES)
def is_end_of_term(name: str) -> bool:
    """Say whether a name may be the end of a term whose beginning stands before it."""
    words = words_of(name)
    return bool(words) and _singular(words[-1]) in _ENDS_OF_TERMS


class KeyNames:
    """Judges key names: the built-in terms, and what the configuration keeps and denies."""

    def __init__(self, keep: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._keep = frozenset(words_of(name) for name in keep)
        self._deny = frozenset(words_of(name) for name in deny)
        self._max_denied_words = max(map(len, self._deny), default=0)
        self._telling_words = _any_of(
            max(term, key=len) for term in (*_TERMS, *PAIR_TERMS, ("token",), *self._deny)
        )
        self.rule_of = lru_cache(MAX_CACHED_NAMES)(self._rule_of)
        """`rule_of(name, before)`: the rule by which what stands under the name is a secret; None
        where it is none. `before` is the name above it, or the word in front of it in a text: a
        `key` below `api` is an API key."""

    def may_occur_in(self, lowered_text: str) -> bool:
        """Say whether a text in lower case may hold the name of a secret: most texts don't.

        Of each term one word, the longest, has to be there.
        """
        return self._telling_words.search(lowered_text) is not None

    def _rule_of(self, name: str, before: str = "") -> str | None:
        words = words_of(name)
        if words in self._keep or not words:
            return None
        if self._is_denied(words):
            return DENIED_NAME
        if words[0] in _ASKING:
            return None
        context = words_of(before)[1 - _MAX_TERM_WORDS :]
        return _rule_by_terms((*context, *words), len(context))

    def _is_denied(self, words: tuple[str, ...]) -> bool:
        longest = min(len(words), self._max_denied_words)
        return any(words[-count:] in self._deny for count in range(1, longest + 1))


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, set(words)))))


def _rule_by_terms(words: tuple[str, ...], context_count: int) -> str | None:
    """Return the rule of the last term that ends within the name proper and means the secret."""
    for end in range(len(words), context_count, -1):
        rule = _term_rule(words, end)
        after = words[end:]
        if rule is not None:
            if not after or after[-1] not in _ABOUT:
                return rule
        elif words[end - 1] == "token" and _TOKEN_ENDS.issuperset(after):
            qualifier = words[end - 2] if end - 1 > context_count else ""
            if qualifier not in _NO_CREDENTIAL_BEFORE:
                return "token"
    return None


def _term_rule(words: tuple[str, ...], end: int) -> str | None:
    """Return the rule of the longest term whose last word stands just before `end`."""
    last = _singular(words[end - 1])
    for begin in range(max(0, end - _MAX_TERM_WORDS), end):
        rule = _TERMS.get((*words[begin : end - 1], last))
        if rule is not None:
            return rule
    if last in _GLUED:
        return _GLUED[last]
    if last.endswith(_GLUED_ENDS):
        return next(_GLUED[word] for word in _GLUED_ENDS if last.endswith(word))
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
