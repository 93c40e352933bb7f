"""The default rules, compiled once for all tests that judge by them."""

from functools import cache

from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import Pack, load_pack

__all__ = ["OPTIONAL_RULES", "default_judge", "full_judge", "full_pack"]

OPTIONAL_RULES = ("card-number", "email", "iban", "ip-address", "social-security-number")


@cache
def default_judge() -> Judge:
    """Return the judge of the rules that are in force without any configuration."""
    return Judge(load_pack())


@cache
def full_pack() -> Pack:
    """Return all rules, the optional ones included."""
    return load_pack(enable=OPTIONAL_RULES)


@cache
def full_judge() -> Judge:
    """Return the judge of all rules."""
    return Judge(full_pack())
