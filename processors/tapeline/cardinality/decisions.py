"""What becomes of the points of a metric that are not all admitted already.

First all of them are looked at, which may find a request malformed; only then is anything decided
and remembered, so a refused request leaves nothing behind.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, NamedTuple

from tapeline.cardinality.admission import GENERATIONS_KEPT, Group
from tapeline.cardinality.config import SeriesPolicy, SummaryPolicy
from tapeline.cardinality.conflicts import Conflicts
from tapeline.cardinality.demand import Demand
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.newcomers import fold_new
from tapeline.cardinality.folding.outcome import REFUSALS, FoldOutcome
from tapeline.cardinality.folding.outputs import GaugeFold, Output, OutputIdentity, Temporality
from tapeline.cardinality.looks import UNREAD, UNREADABLE, Item, Look, Looker
from tapeline.cardinality.metric_reader import MetricView
from tapeline.cardinality.output_messages import Staying
from tapeline.cardinality.point_layout import GAUGE, NO_RECORDED_VALUE, SUM, SUMMARY, Point
from tapeline.cardinality.route import OVERFLOW_PAIRS, Action, Route, is_overflow
from tapeline.cardinality.router import Router
from tapeline.cardinality.series_keys import series_key
from tapeline.cardinality.source import Source
from tapeline.cardinality.sources import Sources
from tapeline.cardinality.tally import STAYING, Reason, Result, Tally
from tapeline.otlp.index import RecordIndex

__all__ = ["Decider", "Promoted"]

_new: Final = tuple.__new__
_OUTPUT_BIT: Final = 1 << 63


class _Way(NamedTuple):
    """Where a new stream goes: into an output (which then lacks `removed`), on, or nowhere."""

    result: str
    output: Output | None = None
    removed: tuple[bytes, ...] = ()
    reason: str = ""


_ADMITTED: Final = _Way(Result.ADMITTED)
_PASSED: Final = _Way(Result.PASSED)
_BAD: Final = _Way(FoldOutcome.MALFORMED)


@dataclass(slots=True)
class Promoted:
    """A stream that was folded and passes now: points up to its last folded one are old news."""

    last_time_unix_nano: int
    output: Output | None
    group: Group
    since: int
    seen: int


class Decider:
    """Decides on points, one metric at a time, and remembers what it must."""

    def __init__(
        self,
        sources: Sources,
        router: Router,
        demand: Demand,
        folder: Folder,
        generation: int,
    ) -> None:
        """Begin in a generation, which after a restart may be one that had begun before."""
        self._sources = sources
        self._router = router
        self._demand = demand
        self._folder = folder
        self.looker = Looker(folder)
        self.promoted: dict[int, Promoted] = {}
        self.output_groups: dict[int, Group] = {}
        self.conflicts = Conflicts()
        self._touched: set[int] = set()
        self._generation = generation

    def begin(self, generation: int, now_unix_nano: int) -> None:
        """Begin a generation."""
        self._generation = generation
        self._touched.clear()
        for key in [key for key, group in self.output_groups.items() if key not in group]:
            del self.output_groups[key]
            self._folder.evict_output(key)
        oldest = generation - GENERATIONS_KEPT
        for key, one in list(self.promoted.items()):
            if one.seen < oldest:
                del self.promoted[key]
                one.group.give_back(1)
                for producer in one.group.producers:
                    producer.raise_floor(now_unix_nano, now_unix_nano)
                self._folder.forget({key}, one.group.producers)
            elif one.since < oldest:
                del self.promoted[key]
                one.group.current.add(key)
        self.looker.must_read_times = bool(self.promoted)

    def decide(
        self, payload: bytes, index: RecordIndex, look: Look, tally: Tally, now_unix_nano: int
    ) -> Staying | None:
        """Fold, admit or drop what was looked at; return what stays, None where all does as is."""
        view, source, _, items = look
        begins = index.record_begins
        fold = self._folder.fold
        producer = source.producer
        gone: set[int] = set()
        ended: dict[int, tuple[int, str]] = {}
        results: list[str] = []
        new = _New([], [], [])
        is_flooded = self._is_flooded(source)
        waiting: list[tuple[int, bytes]] = []
        for item in items:
            record, fold_end, key, output, point, pairs = item
            removed: tuple[bytes, ...] = ()
            if output is None and is_flooded and point is UNREAD and not is_overflow(pairs):
                # What `_way` would say of a plain point, without the way to it.
                new.pairs.append(pairs)
                new.beyond.append(key)
                waiting.append((key, payload[begins[record] : fold_end]))
                gone.add(record)
                continue
            if output is None:
                if waiting:
                    # It may be of a stream among them.
                    results += self._fold_new(source, waiting, now_unix_nano)
                    waiting = []
                way = _BAD if point is UNREADABLE else self._way(source, item, new, now_unix_nano)
                output, removed = way.output, way.removed
                if output is None:
                    results.append(way.result)
                    if way.result not in STAYING:
                        gone.add(record)
                    elif point.flags & NO_RECORDED_VALUE:
                        ended[record] = (key, way.result)
                    continue
            content = payload[begins[record] : fold_end]
            results.append(fold(key, output, producer, content, now_unix_nano, removed))
            gone.add(record)
        if waiting:
            results += self._fold_new(source, waiting, now_unix_nano)
        counts = _counted(results)
        for record in _outlived(look, ended):
            counts[ended.pop(record)[1]] -= 1
            counts[FoldOutcome.NO_RECORDED_VALUE] += 1
            gone.add(record)
        self._note(source, tally, counts, new)
        self._note_demand(source, items, new)
        tally.admitted[source.metric.name] += view.stop - view.first - len(items)
        return _staying(look, gone, ended)

    def _is_flooded(self, source: Source) -> bool:
        """Say whether new series of a source, if plain, can only go into its overflow."""
        rule = source.state.rule
        return (
            source.stand_in is None
            and rule.is_plain
            and not rule.is_protected
            and rule.policy is SeriesPolicy.OVERFLOW
            and not source.group.has_room
            and not self.promoted
            and not (source.metric.kind == SUMMARY and rule.summary is SummaryPolicy.PASS)
        )

    def _fold_new(
        self, source: Source, points: Sequence[tuple[int, bytes]], now_unix_nano: int
    ) -> list[FoldOutcome]:
        output = self._overflow(source)
        return fold_new(self._folder, output, source.producer, points, now_unix_nano)

    def tell_known(
        self,
        payload: bytes,
        index: RecordIndex,
        place: tuple[MetricView, Source],
        keys: Sequence[int | None],
    ) -> None:
        """Tell demand of streams that are known, as of new ones: it forgets what goes on for long.

        Each is told once a period, if it comes as often as the others.
        """
        view, source = place
        admitted, folded = source.group.current, self._folder.streams.slots
        known = [
            record
            for record, key in enumerate(keys, view.first)
            if key is not None and (key in admitted or key in folded)
        ][: source.group.untold]
        source.group.untold -= len(known)
        pairs = self.looker.pairs_of(payload, index, view, known)
        self._demand.note_new(source.metric.name, pairs)

    def touch_outputs(self, keys: Iterable[int]) -> None:
        """Note that these outputs were written: those that count as series were seen."""
        for key in keys:
            group = self.output_groups.get(key)
            if group is not None and key not in group.current and not group.see({key}):
                group.admit(key)

    def _way(self, source: Source, item: Item, new: "_New", now_unix_nano: int) -> _Way:
        """Return where a point goes, whose stream may be known."""
        key, point, pairs = item.key, item.point, item.pairs
        group = source.group
        output = self._folder.output_of(key)
        if source.stand_in is None and output is None:
            if key in group.current:
                return _ADMITTED
            if group.older and group.see({key}):
                group.note_lead(point.time_unix_nano - now_unix_nano)
                self._touch(source, pairs)
                return _ADMITTED
            promoted = self.promoted.get(key)
            if promoted is not None:
                return self._way_of_promoted(promoted, point)
        if output is not None:
            if source.state.rule.limits_labels and key not in self._touched:
                self._touched.add(key)
                self._touch(source, pairs)
            if source.stand_in is None and self._is_promoted(source, item, point, output):
                return _ADMITTED
            of_output = output.identity.pairs
            removed = () if not point.has_exemplars else _without(pairs, of_output)
            return _Way("", output, removed)
        new.pairs.append(pairs)
        way = self._way_of_new(source, item, now_unix_nano)
        if way.result not in STAYING:
            new.note_refused(key, way.reason)
        return way

    def _touch(self, source: Source, pairs: tuple[bytes, ...]) -> None:
        view = source.resource.view
        self._router.touch(source.metric.name, view, pairs, self._generation)

    def _way_of_promoted(self, promoted: Promoted, point: Point) -> _Way:
        promoted.seen = self._generation
        if point.time_unix_nano > promoted.last_time_unix_nano:
            return _ADMITTED
        if promoted.output is not None:
            self._folder.mark_for_emission(promoted.output, point.time_unix_nano)
        return _Way(FoldOutcome.LATE)

    def _is_promoted(self, source: Source, item: Item, point: Point, output: Output) -> bool:
        """Admit a folded stream that began anew, if there is room and only that kept it out."""
        start, time = point.start_unix_nano, point.time_unix_nano
        if (
            output.identity.pairs != OVERFLOW_PAIRS
            or not source.group.has_room
            or not self._folder.may_promote(item.key, start, time)
        ):
            return False
        view = source.resource.view
        route = self._router.route(source.metric.name, view, item.pairs, self._generation)
        if route.action is not Action.PASS:
            return False
        output, last_time = self._folder.promote(item.key)
        if _is_level(source):
            # What it contributed is gone.
            self._folder.mark_for_emission(output, last_time)
        self._promote(source, item.key, last_time, output)
        return True

    def _promote(
        self, source: Source, key: int, last_time_unix_nano: int, output: Output | None
    ) -> Promoted:
        """Admit a stream that may have been folded up to a time."""
        now = self._generation
        promoted = Promoted(last_time_unix_nano, output, source.group, now, now)
        source.group.take(1)
        self.promoted[key] = promoted
        self.looker.must_read_times = True
        return promoted

    def _way_of_new(self, source: Source, item: Item, now_unix_nano: int) -> _Way:
        """Decide on a stream that is neither admitted nor folded."""
        rule = source.state.rule
        if item.point.flags & NO_RECORDED_VALUE:
            # It ends what nobody knows here: nothing is admitted for that.
            passes = rule.is_protected or (source.stand_in is None and source.group.has_room)
            return _PASSED if passes else _Way(FoldOutcome.NO_RECORDED_VALUE)
        stays_whole = source.metric.kind == SUMMARY and rule.summary is SummaryPolicy.PASS
        if source.stand_in is not None:
            stays = rule.is_protected or stays_whole
            return _PASSED if stays else self._beyond(source, item, Reason.RESOURCE_LIMIT)
        if rule.is_plain and not rule.is_protected and not is_overflow(item.pairs):
            # What the router would say, without the way to it.
            return self._way_of_unchanged(source, item, now_unix_nano, is_protected=stays_whole)
        return self._way_of_routed(source, item, now_unix_nano, stays_whole=stays_whole)

    def _way_of_routed(
        self, source: Source, item: Item, now_unix_nano: int, *, stays_whole: bool
    ) -> _Way:
        view = source.resource.view
        route = self._router.route(source.metric.name, view, item.pairs, self._generation)
        is_protected = route.is_protected or stays_whole
        if route.action is Action.DROP and not stays_whole:
            return _Way(Result.DROPPED, reason=route.reason)
        if route.action is Action.FOLD and not stays_whole:
            return self._way_of_changed(source, item, route)
        return self._way_of_unchanged(source, item, now_unix_nano, is_protected=is_protected)

    def _way_of_unchanged(
        self, source: Source, item: Item, now_unix_nano: int, *, is_protected: bool
    ) -> _Way:
        """Admit a stream that no rule on labels holds back, if there is room."""
        group = source.group
        has_room = group.has_room
        if has_room and (is_protected or self._is_certain(source, item, now_unix_nano)):
            group.note_lead(item.point.time_unix_nano - now_unix_nano)
            forgotten = source.producer.folded_up_to_unix_nano
            if not forgotten or _is_level(source):
                group.admit(item.key)
                return _ADMITTED
            promoted = self._promote(source, item.key, forgotten, None)
            return self._way_of_promoted(promoted, item.point)
        if is_protected:
            if self._sources.global_room.is_left:
                group.admit(item.key)
            return _PASSED
        if not source.state.rule.is_plain:
            self._router.undo()
        return self._beyond(source, item, Reason.UNCERTAIN if has_room else Reason.SERIES_LIMIT)

    def _way_of_changed(self, source: Source, item: Item, route: Route) -> _Way:
        """Return the way to the output that a route names, whose identity counts as a series."""
        to = source
        if route.resource is not None:
            beside = self._sources.beside(source, route.resource)
            if beside is None:
                self._router.undo()
                return _Way(Result.TOO_MANY_PRODUCERS, reason=Reason.RESOURCE_LIMIT)
            to = beside
        if to.stand_in is not None:
            to = to.stand_in
        elif route.pairs != OVERFLOW_PAIRS:
            key = self._output_key(to, route.pairs)
            if key not in to.group:
                if not to.group.has_room and not route.is_protected:
                    self._router.undo()
                    return self._beyond(source, item, Reason.SERIES_LIMIT)
                to.group.admit(key)
            self.output_groups[key] = to.group
            output = self._folder.output(key, lambda: self._new_identity(to, route.pairs))
            return _Way("", output, route.removed, route.reason)
        return _Way("", self._overflow(to), route.removed, route.reason)

    def _beyond(self, source: Source, item: Item, reason: str) -> _Way:
        """Return the way of a stream for which there is no room, by the policy of its metric."""
        if source.state.rule.policy is SeriesPolicy.DROP_SERIES:
            return _Way(Result.DROPPED, reason=reason)
        return _new(_Way, ("", self._overflow(source.stand_in or source), item.pairs, reason))

    def _overflow(self, source: Source) -> Output:
        key = source.overflow_key
        if key == 0:
            key = source.overflow_key = self._output_key(source, OVERFLOW_PAIRS)
        return self._folder.output(key, lambda: self._new_identity(source, OVERFLOW_PAIRS))

    def _new_identity(self, source: Source, pairs: tuple[bytes, ...]) -> OutputIdentity:
        identity = _identity(source, pairs)
        self.conflicts.note(identity)
        return identity

    def _output_key(self, source: Source, pairs: tuple[bytes, ...]) -> int:
        spelled = [self.looker.spellings[pair] for pair in pairs]
        arranged = source.state.orders.arrange(pairs, spelled)
        # Never the key of a stream: an input with these attributes must not pass as admitted.
        return series_key(source.attribute_tag, arranged, source.output_seed) ^ _OUTPUT_BIT

    def _is_certain(self, source: Source, item: Item, now_unix_nano: int) -> bool:
        """Whether nothing of a new stream can be in an overflow that has forgotten it.

        Passed on whole it would then count twice.
        """
        producer = source.producer
        forgotten = producer.folded_up_to_unix_nano
        if not forgotten or not producer.counts_since_start:
            return True
        start = item.point.start_unix_nano
        if start in (0, item.point.time_unix_nano):
            return False
        return start > forgotten or self._folder.is_first_seen(producer, item.key, now_unix_nano)

    def _note(self, source: Source, tally: Tally, results: Counter[str], new: "_New") -> None:
        metric = source.metric.name
        for result, count in (+results).items():
            tally.results[metric, result] += count
            if result in REFUSALS:
                source.state.refused[result] += count
        if new.beyond:
            tally.reasons[metric, Reason.SERIES_LIMIT] += len(new.beyond)
        for reason in new.reasons:
            tally.reasons[metric, reason] += 1

    def _note_demand(self, source: Source, items: Iterable[Item], new: "_New") -> None:
        """Tell demand of what is new, and of all that the limit on series keeps out now.

        A folded stream is told each time: demand forgets what it is not told of for a while.
        """
        metric = source.metric.name
        if new.pairs:
            self._demand.note_new(metric, new.pairs)
        beyond = new.beyond
        overflow = self._folder.outputs.get(source.overflow_key)
        if overflow is not None:
            beyond += [item.key for item in items if item.output is overflow]
        if beyond:
            self._demand.note_refused(metric, beyond)


class _New(NamedTuple):
    """Streams of a metric that were unknown before a batch.

    The attributes of all; the keys of those beyond the limit on series; and why others are refused.
    """

    pairs: list[tuple[bytes, ...]]
    beyond: list[int]
    reasons: list[str]

    def note_refused(self, key: int, reason: str) -> None:
        """Take a stream that does not pass."""
        if reason == Reason.SERIES_LIMIT:
            self.beyond.append(key)
        elif reason:
            self.reasons.append(reason)


def _identity(source: Source, pairs: tuple[bytes, ...]) -> OutputIdentity:
    return OutputIdentity(
        resource=source.resource.view.content,
        resource_schema_url=source.resource.schema_url,
        scope=source.scope,
        scope_schema_url=source.scope_schema_url,
        metric=source.output_metric,
        pairs=pairs,
        gauge=GaugeFold(source.state.rule.gauge),
    )


def _without(pairs: tuple[bytes, ...], kept: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple([pair for pair in pairs if pair not in kept])


def _is_level(source: Source) -> bool:
    """Whether a source's points say how much there is now, so that none can count twice."""
    metric = source.metric
    return metric.kind == GAUGE or (
        metric.kind == SUM
        and not metric.is_monotonic
        and metric.temporality == Temporality.CUMULATIVE
    )


def _counted(results: list[str]) -> Counter[str]:
    # Most often all are equal, and to hash members of an enumeration takes long.
    if results and results.count(results[0]) == len(results):
        return Counter({results[0]: len(results)})
    return Counter(results)


def _outlived(look: Look, ended: Mapping[int, tuple[int, str]]) -> list[int]:
    """Return the points that end a series too late, since it goes on in the same metric."""
    if not ended:
        return []
    last_points = look.last_points()
    return [record for record, (key, _) in ended.items() if last_points[key] > record]


def _staying(look: Look, gone: AbstractSet[int], ended: Collection[int]) -> Staying | None:
    """Return the points that stay.

    Those that end a series come last, as the collector's exporter takes no notice of what follows
    one in its metric; for that reason only the first stays there.
    """
    view = look.view
    if not gone and not ended:
        return None
    records = [record for record in range(view.first, view.stop) if record not in gone]
    last = [record for record in records if record in ended]
    if last:
        records = [record for record in records if record not in ended] + last[:1]
    if len(records) == view.stop - view.first and records == sorted(records):
        return None
    return Staying(view, records, last[1:])
