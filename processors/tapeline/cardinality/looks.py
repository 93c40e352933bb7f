"""A first look at the points of a metric that are not all of admitted series.

It finds a request malformed before anything is decided, and decides nothing itself.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.outputs import Output
from tapeline.cardinality.metric_reader import MetricView
from tapeline.cardinality.point_keys import PointKeys, time_of
from tapeline.cardinality.point_layout import Point, plain_times, read_point, short_attributes
from tapeline.cardinality.series_keys import Spellings, series_key
from tapeline.cardinality.source import Source
from tapeline.otlp.index import RecordIndex

__all__ = ["Item", "Look", "Looker"]

_new: Final = tuple.__new__


class Item(NamedTuple):
    """A point to decide on.

    Where a glance showed that its stream is folded, `output` says into what, and nothing else of it
    is read. `point` is UNREAD where neither flags nor exemplars are set and times don't matter,
    since there is no room to admit it. `pairs` are its attributes.
    """

    record: int
    key: int
    output: Output | None
    point: Point
    pairs: tuple[bytes, ...]


UNREAD: Final = Point((), 0, 0, 0, has_exemplars=False)


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

        Raises MalformedRequestError where a point or an attribute does not parse.
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
        items = []
        begins, ends = index.record_begins, index.record_ends
        output_of = self._folder.output_of
        is_glance_enough = head_bytes > 0 and self._is_glance_enough(source)
        for record, key in enumerate(keys, view.first):
            if key not in unknown:
                continue
            if is_glance_enough and key is not None:
                output = output_of(key)
                if output is not None:
                    items.append(_new(Item, (record, key, output, UNREAD, ())))
                    continue
            begin, end = begins[record], ends[record]
            item = None
            if head_bytes and key is not None:
                item = self._plain_item(source, payload, (record, begin, end, head_bytes), key)
            if item is None:
                item = self._item(source, record, read_point(payload, begin, end, view.kind))
            items.append(item)
        return Look(view, source, keys, items)

    def _plain_item(
        self, source: Source, payload: bytes, place: tuple[int, int, int, int], key: int
    ) -> Item | None:
        """Return what is to be decided of a point in a usual layout, its attributes in order.

        `place`: its record, its begin and end, and the bytes before its attributes.
        """
        record, begin, end, head_bytes = place
        contents = short_attributes(payload, begin + head_bytes, end, source.attribute_tag)
        if contents is None or not source.state.orders.is_canonical(contents, self.spellings):
            return None
        point = UNREAD
        if self.must_read_times or source.group.has_room:
            start, time = plain_times(payload, begin, head_bytes)
            point = _new(Point, (contents, 0, start, time, False))
        return _new(Item, (record, key, None, point, contents))

    def _item(self, source: Source, record: int, point: Point) -> Item:
        spell = self.spellings
        spelled = [spell[content] for content in point.pairs]
        arranged = source.state.orders.arrange(point.pairs, spelled)
        key = series_key(source.attribute_tag, arranged, source.key)
        pairs = tuple([spelling[1] for spelling in spelled])
        return _new(Item, (record, key, None, point, pairs))

    def _is_glance_enough(self, source: Source) -> bool:
        """Whether of a folded stream's point nothing matters but its stream.

        Otherwise it may be promoted, or the values of its labels have to be kept alive.
        """
        return not source.state.rule.limits_labels and (
            source.stand_in is not None or not source.group.has_room
        )


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
