"""What a rule is: data, and nothing but data.

A value rule finds a secret by its shape, a name rule by the name it stands under.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tapeline.redaction.samples import expand

__all__ = ["Check", "NameRule", "Near", "Rule", "RuleAction", "Strength", "ValueRule"]

MAX_PATTERN_LENGTH: Final = 4_000
MAX_LIST_LENGTH: Final = 500
MAX_NEAR_CHARACTERS: Final = 4_096
_SAMPLE: Final = r"^(?:[1-9][0-9]{0,3}:)?[0-9a-f]{64}$"


class RuleAction(StrEnum):
    """What is put in place of a secret, or what goes with it."""

    MASK = "mask"
    PARTIAL = "partial"
    HMAC = "hmac"
    DROP_ATTRIBUTE = "drop_attribute"
    DROP_RECORD = "drop_record"


class Strength(StrEnum):
    """How much a name says: whether any value under it is a secret, or only one that looks so."""

    ANY = "any"
    """All values, short and human ones too; only blanks, masks and templates pass."""

    CREDENTIAL = "credential"
    """As `any`, but placeholders, references to variables and words of prose pass as well."""

    OPAQUE = "opaque"
    """Only values that no person would write as a word: mixed characters, of some length."""


class Check(StrEnum):
    """What a pattern cannot say: the check digits, or what an encoded secret must hold."""

    BASIC_CREDENTIALS = "basic_credentials"
    LUHN = "luhn"
    IBAN = "iban"


def _joined(example: object) -> object:
    """Join an example that stands in parts, so that no token stands whole in the file."""
    if isinstance(example, list) and all(isinstance(part, str) for part in example):
        return "".join(example)
    return example


Example = Annotated[str, BeforeValidator(_joined), Field(min_length=1, max_length=8_000)]


def _lower_case(keyword: str) -> str:
    if keyword != keyword.lower() or not keyword.isascii():
        raise ValueError(f"keyword {keyword!r} must be ASCII in lower case: texts are compared so")
    return keyword


Keyword = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_lower_case)]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN_LENGTH)]


class Near(BaseModel):
    """Words of which one must stand close by, for what is a secret only in its context."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # In lower case.
    keywords: tuple[Keyword, ...] = Field(min_length=1, max_length=MAX_LIST_LENGTH)

    # Characters before and after the match that are looked at; the attribute's key is always.
    within: int = Field(default=80, ge=1, le=MAX_NEAR_CHARACTERS)


class _RuleBase(BaseModel):
    """What all rules have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Stands in the mask and in the counters: lower-case words and digits joined by `-`.
    id: RuleId

    # What it finds, for people.
    description: str = Field(min_length=1, max_length=300)

    # What is done about it.
    action: RuleAction = RuleAction.MASK

    # An optional rule is off until the configuration enables it.
    optional: bool = False

    # Texts in which the rule must find a secret, and texts in which it must find none. Parts of a
    # list are joined; `{hex:32}` and the like stand for characters made up anew.
    finds: tuple[Example, ...] = Field(min_length=2, max_length=50)
    leaves: tuple[Example, ...] = Field(min_length=2, max_length=50)

    def samples(self, seed: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the examples with their characters made up; another seed, other characters."""
        return (
            tuple(
                expand(text, f"{seed}{self.id}{number}") for number, text in enumerate(self.finds)
            ),
            tuple(
                expand(text, f"{seed}{self.id}-{number}") for number, text in enumerate(self.leaves)
            ),
        )


class ValueRule(_RuleBase):
    """Finds a secret by its own shape."""

    kind: Literal["value"] = "value"

    # RE2 syntax over ASCII (anything else in a text counts as one odd character). A group, best
    # named `secret`, is the part that is hidden; without one it is the whole match.
    pattern: Pattern

    # In lower case; one of them must be in the text for the pattern to be tried at all.
    keywords: tuple[Keyword, ...] = Field(min_length=1, max_length=MAX_LIST_LENGTH)

    # The secret must have more than this many bits a character (Shannon). null: no matter.
    entropy: float | None = Field(default=None, gt=0, lt=8)

    # Patterns that must each be found in the secret.
    require: tuple[Pattern, ...] = Field(default=(), max_length=MAX_LIST_LENGTH)

    # Patterns of which none may be found in the secret.
    allow: tuple[Pattern, ...] = Field(default=(), max_length=MAX_LIST_LENGTH)

    # Words, in lower case, of which none may be in the secret.
    stop_words: tuple[Keyword, ...] = Field(default=(), max_length=MAX_LIST_LENGTH)

    # SHA-256, in hexadecimal, of values that were published as samples and open nothing. Before it
    # may stand how many characters the value has, and a colon: that saves hashing what has others.
    published: tuple[Annotated[str, Field(pattern=_SAMPLE)], ...] = Field(
        default=(), max_length=MAX_LIST_LENGTH
    )

    near: Near | None = None
    check: Check | None = None

    # Whether `xxxxx`, `${TOKEN}`, `<token>` and the like pass.
    placeholders_pass: bool = True


class NameRule(_RuleBase):
    """Finds a secret by the name it stands under, wherever a name and a value meet."""

    kind: Literal["name"] = "name"

    # Names as words, in lower case: `api key` is also `apiKey`, `X-API-KEY` and `api.key`.
    names: tuple[str, ...] = Field(default=(), max_length=MAX_LIST_LENGTH)

    # Vendors, in lower case, a blank where some write one word and some two. A name that holds one
    # of them and after it nothing but words that stand for a credential means a secret.
    vendors: tuple[str, ...] = Field(default=(), max_length=MAX_LIST_LENGTH)

    # Whether the vendor's name alone is enough, before an opaque value.
    vendor_alone: bool = False

    # Characters that an opaque value after the vendor's name alone must have at least.
    alone_length: int = Field(default=16, ge=8, le=200)

    value: Strength = Strength.CREDENTIAL

    # RE2 syntax: what the whole value must match. A number is then judged as its digits.
    form: Pattern | None = None

    # SHA-256 of values that were published as samples and open nothing, as for value rules.
    published: tuple[Annotated[str, Field(pattern=_SAMPLE)], ...] = Field(
        default=(), max_length=MAX_LIST_LENGTH
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.names and not self.vendors:
            raise ValueError("needs `names` or `vendors`, or it could never find anything")
        return self


Rule = Annotated[ValueRule | NameRule, Field(discriminator="kind")]
