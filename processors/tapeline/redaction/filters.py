"""What a candidate must still pass before it is taken for a secret.

Each filter returns why a value is none, or an empty text.
"""

import base64
import binascii
import hashlib
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import re2

from tapeline.redaction.pack import compile_pattern
from tapeline.redaction.rule import Check, Strength

__all__ = [
    "CHECKS",
    "MAX_LOOK",
    "has_more_entropy",
    "is_opaque",
    "is_published",
    "placeholder_reason",
    "shannon_entropy",
    "value_reason",
]

_ANYWHERE: Final = re2._Anchor.UNANCHORED  # noqa: SLF001 - as for _suspicion

MAX_LOOK: Final = 4_096
"""Characters of a value that filters look at: what is longer is no placeholder."""


_MAX_TABLE: Final = 512
_WEIGHTS: Final = (0.0, *(count * math.log2(count) for count in range(1, _MAX_TABLE + 1)))


def shannon_entropy(text: str) -> float:
    """Return the bits a character of a text: Shannon 1948, over the text's own frequencies."""
    length = len(text)
    if length > _MAX_TABLE:
        counts = Counter(text).values()
        return math.log2(length) - sum(count * math.log2(count) for count in counts) / length
    count_of, weights = text.count, _WEIGHTS
    return math.log2(length) - sum([weights[count_of(c)] for c in set(text)]) / length


def has_more_entropy(text: str, bits: float) -> bool:
    """Say whether a text has more than so many bits a character."""
    length = len(text)
    if not 0 < length <= _MAX_TABLE:
        return shannon_entropy(text) > bits
    enough = bits + _ROUNDING
    if length >= 2 * _PART:
        # The entropy of a whole is no less than the mean of its parts', by their lengths.
        least, needed = 0.0, enough * length / _PART
        for end in range(_PART, length + 1, _PART):
            least += _LEAST[len(set(text[end - _PART : end]))]
            if least > needed:
                return True
    # With so many different characters it has least if one of them stands in all other places.
    least = math.log2(length) - _WEIGHTS[length - len(set(text)) + 1] / length
    return least > enough or shannon_entropy(text) > bits


_ROUNDING: Final = 1e-9
_PART: Final = 16
_LEAST: Final = (0.0, *(math.log2(_PART) - _WEIGHTS[_PART - n + 1] / _PART for n in range(1, 17)))
"""Bits a character that so many different ones among 16 have at least."""


