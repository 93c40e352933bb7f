"""Python's collector of cycles, and what it need not walk through in the middle of a batch."""

import gc
from typing import Final

__all__ = ["settle_garbage"]

_THRESHOLD: Final = 20_000
"""Objects made and not freed until the cycles among them are looked for: those of some batches."""


def settle_garbage() -> None:
    """Keep the collector of cycles away from what was made so far. To be called before batches.

    The rules alone are hundreds of thousands of objects, which stay: to walk through them in the
    middle of a batch takes longer than the batch. What a reload leaves behind goes at the next one.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_THRESHOLD, *gc.get_threshold()[1:])
