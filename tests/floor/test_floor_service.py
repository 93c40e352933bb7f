"""How a service of the floor runs: its door, its work, its end."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import HOST, free_port
from tapeline.floor.faults import write_faults
from tapeline.floor.place import Place, place_argument
from waiting import eventually

SERVICE = """
import asyncio, sys
from fastapi import FastAPI
from tapeline.floor.place import place_from
from tapeline.floor.service import run_floor_service

app = FastAPI()
app.get("/health")(lambda: {"ok": True})
place = place_from(sys.argv[1:])

async def body():
    if place.seed == 1:
        raise OSError("no market")
    if place.seed == 2:
        return
    await asyncio.sleep(3600)

sys.exit(run_floor_service(app, place, body))
"""


@contextmanager
def running(
    folder: Path, name: str = "veloz-engine", port: int = 0, seed: int = 0
) -> Iterator[tuple["subprocess.Popen[str]", Place]]:
    """Run a service whose work is to wait, or to fail where the seed is 1, to end where it is 2."""
    place = Place(
        name=name,
        port=port or free_port(),
        peers={},
        otlp_endpoint="",
        log_path=folder / "a.log",
        fault_path=folder / "faults.json",
        seed=seed,
        rate_per_s=1.0,
        tape_path=None,
        run="t",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, place_argument(place)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process, place
    finally:
        process.kill()
        process.communicate(timeout=30)


def is_open(place: Place) -> bool:
    """Tell whether the service answers."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{place.port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


def test_a_service_that_is_down_has_no_open_port_and_comes_back(tmp_path: Path) -> None:
    """Nothing listens while the fault is on; the process lives, and answers after."""
    with running(tmp_path) as (process, place):
        eventually(lambda: is_open(place))

        write_faults(place.fault_path, {"service_down"})
        eventually(lambda: not is_open(place))
        write_faults(place.fault_path, ())
        eventually(lambda: is_open(place))

        assert process.poll() is None


def test_a_service_that_the_fault_does_not_name_stays_up(tmp_path: Path) -> None:
    """One of each system goes; the others are there to notice."""
    with running(tmp_path) as (_, down), running(tmp_path, "veloz-gateway") as (_, other):
        eventually(lambda: is_open(down) and is_open(other))

        write_faults(down.fault_path, {"service_down"})
        eventually(lambda: not is_open(down))

        assert is_open(other)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service(tmp_path: Path, number: signal.Signals) -> None:
    """With exit status 0, and nothing on its standard error."""
    with running(tmp_path) as (process, place):
        eventually(lambda: is_open(place))

        process.send_signal(number)

        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("seed", "told"), [(1, "OSError('no market')"), (2, "its work has ended, and shall not")]
)
def test_work_that_fails_or_ends_ends_a_service_with_the_reason(
    tmp_path: Path, seed: int, told: str
) -> None:
    """A service that answers but does nothing would be worse than none."""
    with running(tmp_path, seed=seed) as (process, _):
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert f"veloz-engine: {told}" in process.stderr.read()


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """With the address."""
    with running(tmp_path) as (_, first):
        eventually(lambda: is_open(first))
        with running(tmp_path, "veloz-gateway", first.port) as (process, _):
            assert process.wait(30) == 1
            assert process.stderr is not None
            assert f"cannot listen on {HOST}:{first.port}" in process.stderr.read()
