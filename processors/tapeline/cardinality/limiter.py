"""The limiter of metrics: no more series leave than the limits allow, and the sums stay right.

Pure: time is an argument, and so is the seed of the keys.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tapeline.cardinality.admission import GENERATIONS_A_TTL, Eviction, Group
from tapeline.cardinality.config import CardinalityConfig, Mode
from tapeline.cardinality.decisions import Decider
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.folding.folder import Folder, FoldOptions
from tapeline.cardinality.folding.state import dump_folder, load_folder
from tapeline.cardinality.limiter_report import nearest_metrics
from tapeline.cardinality.limiter_state import (
    dump_decider,
    dump_sources,
    load_decider,
    load_sources,
)
from tapeline.cardinality.looks import Look
from tapeline.cardinality.metric_reader import SEVERAL_KINDS, MetricView, read_metrics
from tapeline.cardinality.output_messages import Staying, encode_outputs, rewrite
from tapeline.cardinality.point_keys import key_of_one, point_keys
from tapeline.cardinality.point_layout import SUM
from tapeline.cardinality.report import MetricState, Rest
from tapeline.cardinality.router import Router
from tapeline.cardinality.rules import Rules
from tapeline.cardinality.source import Source
from tapeline.cardinality.sources import SourceLimits, Sources
from tapeline.cardinality.tally import Result, Tally
from tapeline.pipeline.batch import Batch

__all__ = ["GENERATIONS_A_TTL", "LimitedBatch", "MetricsLimiter"]

_SECOND_NANO: Final = 1_000_000_000
_Untold: TypeAlias = tuple[MetricView, Source, Sequence[int | None]]
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

    def __init__(
        self,
        config: CardinalityConfig,
        *,
        seed: int,
        worker_index: int = 0,
        worker_count: int = 1,
        state_was_lost: bool = False,
    ) -> None:
        """Begin without state. `seed` is of 64 bits; who knows it can make keys collide.

        `state_was_lost` says that there was some: what it counted must not be counted again.
        """
        self.rules = Rules(config)
        self.router = Router(self.rules, config.max_label_values)
        self.demand = Demand()
        self.global_limit = max(1, config.global_limit // worker_count)
        limits = SourceLimits(config.max_resources, config.tenant_by, self.global_limit)
        self.sources = Sources(self.rules, limits, seed)
        self.generation = 0
        self.evicted_series = 0
        self._config = config
        self._worker = [worker_index, worker_count]
        self._generation_nano = int(config.idle_ttl * _SECOND_NANO) // GENERATIONS_A_TTL
        self._first_generation = 0
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
        self._state_was_lost = state_was_lost
        self._rules_changed = False

    def process(self, batch: Batch, now_unix_nano: int) -> LimitedBatch:
        """Return what may leave of a metrics request.

        Raises MalformedRequestError where it does not parse; nothing of it is remembered then.
        """
        now_unix_nano = max(now_unix_nano, self._last_unix_nano)
        decider, folder = self._begin(now_unix_nano)
        folder.rotate(self.generation, now_unix_nano)
        payload, index = batch.payload, batch.index
        tally = Tally()
        looks, kept, untold = self._look(decider, batch, tally, now_unix_nano)
        for view, source, keys in untold:
            decider.tell_known(payload, index, (view, source), keys)
        for look in looks:
            staying = decider.decide(payload, index, look, tally, now_unix_nano)
            if staying is not None:
                kept.append(staying)
        emitted = folder.emissions()
        decider.touch_outputs([output.key for output, _ in emitted])
        if self._config.mode is Mode.OBSERVE or not (kept or emitted):
            return LimitedBatch(batch, tally, len(emitted))
        changed = rewrite(payload, index, kept) + encode_outputs(emitted)
        return LimitedBatch(batch.with_payload(changed), tally, len(emitted))

    def _begin(self, now_unix_nano: int) -> tuple[Decider, Folder]:
        """Let time pass."""
        folder, decider = self._folder, self._decider
        if folder is None or decider is None:
            folder = Folder(self._options, now_unix_nano, state_was_lost=self._state_was_lost)
            decider = self._start(folder)
        if self._rules_changed:
            self._rules_changed = False
            self._distrust(folder, now_unix_nano)
        generation = now_unix_nano // self._generation_nano + self._first_generation
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

    def _start(self, folder: Folder) -> Decider:
        self._folder = self.sources.folder = folder
        self._decider = Decider(self.sources, self.router, self.demand, folder, self.generation)
        return self._decider

    def _distrust(self, folder: Folder, now_unix_nano: int) -> None:
        """Take all streams for counted so far: other rules may fold what was admitted."""
        leads = (group.lead_nano for group in self.sources.admission.groups.values())
        newest_unix_nano = self._last_unix_nano + max(leads, default=0)
        for source in self.sources.by_key.values():
            for producer in source.producers:
                producer.raise_floor(newest_unix_nano, now_unix_nano)
        folder.start_outputs_after(now_unix_nano)

    def dump(self, *, with_totals: bool = True) -> dict[str, Any]:
        """Return the state as numbers, texts, bytes, lists and dictionaries.

        Totals, and what belongs to them, take most of the time, and only a clean end needs them.
        """
        folder = self._folder if with_totals else None
        decider = self._decider if with_totals else None
        return {
            "seed": self.sources.seed,
            "worker": self._worker,
            "mode": self._config.mode.value,
            "tenant_by": self._config.tenant_by,
            "rules": _fingerprint(self._config),
            "generation": self.generation,
            "last": self._last_unix_nano,
            "sources": dump_sources(self.sources, with_producers=with_totals),
            "values": self.router.dump(),
            "was_lost": self._state_was_lost,
            "folder": None if folder is None else dump_folder(folder),
            "decider": None if decider is None else dump_decider(decider),
        }

    def load(self, data: dict[str, Any], *, is_clean: bool) -> None:
        """Take over what `dump` returned, before the first batch.

        Totals only where nothing was counted since (`is_clean`) and the same points will come as
        before; otherwise all streams are folded anew, from a new epoch, and none of them counts
        what it may have counted. Raises ValueError, KeyError, TypeError or IndexError for data
        that no limiter dumped; the limiter is of no use then.
        """
        has_totals = (
            is_clean
            and data["folder"] is not None
            and data["worker"] == self._worker
            and data["mode"] == self._config.mode.value
        )
        self.sources.seed = data["seed"]
        self.generation = self.sources.admission.generation = data["generation"]
        self._last_unix_nano = data["last"]
        # They may have been longer or shorter: go on counting from where the state ends.
        self._first_generation = self.generation - data["last"] // self._generation_nano
        # Without a folder nothing was counted since the state before that.
        has_nothing = is_clean and data["folder"] is None
        self._state_was_lost = data["was_lost"] if has_nothing else not has_totals
        rules_changed = data["rules"] != _fingerprint(self._config)
        self._rules_changed = has_totals and rules_changed
        self.router.load(data["values"])
        keeps_groups = data["tenant_by"] == self._config.tenant_by

        def stays_admitted(metric: str) -> bool:
            # Other rules on labels may rewrite it, or make its identity that of an output.
            return keeps_groups and not (
                rules_changed and not self.rules.for_metric(metric).is_plain
            )

        if not has_totals:
            load_sources(
                self.sources,
                data["sources"],
                with_series=stays_admitted,
                with_producers=False,
            )
            return
        # A folder makes producers, and a loaded one needs them: so an empty one comes first.
        self.sources.folder = Folder(self._options, self._last_unix_nano)
        gone = load_sources(
            self.sources,
            data["sources"],
            with_series=stays_admitted,
            with_producers=True,
        )
        folder = load_folder(data["folder"], self._options, self.sources.producer_of)
        producers = [one for source in self.sources.by_key.values() for one in source.producers]
        for keys in gone:
            folder.forget(keys, producers)
        load_decider(self._start(folder), folder, self.sources, data["decider"])

    def _evict(self, eviction: Eviction, now_unix_nano: int) -> None:
        self.evicted_series += eviction.count
        self.sources.metric_state(eviction.group.metric).evictions += eviction.count
        producers = eviction.group.producers
        for producer in producers:
            producer.raise_floor(eviction.until_unix_nano, now_unix_nano)
        self.sources.folder.forget(eviction.keys, producers)

    def _catch_up(self, group: Group, now_unix_nano: int) -> None:
        for eviction in self.sources.admission.catch_up(group):
            self._evict(eviction, now_unix_nano)

    def _look(
        self, decider: Decider, batch: Batch, tally: Tally, now_unix_nano: int
    ) -> tuple[list[Look], list[Staying], list[_Untold]]:
        """Pass what is admitted; return what is not, and the metrics that are refused whole.

        Also those that demand may have forgotten, with the keys of their points.
        """
        sources, looker = self.sources, decider.looker
        payload, index = batch.payload, batch.index
        warmup_ns = self._options.warmup_ns
        begins, ends = index.record_begins, index.record_ends
        looks: list[Look] = []
        refused: list[Staying] = []
        untold: list[_Untold] = []
        request = read_metrics(payload, index)
        scopes = sources.scopes_of(request, self.generation, now_unix_nano)
        admitted = tally.admitted
        for view in request.metrics:
            scope = scopes[view.scope]
            source = None if view.kind == SEVERAL_KINDS else sources.source_of(scope, view)
            if source is None:
                result = _REFUSAL_OF_KIND.get(view.kind, Result.TOO_MANY_PRODUCERS)
                tally.results["", result] += view.stop - view.first
                refused.append(Staying(view, ()))
                continue
            source.producer.see(now_unix_nano, warmup_ns)
            group = source.group
            if group.generation != self.generation:
                self._catch_up(group, now_unix_nano)
            _, _, kind, first, stop, _ = view
            is_known = source.stand_in is None
            if is_known and stop - first == 1 and kind <= SUM:
                # Scraped metrics come so: what follows is slower where there is but one point.
                key = key_of_one(payload, begins[first], ends[first], source.key)
                if key in group.current and not group.untold:
                    admitted[source.metric.name] += 1
                    continue
            keys = point_keys(payload, begins[first:stop], ends[first:stop], kind, source.key)
            if group.untold:
                untold.append((view, source, keys.keys))
            if is_known and group.current.issuperset(keys.keys):
                admitted[source.metric.name] += stop - first
                continue
            look = looker.look(payload, index, (view, source), keys, now_unix_nano)
            if look is None:
                admitted[source.metric.name] += stop - first
            else:
                looks.append(look)
        return looks, refused, untold

    @property
    def folded_streams(self) -> int:
        """Streams beyond limits whose last value is remembered."""
        return 0 if self._folder is None else len(self._folder)

    @property
    def evicted_streams(self) -> int:
        """Folded streams that were forgotten so far."""
        return 0 if self._folder is None else self._folder.evictions

    @property
    def evicted(self) -> Counter[str]:
        """What was forgotten so far, by kind."""
        folder = self._folder
        return Counter(
            series=self.evicted_series,
            folded_stream=self.evicted_streams,
            output=0 if folder is None else folder.evicted_outputs,
            label_value=self.router.evicted,
            producer=self.sources.evicted_producers,
            resource=self.sources.evicted_resources,
        )

    @property
    def bound_hits(self) -> Counter[str]:
        """What found no room in a bounded table so far, by table."""
        return self.sources.bound_hits + Counter(
            folded_streams=0 if self._folder is None else self._folder.evictions_for_room,
            label_values=self.router.bound_hits,
            demand_metrics=self.demand.streams_not_watched,
            demand_labels=self.demand.values_not_watched,
        )

    @property
    def conflicts(self) -> int:
        """Outputs that collide with another one in Prometheus."""
        return 0 if self._decider is None else self._decider.conflicts.count

    @property
    def output_count(self) -> int:
        """Series that Tapeline writes itself."""
        return 0 if self._folder is None else self._folder.output_count

    @property
    def state_bytes(self) -> int:
        """About what the state holds in memory."""
        folded = 0 if self._folder is None else self._folder.state_bytes()
        return folded + self.sources.state_bytes + self.demand.size_bytes

    def metric_states(self) -> list[MetricState]:
        """Return what is known of each metric."""
        return self.nearest_metrics(len(self.sources.metrics))[0]

    def nearest_metrics(self, most: int) -> tuple[list[MetricState], Rest]:
        """Return what is known of so many metrics, the nearest to their limits, and of the rest."""
        return nearest_metrics((self.sources, self.router, self._folder, self.demand), most)


def _fingerprint(config: CardinalityConfig) -> str:
    """Return what tells a configuration from others that limit metrics differently."""
    return config.model_dump_json(exclude={"state", "snapshot_period", "logs", "traces", "mode"})
