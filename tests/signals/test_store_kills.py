"""A writer is killed at any moment, over and over: what it said was committed is there, once."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appending_writer import ROW_SIZE, execution, numbers_of
from store_kinds import StoreKind
from tapeline.signals.codec import decode_events
from tapeline.signals.opening import open_store
from tapeline.signals.store import Loaded

WRITER = Path(__file__).parents[1] / "appending_writer.py"
KILLS = 12
MOST_ROWS = 40


def killed(url: str, after_rows: int, after_s: float) -> int:
    """Run a writer, kill it some rows and some time after its start; return its last number."""
    with subprocess.Popen(
        [sys.executable, WRITER, url],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(WRITER.parent)},
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(after_rows):
            writer.stdout.readline()
        time.sleep(after_s)  # The kill falls anywhere in the work on a row.
        writer.kill()
        rest = writer.stdout.read()
    whole_lines = [int(line) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
    return max(whole_lines, default=0)


def archived(loaded: Loaded) -> list[int]:
    """Return the numbers of the archive."""
    return [event.time_ns for chunk in loaded.chunks for event in decode_events(chunk)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_what_was_committed_outlives_kills(kind: StoreKind) -> None:
    """Each start goes on where the last one was killed; at most one row was not yet reported."""
    chance = random.Random(6)  # noqa: S311 - moments of kills
    url, last = kind.url, 0
    for _ in range(KILLS):
        said = killed(url, chance.randrange(MOST_ROWS), chance.random() / 200)
        store = open_store(url, is_read_only=True)
        loaded = store.load()
        store.close()
        numbers = numbers_of(loaded)

        assert numbers == list(range(1, len(numbers) + 1))
        assert max(said, last) <= len(numbers)
        assert not said or len(numbers) <= said + ROW_SIZE
        assert loaded.damaged_rows == loaded.damaged_checkpoints == loaded.damaged_chunks == 0
        last = len(numbers)
        seen = archived(loaded)
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) + ROW_SIZE * len(loaded.rows) == last

    assert last > KILLS * ROW_SIZE
    assert execution(1) in decode_events(loaded.chunks[0])
