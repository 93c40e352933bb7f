"""The place of a service that a test drives by itself."""

from pathlib import Path

from tapeline.floor.place import Place

__all__ = ["place_of"]


def place_of(folder: Path, name: str) -> Place:
    """Return a place without peers, and with nobody who takes telemetry."""
    return Place(
        name=name,
        port=1,
        peers={},
        otlp_endpoint="http://127.0.0.1:1",
        log_path=folder / f"{name}.log",
        fault_path=folder / "faults.json",
        seed=1,
        rate_per_s=1.0,
        tape_path=None,
        run="t",
    )