def _vocabulary(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Fillers and the notations of templates, anywhere in a value that is one piece...
_FILLER: Final = re.compile(
    r"x{6,}|X{6,}|\*{3,}|\.{3,}\Z|#{4,}|0{12,}|\$\{|\$\(|\{\{|(?i:\[?redacted(?![:\w])|\[?filtered\]|<hidden>)"
)
# One of these is in every value in which a filler is found; to look for them takes a tenth of the
# pattern's time.
_FILLED_LETTERS: Final = ("xxxxxx", "XXXXXX", "000000000000")
_FILLED_MARKS: Final = ("***", "...", "####", "${", "$(", "{{", "<hidden>", "filtered]")
_MANY_PIECES: Final = re.compile(r"[\s;,]")
# ...and as the whole of any value: of shells, templates, format strings and documentation.
_TEMPLATE: Final = re.compile(
    r"[xX.\-_*?#\u2026]+\Z|\$\{[^{}]*\}\Z|\$\([^()]*\)?\Z|\{\{[^{}]*\}?\}?\Z|\$\w+\Z"
    r"|\{[\w. :\-]*\}\Z|\{\w+\(|<[^<>]*>?\Z|%[\w({][^%]*%\Z|%[sdvr]\Z|%\(\w+\)s\Z"
    r"|\[[A-Za-z_ \-]+\]?\Z|`|ENC\[|(?i:foo|bar|baz|qux|abc|xyz)\Z"
)
_NOTHING: Final = re.compile(
    r"(?i:null|none|nil|undefined|true|false|yes|no|on|off|empty|unset|n/a|nan|[01])\Z"
)

# Placeholders of people, references to variables, and values that only name a kind of secret.
_STAND_IN: Final = re.compile(
    r"(?i)\A(?:add|your|my|insert|replace|change|put|enter|fake|dummy|sample|some)"
    r"[_\- ]{0,2}(?:own[_\- ])?(?:api|app|auth|access|secret|token|key|pass|client|user|account)"
    r"|(?:token|key|secret|password)[_\- ]?(?:here|goes)|placeholder|changeme|example(?:\.com)?\Z"
    r"|\A(?:asdf|foobar|test|tbd|todo)\Z|(.)\1{11}|123456789012|012345678901"
    r"|\Aexample|abcdefghij|klmnopqrst|mnopqrstuv|qrstuvwxyz"
)
_REFERENCE: Final = re.compile(
    r"(?:var|local|data|module|env|process\.env|os\.environ|os\.getenv|self|this|config|settings|"
    r"secrets?|args|options?|opts|params?|ctx|request|req|steps|needs|github|vars|inputs|values|"
    r"context|credentials?|Rails|ENV|System\.getenv)(?:\.[A-Za-z_]|\[|\()"
    r"|(?:arn:|vault:|op://|ref\+|ssm:|kms:|secretsmanager:|keyvault:|file:|env:|gcp-sm:)"
    r"|(?:/[a-z][a-z0-9_.\-]*){2,}/?\Z|projects/[\w.\-]+/secrets/"
    r"|/(?:run|etc|var|opt|home|mnt|usr|tmp|secrets|vault)/"
    r"|[A-Za-z_][\w.]*\([^()]*\)\Z|[A-Za-z_][\w.]*\(\Z"
    # `$U*kU0DT` is no variable: nothing that goes on so in a shell is a word of its own.
    r"|\\?\$(?:[{(]|[A-Za-z_]\w*(?![\w*^!#@%&?+]))"
)
_SHOUTED_NAME: Final = re.compile(
    r"(?=[A-Z_]*(?:PASS|TOKEN|SECRET|KEY|USER|CRED|AUTH))[A-Z]+(?:_[A-Z]+)*\Z"
)
_TYPE: Final = re.compile(
    r"(?i:string|str|bytes?|int|integer|bool|boolean|any|text|varchar|object|char|uuid)[?!;,]?\Z"
)
_PROSE: Final = _vocabulary(
    """
    a accepted an and are as at be because been by bytes can cannot changed created deleted denied
    did does empty encrypted error exceeded exists expired expires expiring failed failure for found
    from generated given granted has have header hidden how if ignored in incorrect invalid is
    issued it length loaded matched mismatch missing must not of ok on only or prompt provided read
    received refreshed refused rejected required reset revoked rotated rotation set should stored
    supplied that the this to too unknown unset updated use used user using valid validated
    validation was will with wrong you your
    """
)
_SECRET_WORDS: Final = _vocabulary(
    """
    access account admin api app application auth authorization basic bearer client code cookie
    credential credentials db default demo grant hidden id jwt key master name none oauth open pass
    passwd password placeholder plain private public refresh required reader reset role root secret
    secrets session string test token type user username value
    """
)
# What people write into examples.
_MADE_UP_WORDS: Final = _vocabulary(
    """
    bar demo dummy example fake foo invalid key mock my password placeholder sample secret test
    testing token your
    """
)
_DOTTED_NAME: Final = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+\Z")
_NAME_OF_PARTS: Final = re.compile(r"[A-Za-z]+(?:[._][A-Za-z]+)+\Z|[a-z]+(?:[A-Z][a-z]+)+\Z")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def placeholder_reason(value: str) -> str:
    """Say why a value is a filler or a template rather than a secret."""
    if len(value) > MAX_LOOK:
        return ""
    if not value.strip():
        return "is blank"
    if _TEMPLATE.match(value):
        return "is a placeholder"
    if _may_hold_filler(value) and not _MANY_PIECES.search(value):
        filler = _FILLER.search(value)
        if filler is not None and not (filler[0][0] == "." and _is_cut_off(value)):
            return "is a placeholder"
    return ""


def _is_cut_off(value: str) -> bool:
    """Say whether so much stands before the dots that a length limit put them there.

    People who leave something out show a few characters of it.
    """
    rest = value.rstrip(".")
    if len(rest) < MIN_CUT_OFF or not any(map(str.isalpha, rest)):
        return False
    # Letters alone: as often changing between their cases as no word does.
    return any(map(str.isdigit, rest)) or len(_WORDS.findall(rest)) > len(rest) // 4


def _may_hold_filler(value: str) -> bool:
    """Say whether `_FILLER` may be in a value; most have nothing that it asks for."""
    for letters in _FILLED_LETTERS:
        if letters in value:
            return True
    lowered = value.lower()
    if "redacted" in lowered:
        return True
    if not value.isalnum():
        for marks in _FILLED_MARKS:
            if marks in lowered:
                return True
    return False


_NO_VALUE: Final = (
    (_NOTHING, "says that there is none"),
    (_SHOUTED_NAME, "refers to a variable"),
    (_REFERENCE, "refers to a variable"),
)
_SMALL_NUMBER: Final = re.compile(r"[+\-]?[0-9]{1,5}(?:\.[0-9]+)?%?\Z")


# A short cut: what is surely none of the things below, for most real credentials are random. As
# many different characters as the filters ask for are in these schemes alone.
_RANDOM_FORM: Final = r"(?:(?:[Bb]earer|[Bb]asic) )?[A-Za-z0-9+=_~\-]"
_RANDOM: Final = re.compile(rf"(?=(?:[^0-9]{{0,40}}+[0-9]){{4}}){_RANDOM_FORM}{{16,200}}+\Z")
# Where any value counts that no one would take for a name or a placeholder, less is enough.
_NO_NAME: Final = re.compile(rf"(?=[^0-9]{{0,200}}+[0-9]){_RANDOM_FORM}{{8,200}}+\Z")
_SUSPECT: Final = _vocabulary(
    """
    abcdefghij klmnopqrst mnopqrstuv qrstuvwxyz 123456789012 012345678901 api app auth access
    client user account test fake dummy mock example sample demo placeholder invalid token
    secret key your my pass foo bar redact filter hidden change
    """
)
# Any of these words, or six of one of the characters above: RE2 looks for all at once.
_SUSPICIOUS: Final = compile_pattern(
    f"(?i:{'|'.join(sorted(_SUSPECT))})|"
    + "|".join(f"{re.escape(c)}{{6}}" for c in f"{string.ascii_letters}{string.digits}+=_~-")
)
_suspicion: Final = _SUSPICIOUS._regexp.Match  # noqa: SLF001 - see value_matcher._matching


# Looking these up each time would take as long as a short match.
_ANY: Final = Strength.ANY
_OPAQUE_ONLY: Final = Strength.OPAQUE
_FOUR_DIGITS: Final = re.compile(r"(?:[^0-9]{0,40}+[0-9]){4}")
_MIN_RANDOM: Final = 16
_MIN_NO_NAME: Final = 8
_MAX_RANDOM: Final = 200


def _is_random(value: str, strength: Strength) -> bool:
    if value.isalnum() and value.isascii():
        # What the patterns below say of letters and digits alone, in a third of the time.
        length = len(value)
        if length > _MAX_RANDOM:
            return False
        if strength is _ANY:
            if length < _MIN_NO_NAME or value.isalpha():
                return False
        elif length < _MIN_RANDOM or _FOUR_DIGITS.match(value) is None:
            return False
    elif not (_NO_NAME if strength is _ANY else _RANDOM).match(value):
        return False
    data = value.encode("ascii")
    found: Sequence[tuple[int, int]] = _suspicion(_ANYWHERE, data, 0, len(data))
    return found[0][0] < 0


def value_reason(value: str, strength: Strength, *, bare: bool) -> str:
    """Say why what stands under a secret's name is no secret.

    `bare` values stand in no quotes, so they may as well be words of a sentence or of a program.
    """
    if strength is not _OPAQUE_ONLY and _is_random(value, strength):
        return ""
    value = value.strip()
    reason = placeholder_reason(value)
    if reason or len(value) > MAX_LOOK:
        return reason
    for pattern, reason in _NO_VALUE:
        if pattern.match(value):
            return reason
    if bare:
        reason = _program_reason(value)
        if reason:
            return reason
    return "" if strength is _ANY else _word_reason(value, strength, bare=bare)


def _program_reason(value: str) -> str:
    """Say why a value without quotes is rather a piece of a program or of a sentence."""
    if _TYPE.match(value):
        return "is the name of a type"
    if value.rstrip(".,;:!").lower() in _PROSE:
        return "is a word of prose"
    if _NAME_OF_PARTS.match(value):
        # Of `cfg.oms.apiKey` only the field must name a secret, whatever holds it.
        field = value.rpartition(".")[2]
        words = [word.lower() for word in _WORDS.findall(field)]
        if _SECRET_WORDS.issuperset(words):
            return "refers to a variable"
    return ""


def _word_reason(value: str, strength: Strength, *, bare: bool) -> str:
    """Say why a value is rather a word of a person or a program."""
    if _SMALL_NUMBER.match(value) or (bare and _DOTTED_NAME.match(value)):
        return "is a small number or refers to a variable"
    if _only_names_secrets(value):
        return "only names a kind of secret"
    if _is_made_up(value) or _stands_in(value):
        return "stands in for a secret"
    if (
        len(value) >= MIN_MEASURED
        and len(set(value[:MIN_MEASURED])) <= MAX_FILLER_CHARACTERS
        and len(set(value)) <= MAX_FILLER_CHARACTERS
    ):
        return "is made of few characters"
    if strength is _OPAQUE_ONLY and not is_opaque(value):
        return "could be a word or an identifier"
    return ""


def _only_names_secrets(value: str) -> bool:
    """Say whether a value has words, and each of them stands for a kind of secret."""
    word = None
    for word in _WORDS.finditer(value):
        if word[0].lower() not in _SECRET_WORDS:
            return False
    return word is not None


def _is_made_up(value: str) -> bool:
    if not _WORDY.match(value):
        return False
    return not _MADE_UP_WORDS.isdisjoint([word.lower() for word in _WORDS.findall(value)])


# One of these is in every value in which `_STAND_IN` finds something, but at its beginning or for a
# run of twelve.
_STAND_IN_HINTS: Final = (
    "here",
    "goes",
    "placeholder",
    "changeme",
    "example",
    "123456789012",
    "012345678901",
    "abcdefghij",
    "klmnopqrst",
    "mnopqrstuv",
    "qrstuvwxyz",
)
_TWICE: Final = re.compile(r"(.)\1", re.DOTALL)
_RUN: Final = re.compile(r"(?i)(.)\1{11}")
_RUN_LENGTH: Final = 12


def _stands_in(value: str) -> bool:
    if _STAND_IN.match(value):
        return True
    lowered = value.lower()
    for hint in _STAND_IN_HINTS:
        if hint in lowered:
            return _STAND_IN.search(value) is not None
    # Of twelve of the same, every sixth and the one after it are the same.
    return (
        len(value) >= _RUN_LENGTH
        and _TWICE.search(lowered[::6]) is not None
        and _RUN.search(value) is not None
    )


MIN_CUT_OFF: Final = 12
"""Characters before dots: more than the eight that a log shows of a key by habit."""

MIN_MEASURED: Final = 16
MAX_FILLER_CHARACTERS: Final = 4
"""Different ones: 16 digits at random have so few once in a million, fillers nearly always."""

MIN_OPAQUE_LETTERS: Final = 24
"""Characters that a value without any digit must have to be opaque."""

# A name on a chain: of an account, an asset or a transaction.
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9A-Fa-f]+\Z")
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/=_.~:%|!@#$^&*\-]{12,}\Z")
# A traded thing, alone, in a pair, or with an expiry, a series or an address after it.
_TICKER: Final = re.compile(
    r"(?=.{1,31}\Z)[A-Z0-9]{2,10}(?:[-_/:.]{1,2}[a-z]{0,12}[A-Z0-9]{0,12}[a-z]{0,5})+\Z"
    r"|[A-Z0-9]{2,10}[-_/:.]0x|[A-Z0-9]{1,15}\Z"
)
_NUMBER: Final = re.compile(r"[0-9.,:+\-TZ/ _]+\Z")
_WORDY: Final = re.compile(
    r"(?:[A-Za-z]+|[A-Za-z]*[0-9]{1,4})(?:[-_./: ](?:[A-Za-z]+|[A-Za-z]*[0-9]{1,4}))*\Z"
)


