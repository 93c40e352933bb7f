"""Tells from a name whether what stands under it is a secret, by the name rules of a pack.

A name is taken apart into words, whatever its spelling (snake, camel, kebab, dotted, header), and
the words are compared with those of the rules. What comes after decides: `token` in
`token_address` only says which address it is, while `password_old` is still a password.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import re2

from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.rule import NameRule, Strength

__all__ = ["DENIED", "HOLDERS", "TYPES", "KeyWords", "NameFinding", "words_of"]

MAX_NAME_LENGTH: Final = 256
"""Characters of a name that are judged: its last ones, because there the meaning stands."""

MAX_CACHED_NAMES: Final = 16_384

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


TYPES: Final = frozenset({"string", "String", "str", "text", "varchar", "bytes", "char", "auto"})
"""Words that some languages write between a name and its value."""

HOLDERS: Final = frozenset(
    {"name", "key", "field", "header", "param", "parameter", "property", "variable", "attribute"}
)
"""Names whose value may be a name: `name: password, value: x`."""

# Last words that make the name one of something about the secret, not of the secret.
_ABOUT: Final = _vocabulary(
    """
    address age alg algorithm arn at attempt attempts balance banner bytes changed class checker
    column consent contract count counts created date days decision decimals description dir
    directory disabled domain duration enabled endpoint env environment error errors exists exp
    expiration expire expired expires expiry failure failures field file filename files fingerprint
    format generator handler header hint holder host id identifier ids in index info input invalid
    issuer kind label latency len length level limit limits list location lookup manager max message
    method methods middleware min missing mode model ms name names namespace needed nonce on options
    owner pair param parameter parser path pattern placeholder policy position present price prompt
    provider rate ratio reader ref reference regex region required requirements reset result retries
    rotated rotation rule rules schema scheme scope scopes seconds selector service set size source
    standard state stats status storage store strategy strength supply suffix symbol table tag
    template test time timeout timestamp total ttl tx type types uid updated uri url usage used
    utils uuid java js json kt log md php py rb rs scala sh ts txt xml yaml yml go cs cpp html valid
    validation validator variable version volume
    """
)

# Last words that make the name one of a hash, which does not tell the key.
_HASHES: Final = _vocabulary(
    "blake checksum crc digest fingerprint hash hashed hashes keccak md sha thumbprint"
)
_HASH_NOTATIONS: Final = _vocabulary("b base hex")

# First words that make the name a question or a number.
_ASKING: Final = frozenset({"has", "is", "needs", "num", "require", "requires", "no", "allow"})

# What stands before these is not the name of a secret thing but of a public one.
_PUBLIC: Final = frozenset({"public", "pub", "publishable", "store", "create", "show"})
# ...but the password of one of these is one.
_STORES: Final = frozenset({("key", "store"), ("trust", "store")})

# A bare `token` is a secret only at the end of the name or before one of these words...
_TOKEN_ENDS: Final = _vocabulary(
    "current encoded encrypted header new old plain plaintext raw secret string text value"
)
# ...and not after one of these: page cursors, pieces of text, traded assets, form tokens of pages.
_NO_CREDENTIAL_BEFORE: Final = _vocabulary(
    """
    amount asset authenticity base bid ask bought cancel cancellation collateral completion
    continuation csrf cursor debt deposit erc fee fungible fencing from gas governance input
    instrument lexer liquidity long lp margin market max native next nft option order output page
    parser perp pool prompt quote request resume reward security short sold spot stable staked
    start stop strategy swap symbol sync target to traded trading underlying usdc usdt utility
    wrapped xsrf
    """
)

_NO_CREDENTIAL_ENDS: Final = tuple(sorted(_NO_CREDENTIAL_BEFORE))

# Keys that find something rather than open it, whoever's they are.
_NO_CREDENTIAL_KEY: Final = _vocabulary(
    """
    aggregation batch book bucket cache correlation dedup deduplication entity event
    fingerprint foreign grouping hash hot idempotency index instrument item job kafka lock
    lookup map message metric object order partition position primary pub public publishable
    rate record redis request route routing row s3 series shard sort sticky stream surrogate symbol
    topic trace track unique vary websocket
    """
)

# A signature of these is public: of programs, and of transactions on a chain.
_OF_PUBLIC_SIGNATURE: Final = _vocabulary(
    """
    attestation block call chain code contract event function method onchain program proposer
    solana transaction transactions tx txn txs type validator
    """
)

# What may follow a vendor's name in the name of a credential, and what must be among it.
_CREDENTIAL_WORDS: Final = _vocabulary(
    """
    access account admin api app application auth bearer bot ci client cloud consumer cred
    credential credentials dev global
    integration key keys license live oauth org organization passphrase password pat personal priv
    private prod production pw pwd read rest sandbox secret secrets service signing staging test
    token tokens trade trading user v1 v2 v3 web webhook write ws
    """
)
_CREDENTIAL_CORE: Final = _vocabulary(
    """
    access auth cred credential credentials key keys license passphrase password pat pw pwd secret
    secrets token tokens
    """
)
_CLIENT_ID_VENDORS: Final = _vocabulary(
    "adobe asana discord finicity linkedin message messagebird plaid sumo sumologic"
)
_PUBLIC_IDS: Final = frozenset({("client", "id"), ("access", "id")})
# Behind a vendor's name: what may be the beginning of one of those words, of a type, or of the word
# `value`; or, where nothing but the vendor's name stands there, a mark.
_BEGINNINGS: Final = frozenset(
    {word[:2] for word in _CREDENTIAL_WORDS}
    | {"by", "ch", "co", "de", "pl", "ra", "st", "te", "va"}
)
_AFTER_VENDOR: Final = (
    rb"(?:[_. \t\r\n\"'`,;)\]-]*(?:"
    + "|".join(sorted(_BEGINNINGS)).encode()
    + rb")"
    + rb"|[_.-]*[\"'`)\]*]{0,4}[ \t]{0,16}[:=<,>?.+|-])"
)
_BEFORE_VENDOR: Final = rb"(?:--|<)[a-z0-9_.:-]*"
_VENDORS_TOGETHER: Final = 20
"""In one expression, so that what stands before and after them is compiled once."""

_MAX_VENDOR_WORDS: Final = 4
_MAX_FRAMED_LENGTH: Final = 40
"""Characters within a frame, which the prefilter's patterns allow with what joins the words."""

