"""Which redaction a request gets: by its signal, and by the service that it comes from.

Built from the configuration; holds the compiled rules of each policy.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.redaction.config import Mode, OverrideConfig, RedactionConfig
from tapeline.redaction.core import Notice, Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import Pack, RuleSource, built_in_ids, load_pack
from tapeline.redaction.rule import RuleAction, ValueRule

__all__ = [
    "DENIED_VALUE",
    "Policies",
    "Policy",
    "judge_of",
    "judge_of_all_rules",
    "policies_of",
    "services_of",
    "with_containers",
]

DENIED_VALUE: Final = "denied-value"
"""The rule of texts that the configuration denies."""

MAX_JUDGES: Final = 8
"""Compiled rules that are kept: those in use, and those of a reload."""

_NO_POLICY: Final = {"hmac_key_file", "hmac_key_path", "audit_lines_per_minute"}

MAX_KEYWORD_LENGTH: Final = 64
_CONTAINERS: Final[Mapping[Signal, str]] = {
    Signal.LOGS: "resource_logs",
    Signal.TRACES: "resource_spans",
    Signal.METRICS: "resource_metrics",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with a request, or with the part of it that one service sent."""

    redactor: FastRedactor
    mode: Mode


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a configuration. The policy of an allowed service is None."""

    by_signal: Mapping[Signal, Policy]
    by_service: Mapping[Signal, Mapping[str, Policy | None]]
    fingerprint: str
    """Names this version of the rules and of what the configuration makes of them."""


def policies_of(
    config: RedactionConfig,
    hmac_key: bytes,
    notify: Callable[[Notice], None],
    cache_folder: Path | None,
) -> Policies:
    """Compile the rules; raises PackError where they can't be used."""
    version = judge_of(config).pack.fingerprint + config.model_dump_json(exclude=_NO_POLICY)
    made: dict[Any, Policy] = {}

    def policy(*overrides: OverrideConfig) -> Policy:
        variant = _merged(config, overrides)
        key = (variant.mode, variant.disable, variant.enable, tuple(variant.actions.items()))
        if key not in made:
            redactor = Redactor(judge_of(variant), hmac_key, variant.actions, notify)
            made[key] = Policy(fast_redactor(redactor, cache_folder), variant.mode)
        return made[key]

    own = {signal: _listed(config.signals.get(signal)) for signal in Signal}
    by_service: dict[Signal, dict[str, Policy | None]] = {
        signal: {
            **{name: policy(*own[signal], each) for name, each in config.services.items()},
            **dict.fromkeys(config.allow.services),
        }
        for signal in Signal
    }
    by_signal = {signal: policy(*own[signal]) for signal in Signal}
    return Policies(by_signal, by_service, hashlib.sha256(version.encode()).hexdigest())


def judge_of(config: RedactionConfig) -> Judge:
    """Return the judge of a configuration's rules, made once: compiling takes about a second."""
    pack = load_pack(overrides=_sources(config), disable=config.disable, enable=config.enable)
    if config.deny.values:
        pack = _with_denied(pack, config.deny.values)
    return _judge(
        pack,
        config.allow.keys,
        config.deny.keys,
        config.allow.values,
        config.depth,
        config.max_text_characters,
    )


def judge_of_all_rules(config: RedactionConfig) -> Judge:
    """Return a judge of every rule, those that are optional or switched off included.

    Nothing else of the configuration counts, so that what it allows fails no rule's own examples.
    """
    sources = _sources(config)
    own = {str(source.data.get("id")) for source in sources}
    return Judge(load_pack(overrides=sources, enable=built_in_ids() | own))


def _sources(config: RedactionConfig) -> list[RuleSource]:
    return [
        RuleSource(data, f"redaction.rules[{number}]") for number, data in enumerate(config.rules)
    ]


def services_of(signal: Signal, request: Message) -> list[str]:
    """Return the `service.name` of each resource of a request, empty where it has none."""
    names = []
    for container in getattr(request, _CONTAINERS[signal]):
        name = ""
        for attribute in container.resource.attributes:
            if attribute.key == "service.name":
                name = attribute.value.string_value
        names.append(name)
    return names


def with_containers(batch: Batch, numbers: Iterable[int]) -> Batch:
    """Return the batch with these of its resources, and nothing else."""
    request: Any = REQUEST_TYPES[batch.signal]()
    name = _CONTAINERS[batch.signal]
    containers, wanted = getattr(batch.request, name), getattr(request, name)
    for number in numbers:
        wanted.add().CopyFrom(containers[number])
    return batch.with_payload(request.SerializeToString())


@lru_cache(MAX_JUDGES)
def _judge(
    pack: Pack,
    keep: tuple[str, ...],
    deny: tuple[str, ...],
    allow_values: tuple[str, ...],
    depth: int,
    max_characters: int,
) -> Judge:
    return Judge(
        pack,
        keep=keep,
        deny=deny,
        allow_values=allow_values,
        depth=depth,
        max_characters=max_characters,
    )


def _listed(override: OverrideConfig | None) -> tuple[OverrideConfig, ...]:
    return () if override is None else (override,)


def _merged(config: RedactionConfig, overrides: tuple[OverrideConfig, ...]) -> RedactionConfig:
    """Return the section with its overrides applied, the last one's word counting most."""
    mode, actions = config.mode, dict[str, RuleAction](config.actions)
    on, off = set(config.enable), set(config.disable)
    for override in overrides:
        mode = mode if override.mode is None else override.mode
        actions.update(override.actions)
        on = (on - set(override.disable)) | set(override.enable)
        off = (off - set(override.enable)) | set(override.disable)
    changes = {
        "mode": mode,
        "enable": tuple(sorted(on)),
        "disable": tuple(sorted(off)),
        "actions": dict(sorted(actions.items())),
    }
    return config.model_copy(update=changes)


def _with_denied(pack: Pack, values: tuple[str, ...]) -> Pack:
    rules = [
        ValueRule(
            id=DENIED_VALUE,
            description="A text that the configuration denies",
            pattern=f"(?i){re.escape(value)}",
            keywords=(value.lower()[:MAX_KEYWORD_LENGTH],),
            placeholders_pass=False,
            finds=(value, f"x {value} y"),
            leaves=("-", "."),
        )
        for value in values
    ]
    return replace(pack, value_rules=(*pack.value_rules, *rules))
