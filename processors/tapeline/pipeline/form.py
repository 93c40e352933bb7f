"""Which form of the package runs: its hot modules compiled to C, or as Python."""

from enum import StrEnum

from tapeline.pipeline import value_limit

__all__ = ["Form", "running_form"]


class Form(StrEnum):
    """One wheel has the one or the other; both do the same."""

    COMPILED = "compiled"
    PURE = "pure"


def running_form() -> Form:
    """Return the form of what this process imported.

    A wheel has all of the compiled modules or none, so one of them tells for all.
    """
    return Form.PURE if value_limit.__file__.endswith(".py") else Form.COMPILED
