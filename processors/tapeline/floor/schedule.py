"""When which fault is on: `latency_spike@60s+120s` is on from second 60 for 120 seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from tapeline.floor.faults import FaultError, checked_scenario
from tapeline.pipeline.durations import parse_duration_s

__all__ = ["Turn", "active_at", "parse_turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A fault from `begin_s` after the floor is up, for `duration_s`; infinite: until the end."""

    scenario: str
    begin_s: float = 0.0
    duration_s: float = float("inf")


def parse_turn(text: str) -> Turn:
    """Return the turn that a text says: NAME, NAME@BEGIN or NAME@BEGIN+DURATION.

    Raises FaultError for an unknown name or a time that is none.
    """
    name, at, times = text.partition("@")
    checked_scenario(name)
    if not at:
        return Turn(name)
    begin, plus, duration = times.partition("+")
    try:
        begin_s = parse_duration_s(begin)
        duration_s = parse_duration_s(duration) if plus else float("inf")
    except ValueError as error:
        raise FaultError(
            f"{text!r} is no turn: {error}. Write NAME, NAME@60s or NAME@60s+2m."
        ) from error
    return Turn(name, begin_s, duration_s)


def active_at(turns: Sequence[Turn], elapsed_s: float) -> frozenset[str]:
    """Return the faults that are on so long after the floor was up."""
    return frozenset(
        turn.scenario
        for turn in turns
        if turn.begin_s <= elapsed_s < turn.begin_s + turn.duration_s
    )
