"""The `redaction` section of the configuration."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from tapeline.otlp.signals import Signal
from tapeline.redaction.judge import DEFAULT_DEPTH, DEFAULT_MAX_CHARACTERS
from tapeline.redaction.key_words import words_of
from tapeline.redaction.pack import (
    MAX_RULES,
    PackError,
    built_in_ids,
    check_override,
    compile_pattern,
)
from tapeline.redaction.rule import RuleAction

__all__ = [
    "MAX_NAMES",
    "AllowConfig",
    "DenyConfig",
    "Mode",
    "OverrideConfig",
    "RedactionConfig",
]

MAX_NAMES: Final = 1000
MAX_DEPTH: Final = 8
MAX_SERVICES: Final = 32
"""Services with a policy of their own: each compiles the rules anew and keeps them in memory."""


class Mode(StrEnum):
    """What is done about a secret."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


def _key_name(name: str) -> str:
    if not words_of(name):
        raise ValueError(f"{name!r} holds no letter and no digit, so it names no key")
    return name


def _value_pattern(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


def _plain_text(text: str) -> str:
    if not text.isascii():
        raise ValueError("must be ASCII: all texts are compared in that form")
    return text


def _rule(data: dict[str, Any]) -> dict[str, Any]:
    try:
        check_override(data)
    except PackError as error:
        raise ValueError("; ".join(error.problems)) from error
    return data


def _known_rule(name: str, info: ValidationInfo) -> str:
    """Refuse the id of a rule that is neither built in nor one of the section's `rules`."""
    # Of an override the rules are not at hand here; the whole section checks those.
    own = {str(rule.get("id")) for rule in info.data.get("rules", ())}
    if "rules" in info.data and name not in built_in_ids() | own:
        raise ValueError(f"there is no rule {name!r}; `tapeline check --json` lists them")
    return name


KeyName = Annotated[str, Field(max_length=256), AfterValidator(_key_name)]
ValuePattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_value_pattern)]
DeniedText = Annotated[str, Field(min_length=4, max_length=256), AfterValidator(_plain_text)]
ServiceName = Annotated[str, Field(min_length=1, max_length=256)]
RuleName = Annotated[str, Field(max_length=64), AfterValidator(_known_rule)]
RuleData = Annotated[dict[str, Any], AfterValidator(_rule)]


class AllowConfig(BaseModel):
    """What is no secret here although the rules say so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Key names, in any spelling: `api_key` also allows `ApiKey` and `api-key`, but not
    # `binance_api_key`. What stands under them is still searched for secrets.
    keys: tuple[KeyName, ...] = Field(default=(), max_length=MAX_NAMES)

    # Patterns in RE2 syntax, over ASCII, that match the whole of what a rule found.
    values: tuple[ValuePattern, ...] = Field(default=(), max_length=MAX_NAMES)

    # Values of `service.name` whose telemetry is passed on unread. It says what the sender says
    # it is, so this is for what cannot hold secrets, and not for what must not be read.
    services: tuple[ServiceName, ...] = Field(default=(), max_length=MAX_NAMES)


class DenyConfig(BaseModel):
    """What is a secret here although no rule says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Key names, in any spelling, with or without words before them: `desk_code` also denies
    # `emea.deskCode`.
    keys: tuple[KeyName, ...] = Field(default=(), max_length=MAX_NAMES)

    # Texts, wherever they stand, in upper and lower case alike. For patterns write a rule.
    values: tuple[DeniedText, ...] = Field(default=(), max_length=MAX_NAMES)


