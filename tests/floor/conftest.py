"""What several tests of the floor need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeline.floor.faults import write_faults
from tapeline.floor.whole import fault_path
from tapeline.stack.run_directory import RunDirectory


@pytest.fixture(name="run_dir")
def _run_dir(tmp_path: Path) -> Iterator[Path]:
    """The folder of a floor that runs."""
    directory = RunDirectory(tmp_path / "run")
    directory.open()
    write_faults(fault_path(directory.path), ())
    yield directory.path
    directory.close()
