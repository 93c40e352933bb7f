"""Which form of the gate is measured: the compiled one, as the image ships it, or the pure one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.processes import ROOT, BenchError

from tapeline.pipeline.form import Form

__all__ = ["choose_form"]

NO_COMPILER: Final = 3
"""The exit code of scripts/compiled.py."""
NOTICE: Final = """\
bench: *** THE PURE FORM IS MEASURED: the compiled one can't be made here (see above).
bench: *** The image ships the compiled form; these figures are not its figures.
"""


def choose_form(*, pure: bool) -> Form:
    """Let every Python process that this one starts from now on import one form; return which.

    The compiled one is made first where it is not in the cache. Without a compiler it is the pure
    one after all, said aloud. Raises BenchError where compiling fails, or where `tapeline` itself
    says that another form runs.
    """
    wanted = Form.PURE
    if not pure:
        command = [sys.executable, str(ROOT / "scripts" / "compiled.py")]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            wanted = Form.COMPILED
            os.environ["PYTHONPATH"] = done.stdout.strip()
        elif done.returncode == NO_COMPILER:
            sys.stderr.write(NOTICE)
        else:
            raise BenchError("the compiled form can't be made (see above); --pure measures without")
    _check(wanted)
    return wanted


def _check(wanted: Form) -> None:
    program = Path(sys.executable).parent / "tapeline"
    said = subprocess.run([str(program), "version"], capture_output=True, text=True, check=False)
    if f"({wanted})" not in said.stdout:
        raise BenchError(
            f"the {wanted} form was to run, and `tapeline version` says: {said.stdout}"
        )
