"""A function or class of the kit as a step of the chain."""

import functools
import inspect
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from tapeline.kit.core import Failure, ProcessorFailedError, failure_of, run
from tapeline.kit.derived import Derive, DerivedSeries, Note
from tapeline.kit.metrics import metrics_on
from tapeline.kit.sections import Common
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext

__all__ = ["KitProcessor", "Making"]

logger = logging.getLogger(__name__)

REMEMBERED_REQUESTS: Final = 4096
"""Requests with counts that are known when they come again: more than a queue has under way."""
MAX_SAID: Final = 100
"""Places of failures that are logged, each once; the counters have the rest."""


@dataclass(frozen=True, slots=True)
class Making:
    """What a processor is made of: a function, or a class, with its settings as arguments."""

    name: str
    signals: frozenset[Signal]
    containing: tuple[bytes, ...]
    definition: Callable[..., Any]
    arguments: tuple[Any, ...]


class KitProcessor:
    """Calls what the user wrote for each record, and does what its failure policy says."""

    def __init__(self, making: Making, section: Common, context: ProcessorContext) -> None:
        """Make the user's class, where it is one; raises what that raises."""
        self._making = making
        self._section = section
        self._is_live = context.live
        self._metrics = metrics_on(context.registry)
        self._metrics.begin(making.name)
        self._series = DerivedSeries(making.name, section.max_series, str(context.worker_index))
        self._counted: OrderedDict[bytes, None] = OrderedDict()
        self._said: set[Failure] = set()
        self._object: Any = None
        if isinstance(making.definition, type):
            self._object = making.definition(*making.arguments)
            self._step: Callable[[Any], object] = self._object.process
        else:
            self._step = _with_settings(making.definition, making.arguments)

    @property
    def name(self) -> str:
        """The name that the definition gives."""
        return self._making.name

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Call the function for each record.

        Raises ProcessorFailedError where it fails and the policy is to refuse, and
        MalformedRequestError where a record does not parse.
        """
        if batch.signal not in self._making.signals:
            return Result(batch)
        policy = self._section.on_failure
        began_s = time.perf_counter()
        outcome = run(
            batch,
            self._step,
            now_unix_nano,
            on_failure=policy,
            containing=self._making.containing,
        )
        self._metrics.count(self.name, outcome, policy, time.perf_counter() - began_s)
        for failure in outcome.failures:
            self._say(failure, f"on_failure: {policy}")
        if outcome.refused:
            failure = next(iter(outcome.failures))
            raise ProcessorFailedError(f"{self.name} failed with {failure.error}, {failure.place}")
        derived = self._derived(
            outcome.notes, now_unix_nano, again=self._comes_again(batch, outcome.notes)
        )
        # A request without records has no way to go on.
        return Result(outcome.batch if outcome.batch.payload else None, derived)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Call the class's `tick`, where it has one."""
        return self._call("tick", now_unix_nano)

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Call the class's `close`, where it has one."""
        return self._call("close", now_unix_nano)

    def take_over(self, predecessor: Processor) -> None:
        """Go on counting where the one of before a reload stopped, and hand the class its state.

        That takes a method `take_over(predecessor)`, which gets the former object of the class.
        """
        if not isinstance(predecessor, KitProcessor):
            return
        self._series = predecessor._series  # noqa: SLF001 - of its own kind
        self._series.max_series = self._section.max_series
        self._counted = predecessor._counted  # noqa: SLF001 - as above
        take_over = getattr(self._object, "take_over", None)
        if take_over is not None and predecessor._object is not None:  # noqa: SLF001 - as above
            try:
                take_over(predecessor._object)  # noqa: SLF001 - as above
            except Exception as error:  # noqa: BLE001 - the old chain is closed: there is no way back.
                self._say(failure_of(error, take_over), "it begins without its state")

    def _call(self, occasion: str, now_unix_nano: int) -> Sequence[Batch]:
        method = getattr(self._object, occasion, None)
        if method is None:
            return ()
        derive = Derive()
        try:
            method(now_unix_nano, derive)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - others' emissions must come.
            self._metrics.count_tick(self.name, failed=True)
            self._say(failure_of(error, method), f"its {occasion} derived nothing")
            return ()
        self._metrics.count_tick(self.name, failed=False)
        return self._derived(derive.notes, now_unix_nano, again=False)

    def _derived(self, notes: list[Note], now_unix_nano: int, *, again: bool) -> tuple[Batch, ...]:
        if not notes:
            return ()
        left_out = self._series.left_out
        payload = self._series.take(notes, now_unix_nano, again=again)
        self._metrics.count_derived(self.name, len(notes), self._series.left_out - left_out)
        return (Batch(Signal.METRICS, payload),) if payload else ()

    def _comes_again(self, batch: Batch, notes: list[Note]) -> bool:
        """Tell whether a request was counted before: what was not acknowledged is sent again."""
        if not notes or not self._is_live:
            return False
        digest = xxhash.xxh3_128_digest(batch.payload)
        if digest in self._counted:
            return True
        self._counted[digest] = None
        if len(self._counted) > REMEMBERED_REQUESTS:
            self._counted.popitem(last=False)
        return False

    def _say(self, failure: Failure, consequence: str) -> None:
        if failure in self._said or len(self._said) >= MAX_SAID:
            return
        self._said.add(failure)
        logger.error(
            "the processor %r failed with %s at %s (%s; said once, the counts are in"
            " tapeline_kit_records_failed_total and tapeline_kit_ticks_failed_total)",
            self.name,
            failure.error,
            failure.place,
            consequence,
        )


def _with_settings(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Callable[[Any], object]:
    if not arguments:
        return function
    second = tuple(inspect.signature(function).parameters)[1]
    return functools.partial(function, **{second: arguments[0]})
