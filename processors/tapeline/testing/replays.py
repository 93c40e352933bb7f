"""The fixtures' objects: a recording replayed whole, or a session that a test leads by steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tapeline.pipeline.durations import parse_duration_s
from tapeline.pipeline.time_text import iso_from_unix_nano, unix_nano_from_iso
from tapeline.testing.audit import audit_of
from tapeline.testing.given import DEFAULT_START_UNIX_NANO
from tapeline.testing.golden_files import GoldenFolder
from tapeline.testing.inputs import Feed, batches_of
from tapeline.testing.outcome import Outcome
from tapeline.testing.session import GateSession

__all__ = ["Config", "Replays", "SteppedSession"]

Config: TypeAlias = str | Path | Mapping[str, Any] | None
"""A configuration's file, from the test's folder; its content; None: every default."""


@dataclass(slots=True)
class SteppedSession:
    """A chain that a test feeds, and whose clock it moves, step by step.

    Telemetry moves the clock to its own times; `advance` moves it without any.
    """

    session: GateSession
    folder: Path
    goldens: GoldenFolder | None

    @property
    def now(self) -> str:
        """What the clock shows, as `2026-01-01T00:00:00.000000000Z`."""
        return iso_from_unix_nano(self.session.now_unix_nano)

    @property
    def now_unix_nano(self) -> int:
        """What the clock shows, in nanoseconds since the epoch."""
        return self.session.now_unix_nano

    def feed(self, recording: Feed, *, allow_flaws: bool = False) -> None:
        """Run telemetry through the chain. Records written short are given now, or `at` from it."""
        start = self.session.now_unix_nano or DEFAULT_START_UNIX_NANO
        self.session.feed(
            batches_of(recording, self.folder, start_unix_nano=start, flawed=allow_flaws)
        )

    def advance(self, duration: str, every: str = "1s") -> None:
        """Let so much time pass (`10m`); the processors tick once in each `every` of it."""
        self.session.advance(parse_duration_s(duration), parse_duration_s(every))

    def outcome(self) -> Outcome:
        """End the input, and return what came of it."""
        session = self.session
        session.close()
        audit = audit_of(session.registry)
        return Outcome(session.outputs, session.derived, session.refused, audit, self.goldens)


@dataclass(frozen=True, slots=True, repr=False)
class Replays:
    """Makes sessions for one test: files are looked for in its folder."""

    folder: Path
    goldens: GoldenFolder | None

    def __repr__(self) -> str:
        # pytest shows it beside each failure.
        return f"<tapeline: files of {self.folder}>"

    def session(self, config: Config = None, start: str | int | None = None) -> SteppedSession:
        """Return a session that begins at `start` (ISO 8601, or nanoseconds since the epoch)."""
        found = self.folder / config if isinstance(config, str | Path) else config
        start_unix_nano = unix_nano_from_iso(start) if isinstance(start, str) else start or 0
        made = GateSession(found, start_unix_nano=start_unix_nano, folder=self.folder)
        return SteppedSession(made, self.folder, self.goldens)

    def replay(
        self,
        recording: Feed,
        config: Config = None,
        *,
        start: str | int | None = None,
        then: str | None = None,
        allow_refused: bool = False,
        allow_flaws: bool = False,
    ) -> Outcome:
        """Run a whole recording through the chain of a configuration.

        `start` is what the clock shows before the first record, `then` how much time passes after
        the last (`10m`). Fails where the chain refuses a batch, or a part of the recording can't
        be read, unless that is allowed.
        """
        __tracebackhide__ = True
        session = self.session(config, start)
        session.feed(recording, allow_flaws=allow_flaws)
        if then is not None:
            session.advance(then)
        outcome = session.outcome()
        if outcome.refused and not allow_refused:
            lines = "\n".join(f"  batch {one.number}: {one.reason}" for one in outcome.refused[:20])
            raise AssertionError(
                f"the chain refused {len(outcome.refused)} batches:\n{lines}\n"
                "Where that is as it should be: allow_refused=True, and look at .refused"
            )
        return outcome