class OverrideConfig(BaseModel):
    """What is different for a signal or a service. What is left out is as in the section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode | None = None

    # Rules that are off as well, optional ones that are on as well, and actions that replace.
    disable: tuple[RuleName, ...] = Field(default=(), max_length=MAX_RULES)
    enable: tuple[RuleName, ...] = Field(default=(), max_length=MAX_RULES)
    actions: dict[RuleName, RuleAction] = Field(default={}, max_length=MAX_RULES)


class RedactionConfig(BaseModel):
    """How secrets are found and what happens to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # `enforce` replaces what it finds. `observe` counts what it would replace and changes nothing:
    # every secret then reaches the backends.
    mode: Mode = Mode.ENFORCE

    # Rules of your own, in the form of the built-in ones. One with the id of a built-in rule
    # replaces those of its keys that it gives.
    rules: tuple[RuleData, ...] = Field(default=(), max_length=MAX_RULES)

    # Optional rules that shall be on (card-number, iban, email, ip-address,
    # social-security-number), and rules that shall be off.
    enable: tuple[RuleName, ...] = Field(default=(), max_length=MAX_RULES)
    disable: tuple[RuleName, ...] = Field(default=(), max_length=MAX_RULES)

    # What is done about a rule's finds: mask, partial, hmac, drop_attribute or drop_record. What is
    # left out does what the rule says, which mostly is mask.
    actions: dict[RuleName, RuleAction] = Field(default={}, max_length=MAX_RULES)

    allow: AllowConfig = AllowConfig()
    deny: DenyConfig = DenyConfig()

    # Layers of encoding that are read (URL-encoding, JSON escapes, base64, hex). 0: none.
    depth: int = Field(default=DEFAULT_DEPTH, ge=0, le=MAX_DEPTH)

    # Of a longer text the rest is masked unread, as `oversize`: so the time that one takes is
    # bounded. Above `server.max_value_bytes`, what is masked would be cut off all the same.
    max_text_characters: int = Field(default=DEFAULT_MAX_CHARACTERS, ge=1024, le=1_048_576)

    # File with the key of the tokens that stand for secrets in metric labels; at least 32 bytes,
    # one final newline aside. null: a key that is made once and kept, see `hmac_key_path`.
    hmac_key_file: Path | None = None

    # Where a key is kept that is made because there is no `hmac_key_file`. null: the folder
    # TAPELINE_STATE_DIR, or else that of the user's state. All workers share it.
    hmac_key_path: Path | None = None

    # Lines of the log that name a rule, a place, a length and the policy's version, and never a
    # secret: at most so many a minute. What is left out is counted in the next. 0: none.
    audit_lines_per_minute: int = Field(default=10, ge=0, le=6000)

    # What is different for one signal (logs, traces, metrics) or one service.name. Where both say
    # something, the service's word counts. Requests of such services are taken apart, which costs
    # some speed.
    signals: dict[Signal, OverrideConfig] = Field(default={}, max_length=len(Signal))
    services: dict[ServiceName, OverrideConfig] = Field(default={}, max_length=MAX_SERVICES)

    def mode_of(self, signal: Signal) -> Mode:
        """Return the mode of a signal, for services that have none of their own."""
        override = self.signals.get(signal)
        return self.mode if override is None or override.mode is None else override.mode

    @model_validator(mode="after")
    def _lists_agree(self) -> Self:
        denied = {words_of(name) for name in self.deny.keys}
        both = sorted(name for name in self.allow.keys if words_of(name) in denied)
        if both:
            raise ValueError(
                f"in both `allow.keys` and `deny.keys`: {', '.join(both)}; leave one of them"
            )
        both = sorted({*self.allow.services} & self.services.keys())
        if both:
            raise ValueError(
                f"in both `allow.services` and `services`: {', '.join(both)}; leave one of them"
            )
        return self

    @model_validator(mode="after")
    def _rules_are_known(self) -> Self:
        ids = Counter(str(rule["id"]) for rule in self.rules)
        twice = sorted(name for name, count in ids.items() if count > 1)
        if twice:
            raise ValueError(f"`rules` has more than one of the id {', '.join(twice)}")
        known = built_in_ids() | ids.keys()
        for section in ("signals", "services"):
            for name, override in getattr(self, section).items():
                named = {*override.disable, *override.enable, *override.actions}
                unknown = sorted(named - known)
                if unknown:
                    raise ValueError(
                        f"{section}.{name}: there is no rule {', '.join(map(repr, unknown))}"
                    )
        return self
