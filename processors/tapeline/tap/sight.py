"""What may be seen of a batch: pairs of records in which an enforcing redaction finds nothing more.

The chain's own redaction has been over everything that comes here. This looks again, with a
redaction that enforces for every service, at both states: right behind the chain's redaction, and
as it left.

- Where it finds something behind the redaction, a policy lets it pass there (a service that is
  observed, or passes unread). Later processors may have made it unrecognisable, so such a record
  is withheld, not masked.
- Where it finds something in what left, a processor behind the redaction has brought it. It is
  masked in what is shown, and it is not what is compared.

Everything that a reader can learn, filters and counts included, comes after that: a filter on text
that is not masked yet would answer questions about the secret. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.watch import Mask
from tapeline.tap.changes import Pair, pairs_of
from tapeline.tap.views import RecordView, views_of

__all__ = ["Sight", "sight_of"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What may be seen, and how many records of the batch may not."""

    pairs: Sequence[Pair]
    withheld: int


def sight_of(batch: Batch, before: Batch, mask: Mask) -> Sight:
    """Return what may be seen of a batch that left, and of what it was before.

    Raises what the mask raises, and MalformedRequestError where something does not parse.
    """
    clean_before = _masked(before, mask)
    if clean_before is before:
        if batch.payload == before.payload:
            return Sight([Pair(view, view) for view in views_of(before.signal, before.request)], 0)
        after = views_of(batch.signal, _masked(batch, mask).request)
        return Sight(pairs_of(views_of(before.signal, before.request), after), 0)
    return _withheld(batch, before, clean_before, mask)


def _withheld(batch: Batch, before: Batch, clean_before: Batch, mask: Mask) -> Sight:
    """Let be seen only what is, by place and by what it keeps, a record with nothing to find."""
    was = views_of(before.signal, before.request)
    clean = views_of(before.signal, clean_before.request)
    after = views_of(batch.signal, _masked(batch, mask).request)
    count = batch.framing.record_count
    if not _stand_alike(was, clean) or not _stand_alike(was, after):
        return Sight([], count)
    pairs = [
        Pair(one, left)
        for one, other, left in zip(was, clean, after, strict=True)
        if one.wire == other.wire
    ]
    return Sight(pairs, count - len(pairs))


def _stand_alike(views: Sequence[RecordView], others: Sequence[RecordView]) -> bool:
    return [view.identity for view in views] == [view.identity for view in others]


def _masked(batch: Batch, mask: Mask) -> Batch:
    """Return the batch itself where there is nothing to mask."""
    payload = mask(batch)
    if payload == batch.payload:
        return batch
    return batch.with_payload(payload or b"")
