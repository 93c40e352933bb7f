"""A gate without a network: batches in, batches out, under a clock that only the test moves."""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recording.event_time import greatest_time_unix_nano
from tapeline.settings import Settings, build_chain, load_settings

__all__ = ["MAX_TICKS", "GateSession", "Refused", "WaitTooLongError"]

MAX_TICKS: Final = 100_000
"""Ticks of one advance of the clock: a day of one a second."""
_NANO: Final = 1_000_000_000
_PLUGINS: Final = "plugins"
_DERIVED_BY: Final = "tapeline-test-derived-by"
"""Metadata that marks a derived batch on its way; it is taken off where the chain ends."""


class WaitTooLongError(ValueError):
    """More ticks than one advance may make; the message says how many."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that the chain refused: its number, from 1, and why."""

    number: int
    reason: str


@dataclass(slots=True)
class _Marking:
    """Passes everything on to a processor, and marks what it derives."""

    inner: Processor
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.inner.name

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        result = self.inner.process(batch, now_unix_nano)
        kept = result.batch
        if kept is not None and kept is not batch:
            # One that was made anew stays what it was made of.
            marks = tuple(pair for pair in batch.metadata if pair[0] == _DERIVED_BY)
            kept = replace(kept, metadata=(*_unmarked(kept).metadata, *marks))
        return Result(kept, self._marked(result.derived))

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        return self._marked(self.inner.tick(now_unix_nano))

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        return self._marked(self.inner.close(now_unix_nano))

    def _marked(self, batches: Iterable[Batch]) -> tuple[Batch, ...]:
        return tuple(
            replace(batch, metadata=(*batch.metadata, (_DERIVED_BY, self.name)))
            for batch in batches
        )


def _unmarked(batch: Batch) -> Batch:
    rest = tuple(pair for pair in batch.metadata if pair[0] != _DERIVED_BY)
    return batch if rest == batch.metadata else replace(batch, metadata=rest)


class GateSession:
    """The chain of a configuration, fed by hand.

    It runs as `tapeline process` does: time is the data's own, state begins empty, keys are fixed.
    `outputs` is what of the input came out, `derived` what processors made besides.
    """

    def __init__(
        self,
        config: Path | Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        start_unix_nano: int = 0,
        folder: Path = Path(),
    ) -> None:
        """Build the chain; raises ConfigError where the configuration can't be used.

        `config` is a file, or its content; None is every default. Files that a content names are
        found from `folder`. The clock shows `start_unix_nano` until the data's times are greater.
        """
        self.registry = CollectorRegistry()
        self.now_unix_nano = start_unix_nano
        self.inputs: list[Batch] = []
        self.outputs: list[Batch] = []
        self.derived: list[Batch] = []
        self.refused: list[Refused] = []
        settings = _settings(config, environment, folder)
        self._chain = _marking_chain(settings, self.registry)
        self._is_closed = False

    def feed(self, batches: Iterable[Batch]) -> None:
        """Run batches through the chain, in order. What it refuses is in `refused`."""
        for batch in batches:
            self._check_open()
            self.inputs.append(batch)
            try:
                latest = max(self.now_unix_nano, greatest_time_unix_nano(batch))
                self._sort(self._chain.process(batch, latest))
            except MalformedRequestError as error:
                self.refused.append(Refused(len(self.inputs), str(error)))
                continue
            except Exception as error:  # noqa: BLE001 - a processor may raise anything.
                # The type alone, as everywhere: a message may quote the data.
                reason = f"the chain failed on it with {type(error).__name__}"
                self.refused.append(Refused(len(self.inputs), reason))
                continue
            if latest > self.now_unix_nano:
                self._move_to(latest)

    def advance(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass without data: the processors tick, as they do once a second when live."""
        self._check_open()
        if seconds < 0 or step_s <= 0:
            raise ValueError(f"time goes forward only: {seconds} s in steps of {step_s} s")
        steps = max(1, round(seconds / step_s))
        if steps > MAX_TICKS:
            raise WaitTooLongError(
                f"{seconds:.0f} s are {steps} ticks of {step_s} s; at most {MAX_TICKS} at once:"
                " let it pass in several parts, or in longer steps"
            )
        begin, end = self.now_unix_nano, self.now_unix_nano + round(seconds * _NANO)
        for step in range(1, steps + 1):
            self._move_to(begin + (end - begin) * step // steps)

    def close(self) -> None:
        """End the input: the processors emit what is left. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._sort(self._chain.close(self.now_unix_nano))

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("this session is closed: feed and advance it before its outcome")

    def _move_to(self, now_unix_nano: int) -> None:
        self.now_unix_nano = now_unix_nano
        self._sort(self._chain.tick(now_unix_nano))

    def _sort(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            plain = _unmarked(batch)
            (self.outputs if plain is batch else self.derived).append(plain)


def _marking_chain(settings: Settings, registry: CollectorRegistry) -> Chain:
    chain = build_chain(settings, ProcessorContext(registry, live=False))
    marking = {processor.name: _Marking(processor) for processor in chain.processors}
    from_signals = {
        signal: [marking[name] for name in _names(settings, signal)] for signal in Signal
    }
    return Chain(from_signals, max_value_bytes=settings.server.max_value_bytes)


def _names(settings: Settings, signal: Signal) -> tuple[str, ...]:
    return settings.chain.of(signal)


def _settings(
    config: Path | Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
    folder: Path,
) -> Settings:
    if isinstance(config, Path):
        return load_settings(config, environment)
    content = dict(config or {})
    if isinstance(content.get(_PLUGINS), list | tuple):
        content[_PLUGINS] = [str((folder / str(name)).resolve()) for name in content[_PLUGINS]]
    with tempfile.TemporaryDirectory(prefix="tapeline-") as temporary:
        path = Path(temporary) / "config"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        try:
            return load_settings(path, environment)
        except ConfigError as error:
            # The file and its lines are nothing that the user knows.
            place = re.compile(rf"{re.escape(str(path))}(:\d+)?")
            problems = [place.sub("config", problem) for problem in error.problems]
            raise ConfigError(problems) from error
