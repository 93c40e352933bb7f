"""Nothing is counted twice: batches that come again, streams that are forgotten, restarts.

Every life of a stream (from one start to the next) counts in bits of its own, so that what an
output shows says of each life how much it took.
"""

import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from metric_requests import OVERFLOW, Series, at, batch_of, counted, labels_of
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.snapshot_format import decode, encode
from tapeline.pipeline.batch import Batch

_DELTA, _CUMULATIVE = 1, 2
# What all lives of a run may take of a 64-bit integer.
_ALL_BITS: Final = 62
# Enough to count every life three times over without reaching the next one.
_BITS: Final = {_CUMULATIVE: 6, _DELTA: 2}
_MOST: Final = {_CUMULATIVE: 20, _DELTA: 1}
_STEPS: Final = 40
# A producer's start, long before anything is seen of it.
_PROCESS_START: Final = -500.0

Labels = frozenset[tuple[str, str]]


@dataclass
class Life:
    """What a stream counts from one start to the next; of a delta stream, one point."""

    stream: str
    temporality: int
    start: float
    shift: int
    value: int = 0
    sent: int = 0

    def of(self, total: int) -> int:
        """Return how much of a total is of this life."""
        return (total >> self.shift) & ((1 << _BITS[self.temporality]) - 1)


@dataclass
class Plan:
    """What a run may do."""

    strict: bool = True
    evictions: bool = True
    unclean: bool = True
    old_starts: bool = True
    resources: int = 1


class Emitters:
    """Streams that count, begin anew, and are silent for long."""

    def __init__(self, choices: random.Random, plan: Plan) -> None:
        self.lives: list[Life] = []
        self._choices = choices
        self._plan = plan
        self._bits = 0
        self._silent_until: dict[str, float] = {}
        self._last_sent: dict[str, float] = {}
        self._current: dict[str, Life] = {}
        kinds = choices.choice([[_CUMULATIVE], [_CUMULATIVE], [_DELTA], [_CUMULATIVE, _DELTA]])
        self._temporality = {name: choices.choice(kinds) for name in "abcde"}
        self._resource = {name: choices.randrange(plan.resources) for name in "abcde"}

    def batch(self, now: float) -> Batch:
        """Return what all streams that are not silent have to say."""
        points: dict[tuple[int, int], list[Any]] = defaultdict(list)
        if self._plan.resources > 1 and self._choices.random() < 0.1:
            gone = self._choices.randrange(self._plan.resources)
            for name in [name for name, of in self._resource.items() if of == gone]:
                self._silent_until[name] = now + 90
        for name, temporality in self._temporality.items():
            if self._silent_until.get(name, 0) > now:
                continue
            if self._plan.evictions and self._choices.random() < 0.1:
                self._silent_until[name] = now + self._choices.choice([20, 90, 200])
            life = self._life(name, temporality, now)
            if life is None or self._choices.random() < 0.4:
                continue
            room = _MOST[temporality] - life.value
            life.value += min(room, self._choices.randint(1, 4))
            life.sent = life.value
            time = now - 0.25
            self._last_sent[name] = time
            value = life.value << life.shift
            place = self._resource[name], temporality
            points[place].append(counted({"user": name}, value, time, life.start))
        return batch_of(
            *(
                Series("fills", of, resource=_resource(number), temporality=kind)
                for (number, kind), of in points.items()
            )
        )

    def _life(self, name: str, temporality: int, now: float) -> Life | None:
        life = self._current.get(name)
        last = self._last_sent.get(name)
        if temporality == _DELTA:
            start = now - 0.5 if last is None else last
        elif life is None:
            is_old = self._plan.old_starts and self._choices.random() < 0.5
            start = _PROCESS_START if is_old else now - 0.5
        elif self._choices.random() < 0.1 and last is not None:
            start = now - self._choices.choice([0.5, 0.75])
        else:
            return life
        if self._bits + _BITS[temporality] > _ALL_BITS:
            return None if temporality == _DELTA else life
        life = Life(name, temporality, start, self._bits)
        self._bits += _BITS[temporality]
        self._current[name] = life
        self.lives.append(life)
        return life


def _resource(number: int) -> dict[str, str]:
    return {"service.name": "fills", "service.instance.id": str(number)}