# Base64 and the like taken apart: many short pieces, of which one may be `psk` or `otp`.
_MAX_WORDS_BESIDE_SHORT: Final = 7
_MAX_SHORT: Final = 3


@dataclass(frozen=True, slots=True)
class NameFinding:
    """The rule that a name calls for, and how strictly its values are judged."""

    rule: str
    strength: Strength
    published: tuple[str, ...] = ()
    alone_length: int = 0
    """Where nothing but a vendor's name stands there: the value must look opaque and have at least
    this many characters."""

    vendor: bool = False
    form: re2._Regexp | None = None
    """What the whole value must match."""


DENIED: Final = NameFinding("denied-name", Strength.ANY)
"""The finding for names that the configuration denies."""


@lru_cache(MAX_CACHED_NAMES)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: `X-MBX-APIKEY`, `apiKey` and `api.key` alike."""
    return tuple(word.lower() for word in _WORD.findall(name[-MAX_NAME_LENGTH:]))


class KeyWords:
    """Judges names by the name rules of a pack, and by what the configuration keeps and denies."""

    def __init__(
        self, rules: Sequence[NameRule], keep: Iterable[str] = (), deny: Iterable[str] = ()
    ) -> None:
        terms: dict[tuple[str, ...], NameFinding] = {}
        frames: dict[tuple[tuple[str, ...], str], NameFinding] = {}
        vendors: dict[tuple[str, ...], tuple[NameFinding, NameFinding | None]] = {}
        for rule in rules:
            form = compile_pattern(rule.form) if rule.form else None
            finding = NameFinding(rule.id, rule.value, rule.published, form=form)
            for name in rule.names:
                words = tuple(name.split())
                if "*" in words:
                    frames.setdefault((words[: words.index("*")], words[-1]), finding)
                else:
                    terms.setdefault(words, finding)
            of_vendor = NameFinding(rule.id, rule.value, rule.published, vendor=True)
            alone = (
                replace(of_vendor, alone_length=rule.alone_length) if rule.vendor_alone else None
            )
            for vendor in rule.vendors:
                parts = tuple(part for word in vendor.split() for part in words_of(word))
                vendors.setdefault(parts, (of_vendor, alone))
                vendors.setdefault(words_of(vendor.replace(" ", "")), (of_vendor, alone))
        self._terms: Mapping[tuple[str, ...], NameFinding] = MappingProxyType(terms)
        self._frames = MappingProxyType(frames)
        self._vendors = MappingProxyType(vendors)
        self._longest = max(map(len, terms), default=1)
        self._glued = MappingProxyType({"".join(words): found for words, found in terms.items()})
        # `idtoken` at the end of `bidtoken` would be chance; the longer ones and these are not.
        self._glued_ends = tuple(
            word
            for word in self._glued
            if len(word) >= 8 or word in {"apikey", "passwd", "pwd", "secret"}  # noqa: PLR2004
        )
        self._ends = frozenset(words[-1] for words in terms if len(words) > 1)
        self._keep = frozenset(words_of(name) for name in keep)
        self._deny = frozenset(words_of(name) for name in deny)
        self._longest_denied = max(map(len, self._deny), default=0)
        self.finding = lru_cache(MAX_CACHED_NAMES)(self._finding)
        """`finding(name, before)`: what the name calls for, None if it names no secret. `before`
        is the name above it or the word in front of it: a `key` after `api` is an API key."""

        self.asks_nothing = lru_cache(MAX_CACHED_NAMES)(self._asks_nothing)
        """`asks_nothing(name)`: whether no value is a secret for this name, whatever is around
        it."""

    @property
    def beginnings(self) -> tuple[tuple[str, ...], ...]:
        """What may stand in one name while only the name within it makes a term of both.

        Of terms whose end is a term by itself, the beginning makes no difference.
        """
        found = {
            words[:count]
            for words in self._terms
            for count in range(1, len(words))
            if not any(words[end:] in self._terms for end in range(count, len(words)))
        }
        return tuple(sorted(found))

    @property
    def expressions(self) -> tuple[bytes, ...]:
        """Patterns in Hyperscan's syntax, without regard to case, for a prefilter.

        A text in which none of them is found holds no name that means a secret.
        """
        vendors = self.vendor_expressions
        return (
            *(_spelled(words) for words in (*self._terms, *self._deny)),
            *(_framed(first, last) for first, last in self._frames),
            *(vendor + _AFTER_VENDOR for vendor in vendors),
            *(_BEFORE_VENDOR + vendor for vendor in vendors),
        )

    @property
    def vendor_expressions(self) -> tuple[bytes, ...]:
        """Patterns in Hyperscan's syntax, without regard to case, of the vendors' names alone."""
        # Two words with whatever may join them are also the one word.
        longest = {"".join(words): words for words in sorted(self._vendors, key=len)}
        spelled = [_spelled(words) for words in longest.values()]
        return tuple(
            b"(?:" + b"|".join(spelled[at : at + _VENDORS_TOGETHER]) + b")"
            for at in range(0, len(spelled), _VENDORS_TOGETHER)
        )

    def _asks_nothing(self, name: str) -> bool:
        is_part = name in TYPES or name.lower() in HOLDERS or self.is_end_of_term(name)
        return not is_part and self.finding(name, "") is None

    def is_end_of_term(self, name: str) -> bool:
        """Say whether a name may be the end of a term whose beginning stands before it."""
        words = words_of(name)
        return bool(words) and _singular(words[-1]) in self._ends

    def _finding(self, name: str, before: str = "") -> NameFinding | None:
        words = words_of(name)
        if not words or words in self._keep:
            return None
        if any(
            words[-n:] in self._deny for n in range(1, min(len(words), self._longest_denied) + 1)
        ):
            return DENIED
        if words[0] in _ASKING:
            return None
        context = words_of(before)[1 - self._longest :] if self._longest > 1 else ()
        found = self._by_terms((*context, *words), len(context))
        vendor = self._by_vendor(words)
        if found is None and vendor is None:
            return self._by_frame(words)
        if found is not None and (vendor is None or found.strength is not Strength.OPAQUE):
            return found
        return vendor or found

    def _by_terms(self, words: tuple[str, ...], context_count: int) -> NameFinding | None:
        """Return the finding of the last term that ends within the name proper."""
        is_random = len(words) - context_count > _MAX_WORDS_BESIDE_SHORT
        for end in range(len(words), context_count, -1):
            found, begin = self._term(words, end)
            after = words[end:]
            if found is None or (
                begin > 0
                and words[begin - 1] in _PUBLIC
                and words[max(0, begin - 2) : begin] not in _STORES
            ):
                continue
            if is_random and begin == end - 1 and len(words[begin]) <= _MAX_SHORT:
                continue
            if words[end - 1] == "signature" and not _OF_PUBLIC_SIGNATURE.isdisjoint(words[:begin]):
                continue
            # What people choose can be guessed from its hash.
            if found.strength is not Strength.ANY and _is_of_hash(after):
                continue
            if found.strength is Strength.OPAQUE and _singular(words[end - 1]).endswith("token"):
                before = words[begin - 1] if begin > context_count else ""
                if not _TOKEN_ENDS.issuperset(after) or before in _NO_CREDENTIAL_BEFORE:
                    continue
                return found
            if not after or after[-1] not in _ABOUT:
                return found
        return None

    def _by_frame(self, words: tuple[str, ...]) -> NameFinding | None:
        """Return the finding of a frame such as `x * key`, whoever's name stands in it."""
        for (first, last), found in self._frames.items():
            for begin in range(len(words) - len(first) - 1 if words[-1] == last else 0):
                if words[begin : begin + len(first)] == first:
                    named = words[begin + len(first) : -1]
                    if len("-".join(named)) > _MAX_FRAMED_LENGTH:
                        continue
                    return found if _NO_CREDENTIAL_KEY.isdisjoint(named) else None
        return None

    def _term(self, words: tuple[str, ...], end: int) -> tuple[NameFinding | None, int]:
        """Return the longest term whose last word stands just before `end`, and its beginning."""
        last = _singular(words[end - 1])
        for begin in range(max(0, end - self._longest), end):
            found = self._terms.get((*words[begin : end - 1], last))
            if found is not None:
                return found, begin
        if last in self._glued:
            return self._glued[last], end - 1
        if last.endswith(self._glued_ends):
            word = next(word for word in self._glued_ends if last.endswith(word))
            return self._glued[word], end - 1
        # `enctoken`, `wstoken`, but `quotetoken` is an asset.
        if last.endswith("token") and not last.removesuffix("token").endswith(_NO_CREDENTIAL_ENDS):
            return self._terms.get(("token",)), end - 1
        return None, end

    def _by_vendor(self, words: tuple[str, ...]) -> NameFinding | None:
        for begin in range(len(words)):
            for end in range(begin + 1, min(len(words), begin + _MAX_VENDOR_WORDS) + 1):
                known = self._vendors.get(words[begin:end])
                if known is None:
                    continue
                found, alone = known
                after = words[end:]
                if not after and begin == 0:
                    return alone
                if _is_credential(after) or (
                    after[-2:] in _PUBLIC_IDS and words[begin] in _CLIENT_ID_VENDORS
                ):
                    return found
        return None


