"""The redaction for what is written to disk: never observing, and no service passes unread."""

import hashlib

from tapeline.redaction.config import Mode, OverrideConfig, RedactionConfig
from tapeline.redaction.policy import judge_of

__all__ = ["enforced", "version_of"]

_NO_POLICY = frozenset({"hmac_key_file", "hmac_key_path", "audit_lines_per_minute"})


def enforced(section: RedactionConfig) -> RedactionConfig:
    """Return the section with `enforce` as its mode and as that of each signal and service."""

    def without_mode(override: OverrideConfig) -> OverrideConfig:
        return override.model_copy(update={"mode": None})

    return section.model_copy(
        update={
            "mode": Mode.ENFORCE,
            "allow": section.allow.model_copy(update={"services": ()}),
            "signals": {name: without_mode(each) for name, each in section.signals.items()},
            "services": {name: without_mode(each) for name, each in section.services.items()},
        }
    )


def version_of(section: RedactionConfig) -> tuple[str, str]:
    """Return what names the rules in effect: SHA-256 of the section, and the pack's fingerprint.

    Raises PackError where the rules can't be used.
    """
    text = section.model_dump_json(exclude=set(_NO_POLICY))
    return hashlib.sha256(text.encode()).hexdigest(), judge_of(section).pack.fingerprint
