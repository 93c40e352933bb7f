"""A first look at the points of a metric that are not all of admitted series.

It finds a request malformed before anything is decided, and decides nothing itself.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.outputs import Output
from tapeline.cardinality.metric_reader import MetricView
from tapeline.cardinality.point_keys import PointKeys, time_of
from tapeline.cardinality.point_layout import Point, plain_times, read_point, short_attributes
from tapeline.cardinality.series_keys import Spellings, series_key
from tapeline.cardinality.source import Source
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["UNREAD", "UNREADABLE", "Item", "Look", "Looker"]

_new: Final = tuple.__new__


class Item(NamedTuple):
    """A point to decide on.

    Folding reads it up to `fold_end`: attributes that stand last don't matter to it.

    Where a glance showed that its stream is folded, `output` says into what, and nothing else of it
    is read. `point` is UNREAD where neither flags nor exemplars are set and times don't matter,
    since there is no room to admit it. `pairs` are its attributes.
    """

    record: int
    fold_end: int
    key: int
    output: Output | None
    point: Point
    pairs: tuple[bytes, ...]


UNREAD: Final = Point((), 0, 0, 0, has_exemplars=False)
UNREADABLE: Final = Point((), 0, 0, 0, has_exemplars=True)
"""Of a point with an attribute that does not parse, as where its text is not UTF-8."""


class Look(NamedTuple):
    """A metric's points that have to be decided on; `keys` has one of each point."""

    view: MetricView
    source: Source
    keys: Sequence[int | None]
    items: Sequence[Item]

    def last_points(self) -> dict[int | None, int]:
        """Return the last record of each series by its key."""
        keys = dict(enumerate(self.keys, self.view.first))
        keys.update({item.record: item.key for item in self.items})
        return {key: record for record, key in keys.items()}


class Looker:
    """Looks at points; remembers only how attributes are spelled."""

    def __init__(self, folder: Folder) -> None:
        self.spellings = Spellings()
        self.must_read_times = False
        """Whether times matter also of points for which there is no room."""
        self._folder = folder

    def look(
        self,
        payload: bytes,
        index: RecordIndex,
        place: tuple[MetricView, Source],
        point_keys: PointKeys,
        now_unix_nano: int,
    ) -> Look | None:
        """Return what has to be decided; None where all points are of admitted series.

        Raises MalformedRequestError where a point does not parse.
        """
        view, source = place
        group = source.group
        keys, head_bytes = point_keys
        unknown = set(keys)
        if source.stand_in is None:
            unknown -= group.current
            if group.older and unknown and not source.state.rule.limits_labels:
                unknown -= _see(payload, index, place, keys, now_unix_nano)
        if not unknown:
            return None
        if head_bytes:
            items = self._plain_items(payload, index, place, point_keys, unknown)
        else:
            begins, ends = index.record_begins, index.record_ends
            items = [
                self._item(source, payload, (record, begins[record], ends[record]))
                for record, key in enumerate(keys, view.first)
                if key in unknown
            ]
        return Look(view, source, keys, items)

    def pairs_of(
        self, payload: bytes, index: RecordIndex, view: MetricView, records: Sequence[int]
    ) -> list[tuple[bytes, ...]]:
        """Return the attributes of points whose keys are known, so that they parse."""
        begins, ends, spell = index.record_begins, index.record_ends, self.spellings
        points = [read_point(payload, begins[one], ends[one], view.kind) for one in records]
        return [tuple([spell[content].key_first for content in point.pairs]) for point in points]

    def _plain_items(
        self,
        payload: bytes,
        index: RecordIndex,
        place: tuple[MetricView, Source],
        point_keys: PointKeys,
        unknown: AbstractSet[int | None],
    ) -> list[Item]:
        """Return what is to be decided of points that have nothing but numbers and attributes.

        A flood comes this way: what is the same for all its points is asked once.
        """
        view, source = place
        keys, head_bytes = point_keys
        has_room = source.stand_in is None and source.group.has_room
        # Of a folded stream's point nothing matters but its stream: otherwise it may be promoted,
        # or the values of its labels have to be kept alive.
        is_glance_enough = not (has_room or source.state.rule.limits_labels)
        must_read_times = has_room or self.must_read_times
        begins, ends = index.record_begins, index.record_ends
        folded = self._folder.streams.slots
        output_of = self._folder.output_of
        is_canonical = source.state.orders.canonical_test(self.spellings)
        tag = source.attribute_tag
        items = []
        for record, key in enumerate(keys, view.first):
            if key not in unknown:
                continue
            if is_glance_enough and key in folded:
                output = output_of(key)
                if output is not None:
                    fold_end = begins[record] + head_bytes
                    items.append(_new(Item, (record, fold_end, key, output, UNREAD, ())))
                    continue
            begin, end = begins[record], ends[record]
            fold_end = begin + head_bytes
            contents = short_attributes(payload, fold_end, end, tag)
            if contents is None or not is_canonical(contents):
                items.append(self._item(source, payload, (record, begin, end)))
                is_canonical = source.state.orders.canonical_test(self.spellings)
                continue
            point = UNREAD
            if must_read_times:
                start, time = plain_times(payload, begin, head_bytes)
                point = _new(Point, (contents, 0, start, time, False))
            items.append(_new(Item, (record, fold_end, key, None, point, contents)))
        return items

    def _item(self, source: Source, payload: bytes, place: tuple[int, int, int]) -> Item:
        """Return what is to be decided of a point in any layout: its record, begin and end."""
        record, begin, end = place
        point = read_point(payload, begin, end, source.metric.kind)
        spell = self.spellings
        try:
            spelled = [spell[content] for content in point.pairs]
        except MalformedRequestError:
            return _new(Item, (record, end, 0, None, UNREADABLE, ()))
        arranged = source.state.orders.arrange(point.pairs, spelled)
        key = series_key(source.attribute_tag, arranged, source.key)
        pairs = tuple([spelling[1] for spelling in spelled])
        return _new(Item, (record, end, key, None, point, pairs))


def _see(
    payload: bytes,
    index: RecordIndex,
    place: tuple[MetricView, Source],
    keys: Sequence[int | None],
    now_unix_nano: int,
) -> set[int]:
    """Note which series of older generations were seen, and their newest time; return them."""
    view, source = place
    seen = source.group.see(set(keys) - source.group.current)
    if seen:
        begins, ends = index.record_begins, index.record_ends
        latest = max(
            time_of(payload, begins[record], ends[record], view.kind)
            for record, key in enumerate(keys, view.first)
            if key in seen
        )
        source.group.note_lead(latest - now_unix_nano)
    return seen
