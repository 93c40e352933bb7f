"""Becomes another program that ends when its parent does.

Run as a script, `python -I -S launch.py PARENT_PID PROGRAM ARGUMENT…`: it imports nothing of
Tapeline, so that it costs milliseconds, and the pid stays the same. A `preexec_fn` would do the
same inside of the parent's fork, which is not safe where the parent has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h; it outlives execve (prctl(2))


def main(arguments: list[str]) -> None:
    """Ask for SIGTERM at the parent's death, then execute the program."""
    parent_pid, *command = arguments
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent_pid):
        sys.exit("the parent ended before its child began")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
