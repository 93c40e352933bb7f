"""The limiter of metrics: no more series leave than the limits allow, and the sums stay right.

Pure: time is an argument, and so is the seed of the keys.
"""

from dataclasses import dataclass
from typing import Final

from tapeline.cardinality.admission import Eviction
from tapeline.cardinality.config import CardinalityConfig, Mode
from tapeline.cardinality.decisions import Decider, DeciderOptions
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.folding.folder import Folder, FoldOptions
from tapeline.cardinality.looks import Look
from tapeline.cardinality.metric_reader import SEVERAL_KINDS, read_metrics
from tapeline.cardinality.output_messages import Staying, encode_outputs, rewrite
from tapeline.cardinality.point_keys import point_keys
from tapeline.cardinality.router import Router
from tapeline.cardinality.rules import Rules
from tapeline.cardinality.sources import SourceLimits, Sources
from tapeline.cardinality.tally import Result, Tally
from tapeline.pipeline.batch import Batch

__all__ = ["GENERATIONS_A_TTL", "LimitedBatch", "MetricsLimiter"]

GENERATIONS_A_TTL: Final = 4
_SECOND_NANO: Final = 1_000_000_000
_REFUSAL_OF_KIND: Final = {SEVERAL_KINDS: Result.SEVERAL_KINDS}


@dataclass(frozen=True, slots=True)
class LimitedBatch:
    """A batch as it may leave, the same object if nothing changed, and what became of its points.

    `output_points` is how many points Tapeline wrote itself.
    """

    batch: Batch
    tally: Tally
    output_points: int


class MetricsLimiter:
    """Holds metrics to the limits of a configuration."""

    def __init__(self, config: CardinalityConfig, *, seed: int, worker_count: int = 1) -> None:
        """Begin without state. `seed` is of 64 bits; who knows it can make keys collide."""
        self.rules = Rules(config)
        self.router = Router(self.rules, config.max_label_values)
        self.demand = Demand()
        self.sources = Sources(
            self.rules,
            SourceLimits(
                max_resources=config.max_resources,
                tenant_by=config.tenant_by,
                global_limit=max(1, config.global_limit // worker_count),
            ),
            seed,
        )
        self.generation = 0
        self.evicted_series = 0
        self._observes = config.mode is Mode.OBSERVE
        self._generation_nano = int(config.idle_ttl * _SECOND_NANO) // GENERATIONS_A_TTL
        self._options = FoldOptions(
            strict=config.strict,
            warmup_ns=int(config.warmup * _SECOND_NANO),
            max_folded_streams=config.max_folded_streams,
            max_ahead_ns=int(config.future_tolerance * _SECOND_NANO),
            contributor_ns=int(config.gauge_window * _SECOND_NANO),
        )
        self._folder: Folder | None = None
        self._decider: Decider | None = None
        self._last_unix_nano = 0

    def process(self, batch: Batch, now_unix_nano: int) -> LimitedBatch:
        """Return what may leave of a metrics request.

        Raises MalformedRequestError where it does not parse; nothing of it is remembered then.
        """
        now_unix_nano = max(now_unix_nano, self._last_unix_nano)
        decider, folder = self._begin(now_unix_nano)
        payload, index = batch.payload, batch.index
        tally = Tally()
        looks, kept = self._look(decider, batch, tally, now_unix_nano)
        for look in looks:
            staying = decider.decide(payload, index, look, tally, now_unix_nano)
            if staying is not None:
                kept.append(staying)
        emitted = folder.emissions()
        decider.touch_outputs([output.key for output, _ in emitted])
        folder.rotate(self.generation, now_unix_nano)
        if self._observes or not (kept or emitted):
            return LimitedBatch(batch, tally, len(emitted))
        changed = rewrite(payload, index, kept) + encode_outputs(emitted)
        return LimitedBatch(batch.with_payload(changed), tally, len(emitted))

    def _begin(self, now_unix_nano: int) -> tuple[Decider, Folder]:
        """Let time pass."""
        folder, decider = self._folder, self._decider
        if folder is None or decider is None:
            folder = self._folder = Folder(self._options, now_unix_nano)
            self.sources.folder = folder
            decider = self._decider = Decider(
                self.sources,
                self.router,
                self.demand,
                folder,
                DeciderOptions(self._options.warmup_ns, self._options.strict),
            )
        generation = now_unix_nano // self._generation_nano
        if generation > self.generation:
            self.sources.admission.begin(generation, self._last_unix_nano)
            self.sources.remove_idle(generation)
            decider.begin(generation, now_unix_nano)
            if generation // GENERATIONS_A_TTL != self.generation // GENERATIONS_A_TTL:
                self.demand.rotate()
            self.generation = generation
        self._last_unix_nano = now_unix_nano
        for eviction in self.sources.admission.step():
            self._evict(eviction, now_unix_nano)
        return decider, folder

    def _evict(self, eviction: Eviction, now_unix_nano: int) -> None:
        self.evicted_series += eviction.count
        for producer in eviction.group.producers:
            producer.raise_floor(eviction.until_unix_nano, now_unix_nano)

    def _look(
        self, decider: Decider, batch: Batch, tally: Tally, now_unix_nano: int
    ) -> tuple[list[Look], list[Staying]]:
        """Pass what is admitted; return what is not, and the metrics that are refused whole."""
        sources, looker = self.sources, decider.looker
        payload, index = batch.payload, batch.index
        warmup_ns = self._options.warmup_ns
        begins, ends = index.record_begins, index.record_ends
        looks: list[Look] = []
        refused: list[Staying] = []
        request = read_metrics(payload, index)
        scopes = sources.scopes_of(request, self.generation, now_unix_nano)
        for view in request.metrics:
            source = None
            if view.kind != SEVERAL_KINDS:
                source = sources.source_of(scopes[view.scope], view)
            if source is None:
                result = _REFUSAL_OF_KIND.get(view.kind, Result.TOO_MANY_PRODUCERS)
                tally.results["", result] += view.stop - view.first
                refused.append(Staying(view, ()))
                continue
            source.producer.see(now_unix_nano, warmup_ns)
            group = source.group
            if group.generation != self.generation:
                for eviction in sources.admission.catch_up(group):
                    self._evict(eviction, now_unix_nano)
            first, stop = view.first, view.stop
            keys = point_keys(payload, begins[first:stop], ends[first:stop], view.kind, source.key)
            if source.stand_in is None and group.current.issuperset(keys.keys):
                tally.admitted[source.metric.name] += stop - first
                continue
            look = looker.look(payload, index, (view, source), keys, now_unix_nano)
            if look is None:
                tally.admitted[source.metric.name] += stop - first
            else:
                looks.append(look)
        return looks, refused
