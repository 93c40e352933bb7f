"""Wrong uses of setup, one after the other; prints what each is told."""

import sys
from collections.abc import Callable

from tapeline.instrument import SetupError, setup


def told(wrong: Callable[[], object]) -> None:
    """Print the error that a call raises, in a line."""
    try:
        wrong()
    except (SetupError, ValueError) as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")


told(lambda: setup(""))
told(lambda: setup("orders", sample_ratio=1.5))
telemetry = setup("orders")
told(lambda: setup("another"))
telemetry.shutdown()
told(lambda: setup("orders"))
