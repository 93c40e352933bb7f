"""How somebody looks on: what a batch was right behind the redaction, and what may be shown. Pure.

The chain notes it while `Chain.is_watched`; whoever sends a batch on hands it to those who look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tapeline.otlp.signals import Signal

if TYPE_CHECKING:
    from tapeline.pipeline.batch import Batch
    from tapeline.pipeline.processor import Processor

__all__ = ["Mask", "Sighting", "Watch"]


class Mask(Protocol):
    """Takes every secret out of a batch, whatever the chain's redaction lets pass. Thread-safe."""

    def __call__(self, batch: "Batch", /) -> bytes | None:
        """Return the payload; None where nothing is left. After what it raises, show nothing."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Where to look in a chain: behind which processor of each signal, its redaction."""

    behind: Mapping[Signal, "Processor"]
    mask: Mask


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a batch was right behind the redaction, with the mask of the chain that it was in."""

    before: "Batch"
    mask: Mask