_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")


def is_opaque(value: str) -> bool:
    """Say whether a value is of a form that nobody would choose for a word, name or ticker."""
    if _UUID.match(value) or _is_shuffled(value):
        return True
    if not _OPAQUE.match(value) or _HEXADECIMAL.match(value) or "://" in value:
        return False
    if _NUMBER.match(value) or _TICKER.match(value):
        return False
    if _WORDY.match(value):
        # Letters alone: long, in both cases, and not in the manner of CamelCase.
        return (
            len(value) >= MIN_OPAQUE_LETTERS
            and value.isalpha()
            and len(_WORDS.findall(value)) > len(value) // 4
        )
    return any(character.isdigit() for character in value) or len(value) >= MIN_OPAQUE_LETTERS


_SHUFFLED: Final = re.compile(r"(?=[^0-9]*[0-9]+[^0-9]+[0-9])[A-Za-z0-9]{8,11}\Z")
_MIN_CHANGES: Final = 4


def _is_shuffled(value: str) -> bool:
    """Say whether a short value changes too often between letters, cases and digits for a name.

    Names of assets do so, too, but have one number in them: `cUSDCv3`, `aEthWETH`.
    """
    return (
        _SHUFFLED.match(value) is not None
        and _HEXADECIMAL.match(value) is None
        and any(map(str.islower, value))
        and any(map(str.isupper, value))
        and len(_WORDS.findall(value)) >= _MIN_CHANGES
    )


