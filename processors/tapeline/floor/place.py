"""What one service of the floor is told: one JSON object on its command line."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

__all__ = ["Place", "PlaceError", "place_argument", "place_from"]


class PlaceError(ValueError):
    """A command line that says no place; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is, whom it talks to, and at which pace.

    `name` is service.name and the name of its log file. `peers` are the base URLs of all services
    of the floor, by name. `rate_per_s` is in orders of the whole system. `tape_path` is a recorded
    tape (CSV of quotes), or None for a generated one. `run` begins every id.
    """

    name: str
    port: int
    peers: Mapping[str, str]
    otlp_endpoint: str
    log_path: Path
    fault_path: Path
    seed: int
    rate_per_s: float
    tape_path: Path | None
    run: str


def place_argument(place: Place) -> str:
    """Return the argument from which `place_from` makes the same place."""
    return "--place=" + json.dumps(asdict(place), default=str, sort_keys=True)


def place_from(arguments: Sequence[str]) -> Place:
    """Return the place of a service's command line; exits with a message where it has none."""
    parser = argparse.ArgumentParser(description="One service of `tapeline demo floor`.")
    parser.add_argument("--place", required=True, metavar="JSON", help="as `demo floor` writes it")
    try:
        return _place(json.loads(parser.parse_args(arguments).place))
    except (PlaceError, json.JSONDecodeError) as error:
        parser.error(f"--place: {error}")


def _place(document: object) -> Place:
    if not isinstance(document, dict):
        raise PlaceError("is no JSON object")
    names = {each.name for each in fields(Place)}
    if set(document) != names:
        raise PlaceError(f"must have exactly {', '.join(sorted(names))}")
    paths = {"log_path": Path(document["log_path"]), "fault_path": Path(document["fault_path"])}
    tape = document["tape_path"]
    return Place(**{**document, **paths, "tape_path": None if tape is None else Path(tape)})