@dataclass
class Backend:
    """What arrives: the newest value of each life, and the totals of all outputs."""

    lives: list[Life]
    passed: dict[int, int] = field(default_factory=dict)
    totals: dict[tuple[Labels, int], tuple[int, int]] = field(default_factory=dict)
    newest: dict[Labels, int] = field(default_factory=dict)
    counted_before: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, batch: Batch, *, is_delivered: bool) -> None:
        message: Any = batch.request
        for around in message.resource_metrics:
            for metric in around.scope_metrics[0].metrics:
                for point in metric.sum.data_points:
                    labels = labels_of(point)
                    # Of an output beyond `max_resources`, nothing but the service's name.
                    of = labels | labels_of(around.resource)
                    if labels <= {("user", name) for name in "abcde"} and labels:
                        if is_delivered:
                            self._take_passed(point)
                    else:
                        self._take_output(of, point)

    def _take_passed(self, point: Any) -> None:
        for life in self.lives:
            self.passed[life.shift] = max(self.passed.get(life.shift, 0), life.of(point.as_int))

    def _take_output(self, labels: Labels, point: Any) -> None:
        start, time = point.start_time_unix_nano, point.time_unix_nano
        assert time > max(start, self.newest.get(labels, 0))
        last = self.totals.get((labels, start))
        if last is None:
            assert start >= self.newest.get(labels, 0)
        else:
            assert point.as_int >= last[1]
        self.totals[labels, start] = (time, point.as_int)
        self.newest[labels] = time

    def begin_epoch(self) -> None:
        """Take note that totals were lost.

        A stream whose part stands in a former total may pass now, for who was admitted may be
        forgotten too; no backend takes a series' first value for an increase.
        """
        total = self._total()
        for life in self.lives:
            self.counted_before[life.shift] += life.of(total)
        self.totals.clear()

    def _total(self) -> int:
        return sum(total for _, total in self.totals.values())

    def counts(self, life: Life) -> tuple[int, int]:
        """Return how much of a life is in outputs of all epochs; in this one's and passed."""
        own = life.of(self._total())
        return own + self.counted_before[life.shift], own + self.passed.get(life.shift, 0)


class Run:
    """A limiter between a queue that delivers at least once, and a backend that may fail."""

    def __init__(self, seed: int, plan: Plan) -> None:
        choices = random.Random(seed)  # noqa: S311 - a test's choices
        self.choices, self.plan = choices, plan
        self.config = _config(choices, plan)
        self.limiter = MetricsLimiter(self.config, seed=1)
        self.emitters = Emitters(choices, plan)
        self.backend = Backend(self.emitters.lives)
        self.snapshot: bytes | None = None
        self.now = 0.0
        self.recent: deque[Batch] = deque(maxlen=4)

    def go(self) -> None:
        self.send(batch_of())
        for _ in range(_STEPS):
            self.step()
            for life in self.emitters.lives:
                assert max(self.backend.counts(life)) <= life.sent

    def step(self) -> None:
        choices = self.choices
        self.now += choices.choice([1, 5, 10] if self.plan.evictions else [1, 2])
        self.restart()
        batch = self.emitters.batch(self.now)
        if self.recent and choices.random() < 0.25:
            self.send(choices.choice(self.recent))
        self.recent.append(batch)
        # A failed batch is sent again before the next.
        while not self.send(batch):
            self.now += choices.choice([0, 1])
        if choices.random() < 0.15:
            self.send(choices.choice(self.recent))

    def send(self, batch: Batch) -> bool:
        limited = self.limiter.process(batch, at(self.now))
        is_delivered = self.choices.random() < 0.7
        self.backend.take(limited.batch, is_delivered=is_delivered)
        return is_delivered

    def restart(self) -> None:
        choice = self.choices.random()
        if choice < 0.1:
            self.snapshot = self.dumped(with_totals=False)
        elif choice < 0.15:
            dumped = self.dumped()
            self.limiter = MetricsLimiter(self.config, seed=2)
            self.load(dumped, is_clean=True)
        elif choice < 0.2 and self.plan.unclean:
            self.limiter = MetricsLimiter(self.config, seed=3, state_was_lost=True)
            if self.snapshot is not None:
                self.load(self.snapshot, is_clean=False)
            self.backend.begin_epoch()

    def dumped(self, *, with_totals: bool = True) -> bytes:
        data: Any = self.limiter.dump(with_totals=with_totals)
        return encode(data, 1)

    def load(self, snapshot: bytes, *, is_clean: bool) -> None:
        data: Any = decode(snapshot, 1)
        self.limiter.load(data, is_clean=is_clean)


