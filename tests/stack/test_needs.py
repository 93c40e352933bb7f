"""What a stack's overrides say of the order of start."""

from pathlib import Path

from small_servers import events, unit
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides


def test_a_unit_waits_for_what_the_overrides_say_that_it_needs(tmp_path: Path) -> None:
    """The one that stands first starts once the other is ready."""
    ports, log = Ports.free(), tmp_path / "events"
    units = (
        unit("first", ports.gate, log),
        unit("second", ports.loki, log, delay_s=0.3),
    )
    overrides = Overrides(units=units, needs={"first": ("second", "absent")})

    with Stack(tmp_path / "run", ports, servers=(), overrides=overrides) as stack:
        assert [line for line in events(stack) if line.endswith("started")] == [
            "second started",
            "first started",
        ]
