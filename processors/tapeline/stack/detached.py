"""The supervisor that `tapeline stack up --detach` leaves behind: options in, output to a log."""

import json
import sys
from pathlib import Path

from tapeline.stack.command import up_command
from tapeline.stack.runner import Stack
from tapeline.stack.supervisor import ready_table


def main(argument: str) -> int:
    """Run a stack with the options of one JSON object; return the exit code of `up`."""
    options = json.loads(argument)
    return up_command(
        Path(options["run_dir"]),
        join=options["join"],
        keep=options["keep"],
        port_base=options["port_base"],
        servers=options["servers"],
        on_ready=_write_table,
    )


def _write_table(stack: Stack) -> None:
    sys.stdout.write(f"\n{ready_table(stack)}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