def _config(choices: random.Random, plan: Plan) -> CardinalityConfig:
    labels = {"user": {"limit": choices.choice([1, 2]), "policy": "replace_value"}}
    return CardinalityConfig.model_validate(
        {
            "strict": plan.strict,
            "default_limit": choices.choice([1, 2, 3]),
            "max_resources": choices.randint(1, plan.resources),
            "max_folded_streams": choices.choice([1, 2, 3, 99]) if plan.evictions else 99,
            "idle_ttl": "60s",
            "warmup": choices.choice(["0s", "5s", "30s"]),
            "metrics": [{"match": "fills", "labels": labels}] if choices.random() < 0.4 else [],
        }
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_strict_never_counts_a_life_twice(seed: int) -> None:
    """Whatever comes again, is forgotten or is lost: no more of a life leaves than it counted."""
    Run(seed, Plan()).go()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_life_is_counted_twice_without_strict_either(seed: int) -> None:
    """Also where older starts are believed, as long as every stop is clean."""
    Run(seed, Plan(strict=False, unclean=False)).go()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_no_life_is_counted_twice_where_resources_lose_and_find_their_places(
    seed: int,
    strict: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whether it is folded under its own name or under one that stands for many."""
    Run(seed, Plan(strict=strict, unclean=strict, resources=3)).go()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_all_of_a_life_is_counted_where_nothing_is_forgotten(
    seed: int,
    strict: bool,  # noqa: FBT001 - drawn
) -> None:
    """Every batch arrives at least once, and every stop is clean: equal to the unit."""
    plan = Plan(strict=strict, evictions=False, unclean=False, old_starts=False)
    run = Run(seed, plan)
    run.go()

    assert run.emitters.lives
    for life in run.emitters.lives:
        assert run.backend.counts(life)[1] == life.sent


def _restarted(limiter: MetricsLimiter, config: CardinalityConfig) -> MetricsLimiter:
    data: Any = limiter.dump()
    decoded: Any = decode(encode(data, 1), 1)
    after = MetricsLimiter(config, seed=9)
    after.load(decoded, is_clean=True)
    return after


def _total(limiter: MetricsLimiter, now: float, *points: Any) -> int:
    """Return what all series show after a batch."""
    left: Any = limiter.process(batch_of(Series("fills", points)), at(now)).batch.request
    return sum(
        point.as_int
        for around in left.resource_metrics
        for point in around.scope_metrics[0].metrics[0].sum.data_points
    )


def test_folded_streams_of_a_resource_that_is_idle_survive_a_restart() -> None:
    """The resource is forgotten, but not what it has counted."""
    config = CardinalityConfig.model_validate({"default_limit": 0, "idle_ttl": "60s"})
    limiter = MetricsLimiter(config, seed=1)
    _total(limiter, 0)
    _total(limiter, 10, counted({"user": "a"}, 5, 10, 5))
    other = Series("fills", [], resource={"service.name": "other"})
    limiter.process(batch_of(other), at(1000))
    assert limiter.evicted["resource"] == 1

    limiter = _restarted(_restarted(limiter, config), config)

    assert _total(limiter, 1001, counted({"user": "a"}, 7, 1001, 5)) == 7


def test_old_points_of_a_promoted_stream_stay_away_after_a_restart() -> None:
    """Also when the generation in which it was promoted is over."""
    config = CardinalityConfig.model_validate({"default_limit": 1, "idle_ttl": "60s"})
    limiter = MetricsLimiter(config, seed=1)
    _total(limiter, 0)
    _total(limiter, 1, counted({"user": "a"}, 1, 1, 0.5), counted({"user": "b"}, 20, 1, 0.5))
    for now in range(10, 130, 10):
        _total(limiter, now, counted({"user": "b"}, 20, now, 0.5))
    assert _total(limiter, 130, counted({"user": "b"}, 3, 130, 129)) == 3
    limiter = _restarted(limiter, config)
    _total(limiter, 131, counted({"user": "b"}, 4, 131, 129))

    assert _total(limiter, 150, counted({"user": "b"}, 18, 100, 0.5)) == 20
    assert _total(limiter, 151, counted({"user": "b"}, 5, 151, 129)) == 5


def test_series_that_a_new_rule_folds_are_known_when_they_come_back() -> None:
    """They have passed with all they counted, so their old start is not believed."""
    config = CardinalityConfig.model_validate({"default_limit": 1})
    limiter = MetricsLimiter(config, seed=1)
    _total(limiter, 0)
    assert _total(limiter, 1, counted({"user": "a"}, 5, 1, 0.5)) == 5
    rule = {"match": "fills", "labels": {"user": {"limit": 0, "policy": "drop_label"}}}
    config = CardinalityConfig.model_validate({"metrics": [rule]})

    limiter = _restarted(limiter, config)

    for now in range(10, 200, 10):
        _total(limiter, now, counted({"user": "z"}, 1, now, 9))
    assert _total(limiter, 200, counted({"user": "a"}, 6, 200, 0.5)) == 0
    assert _total(limiter, 201, counted({"user": "b"}, 4, 201, 0.5)) == 4


def _sent(limiter: MetricsLimiter, now: float, instance: str, *points: Any) -> dict[Any, int]:
    """Return what each series shows after a batch of one resource, by its resource and labels."""
    resource = {"service.name": "desk", "service.instance.id": instance}
    batch = batch_of(Series("fills", points, resource=resource))
    left: Any = limiter.process(batch, at(now)).batch.request
    return {
        (len(around.resource.attributes), labels_of(point)): point.as_int
        for around in left.resource_metrics
        for point in around.scope_metrics[0].metrics[0].sum.data_points
    }


def _of_few_resources(limit: int, max_folded_streams: int = 1) -> MetricsLimiter:
    options = {"max_resources": 1, "idle_ttl": "60s", "strict": True}
    sizes = {"default_limit": limit, "max_folded_streams": max_folded_streams}
    config = CardinalityConfig.model_validate(options | sizes)
    limiter = MetricsLimiter(config, seed=1)
    _sent(limiter, 0, "first")
    return limiter


def test_what_stood_in_for_a_resource_and_was_forgotten_is_not_added_once_it_has_a_place() -> None:
    """Its producer was there before the overflow beyond `max_resources` lost the stream."""
    limiter = _of_few_resources(0, max_folded_streams=2)
    assert _sent(limiter, 10, "second", counted({"id": "s"}, 5, 10, 5)) == {(1, OVERFLOW): 5}
    _sent(limiter, 200, "second", counted({"id": "t"}, 1, 200, 199))
    _sent(limiter, 201, "second", counted({"id": "u"}, 1, 201, 199))
    assert limiter.evicted["folded_stream"] == 1

    assert _sent(limiter, 202, "second", counted({"id": "s"}, 6, 202, 5))[2, OVERFLOW] == 2
    assert _sent(limiter, 203, "second", counted({"id": "s"}, 8, 203, 5))[2, OVERFLOW] == 4


def test_what_stood_in_for_a_resource_and_was_forgotten_does_not_pass_once_it_has_a_place() -> None:
    """There is room for it, but its past is in the overflow beyond `max_resources`."""
    limiter = _of_few_resources(9)
    _sent(limiter, 10, "second", counted({"id": "s"}, 5, 10, 5))
    _sent(limiter, 11, "third", counted({"id": "t"}, 1, 11, 5))
    assert limiter.evicted["folded_stream"] == 1

    assert _sent(limiter, 200, "second", counted({"id": "s"}, 6, 200, 5)) == {(2, OVERFLOW): 0}
    assert _sent(limiter, 201, "second", counted({"id": "u"}, 4, 201, 199)) == {
        (2, frozenset({("id", "u")})): 4
    }


def test_what_was_forgotten_of_a_resource_is_not_added_once_it_lost_its_place() -> None:
    """Its producer goes on for its other stream, though the resource has no place any more."""
    limiter = _of_few_resources(0)
    _sent(limiter, 1, "first", counted({"id": "s"}, 5, 1, 0.5))
    _sent(limiter, 2, "first", counted({"id": "t"}, 1, 2, 1.5))
    assert limiter.evicted["folded_stream"] == 1
    _sent(limiter, 200, "second")

    assert _sent(limiter, 201, "first", counted({"id": "s"}, 6, 201, 0.5)) == {(1, OVERFLOW): 0}


def test_what_was_forgotten_with_its_producer_is_not_added_beyond_max_resources() -> None:
    """Also where the overflow there is older than that."""
    limiter = _of_few_resources(0, max_folded_streams=2)
    beyond = "third"
    _sent(limiter, 1, beyond, counted({"id": "t"}, 1, 1, 0.5))
    _sent(limiter, 10, "first", counted({"id": "s"}, 5, 10, 5))
    _sent(limiter, 11, beyond, counted({"id": "t"}, 1, 11, 0.5), counted({"id": "u"}, 1, 11, 0.5))
    assert limiter.evicted["folded_stream"] == 1
    for now in range(12, 400, 12):
        both = [counted({"id": one}, 1, now, 0.5) for one in ("t", "u")]
        _sent(limiter, now, "second")
        _sent(limiter, now, beyond, *both)
    assert limiter.evicted["producer"]

    assert _sent(limiter, 401, "first", counted({"id": "s"}, 6, 401, 5))[1, OVERFLOW] == 2
