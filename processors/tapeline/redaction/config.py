"""The `redaction` section of the configuration."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tapeline.redaction.key_words import words_of

__all__ = ["MAX_NAMES", "Mode", "RedactionConfig"]

MAX_NAMES: Final = 1000


class Mode(StrEnum):
    """What is done about a secret."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


def _key_name(name: str) -> str:
    if not words_of(name):
        raise ValueError(f"{name!r} holds no letter and no digit, so it names no key")
    return name


KeyName = Annotated[str, Field(max_length=256), AfterValidator(_key_name)]


class RedactionConfig(BaseModel):
    """How secrets are found and what happens to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # `enforce` masks what it finds. `observe` counts what it would mask and changes nothing: every
    # secret then reaches the backends.
    mode: Mode = Mode.ENFORCE

    # File with the key of the tokens that stand for secrets in metric labels; at least 32 bytes,
    # one final newline aside. null: a random key for each process, so that the tokens, and the
    # series that carry them, differ between workers and between restarts.
    hmac_key_file: Path | None = None

    # Key names that are no secret here although the built-in rules say so, in any spelling:
    # `api_key` also keeps `ApiKey` and `api-key`, but not `binance_api_key`. What stands under them
    # is still searched for secrets. Empty: the built-in rules as they are.
    keep: tuple[KeyName, ...] = Field(default=(), max_length=MAX_NAMES)

    # Further key names that mean a secret, in any spelling, with or without words before them:
    # `desk_code` also denies `emea.deskCode`. Empty: the built-in rules as they are.
    deny: tuple[KeyName, ...] = Field(default=(), max_length=MAX_NAMES)

    @model_validator(mode="after")
    def _no_name_is_both(self) -> Self:
        denied = {words_of(name) for name in self.deny}
        both = sorted(name for name in self.keep if words_of(name) in denied)
        if both:
            raise ValueError(f"in both `keep` and `deny`: {', '.join(both)}; leave one of them")
        return self
