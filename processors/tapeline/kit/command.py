"""`tapeline new processor`: the folder of a processor, begun."""

import sys
from pathlib import Path
from typing import Final

from tapeline.kit.scaffold import NewProcessorError, write_processor
from tapeline.otlp.signals import Signal

__all__ = ["new_processor_command"]

EXIT_OK: Final = 0
EXIT_FAILED: Final = 2


def new_processor_command(
    name: str, signal: Signal, folder: Path | None, taken: frozenset[str]
) -> int:
    """Write the folder and say what to do next; 2 where it can't be made."""
    folder = Path(name) if folder is None else folder
    try:
        written = write_processor(name, signal, folder, taken)
    except NewProcessorError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    for path in written:
        print(path)
    print(f"\nNext: cd {folder} && pytest")
    return EXIT_OK
