"""Fields of the requests that services of the floor take, refused where they make no sense.

What comes from outside becomes a label or the key of a map, which have limits.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

__all__ = ["Amount", "OrderId", "Side", "one_of", "short_text"]

Side = Literal["buy", "sell"]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OrderId = Annotated[str, Field(max_length=100)]


def one_of(*names: str) -> AfterValidator:
    """Return what refuses each name but these, and lists them."""

    def checked(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(names)}")
        return name

    return AfterValidator(checked)


def short_text(value: object, length_max: int) -> str:
    """Return what a field says, as a text that telemetry can carry; cut after so many characters.

    JSON has halves of surrogate pairs, which UTF-8 does not: one would cost a whole batch.
    """
    return str(value)[:length_max].encode(errors="replace").decode()
