"""What folding lets its user choose."""

from dataclasses import dataclass
from typing import Final

__all__ = ["FoldOptions"]

_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """How folding decides where there is a choice.

    `strict`: an older start never adds. `warmup_ns`: how long a producer must have been seen
    before it does. `max_ahead_ns`: points further ahead of now are refused.
    `max_bucket_bytes`: what the buckets of all folded streams may take, eight bytes each.
    `contributor_ns`: how long a gauge counts in a minimum, maximum or sum.
    """

    strict: bool = False
    warmup_ns: int = 120 * _SECOND_NS
    max_folded_streams: int = 200_000
    max_bucket_bytes: int = 256 << 20
    max_ahead_ns: int = 300 * _SECOND_NS
    contributor_ns: int = 300 * _SECOND_NS