def _spelled(words: Sequence[str]) -> bytes:
    """Return the pattern of words with whatever may join them."""
    return rb"[^a-z0-9]*".join(re.escape(word.encode()) for word in words)


def _framed(first: Sequence[str], last: str) -> bytes:
    """Return the pattern of a frame: its ends with a mark after the first, or in CamelCase."""
    title = "".join(map(str.title, first))
    camel = f"(?-i:[{title[0]}{title[0].lower()}]{title[1:]}[A-Z0-9].{{0,60}}"
    ends = f"(?:{last.title()}|{last.upper()}|[^a-zA-Z0-9]{last}))"
    return b"(?:" + _spelled(first) + f"[^a-z0-9].{{1,60}}{last}|{camel}{ends})".encode()


def _is_of_hash(words: tuple[str, ...]) -> bool:
    """Say whether words after a term end with a kind of hash: `hash`, `sha256`, `digest_hex`."""
    for word in reversed(words):
        if word in _HASHES:
            return True
        if not word.isdigit() and word not in _HASH_NOTATIONS:
            return False
    return False


def _is_credential(words: tuple[str, ...]) -> bool:
    """Say whether words after a vendor's name stand for a credential of it."""
    return _CREDENTIAL_WORDS.issuperset(words) and not _CREDENTIAL_CORE.isdisjoint(words)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word  # noqa: PLR2004 - `dns`, `aws`