def is_published(value: str, published: Collection[str]) -> bool:
    """Say whether a value is one of the published samples, which are kept as SHA-256.

    Before the hash may stand how many characters the sample has, and a colon: of what has others,
    no hash is made.
    """
    if not published:
        return False
    length, digest = f"{len(value)}:", ""
    for sample in published:
        if len(sample) > _DIGEST_LENGTH and not sample.startswith(length):
            continue
        digest = digest or hashlib.sha256(value.encode(), usedforsecurity=False).hexdigest()
        if sample.endswith(digest):
            return True
    return False


_DIGEST_LENGTH: Final = 64


def _basic_credentials(value: str) -> bool:
    """RFC 7617: base64 of a user, a colon and a password. A piece cut off at the end counts."""
    encoded = value.replace("%3D", "").replace("%3d", "").rstrip("=")
    encoded = encoded.replace("-", "+").replace("_", "/")
    rest = len(encoded) % 4
    whole = encoded[:-1] if rest == 1 else encoded + "=" * (-len(encoded) % 4)
    try:
        decoded = base64.b64decode(whole, validate=True)
    except binascii.Error:
        return False
    head, colon, _ = decoded.partition(b":")
    return bool(colon) and head.isascii() and (not head or head.decode("ascii").isprintable())


def _luhn(value: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(character) for character in value if character.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]  # noqa: PLR2004 - 2·5 has two digits
    return sum(digits[-1::-2]) + sum(doubled) == 0 or (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_IBAN_LENGTHS: Final = range(15, 35)


def _iban(value: str) -> bool:
    """ISO 13616 with the check of ISO 7064, mod 97-10."""
    account = value.replace(" ", "")
    if len(account) not in _IBAN_LENGTHS:
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


CHECKS: Final[Mapping[Check, Callable[[str], bool]]] = MappingProxyType(
    {Check.BASIC_CREDENTIALS: _basic_credentials, Check.LUHN: _luhn, Check.IBAN: _iban}
)
