"""The fast path: scan the raw bytes once, look closely at the few elements that match, splice.

Pure: the scan, the judge and the key come from outside. The closer look is the plain redaction
itself, on a small request that holds nothing but those elements; so what is found is the same.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from tapeline.otlp.extract import changes, extract
from tapeline.otlp.framing import Framing
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import MalformedRequestError, WireType, read_tag, skip_value
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.redaction.after_masks import AfterMasks
from tapeline.redaction.core import Change, Hit, Redactor
from tapeline.redaction.field_pass import FieldPass, Noted
from tapeline.redaction.judge import Judge
from tapeline.redaction.scan import NUMBER_BITS, NUMBER_MASK, Scanner, compile_scanner
from tapeline.redaction.text_fields import SHAPES, TextField, text_fields
from tapeline.redaction.wire_patterns import Hint, Meaning, wire_patterns

__all__ = ["FastRedactor", "Redacted", "Scan", "fast_redactor"]


class Scan(Protocol):
    """Finds what may be a secret in raw bytes, and misses nothing that is one."""

    meanings: tuple[Meaning, ...]
    """What the matches say, by their numbers."""

    def matches(self, data: bytes) -> list[int] | None:
        """Return the matches in order: offset of the last byte above NUMBER_BITS, number below.

        None where there are too many: everything is to be looked at then.
        """

    def is_confirmed(self, data: bytes) -> bool:
        """Say whether an element with nothing but weak matches has to be looked at all the same."""

    def confirmations(self, data: bytes, limit: int) -> list[int] | None:
        """Return the offset of the last byte of each match that a weak one asks for, in order.

        None where there are more than the limit.
        """


_ALONE: Final = 16
"""So many elements are asked about one by one before all are at once."""
_BYTES_A_CONFIRMATION: Final = 128


MAX_SCANNERS: Final = 4
"""Of so many sets of rules what was compiled is kept, about 5 MB each: those that a gate used last,
or that a run of tests builds again and again."""

_FIELDS_AT_A_TIME: Final = 256
"""So many fields are redacted together."""

_Usual = tuple[int, tuple[int, int], tuple[int, int], tuple[int, int]]
"""A record whose matches stand in the usual fields: its number, where its content begins and ends,
which of the matches end in it, and which of the fields are its."""


class _Confirmations:
    """Says which elements with nothing but weak matches have to be looked at.

    Where there are many such elements (each record names a venue, say), the whole request is
    scanned once; unless it has so many matches that they cost more than asking for each.
    """

    def __init__(self, scan: Scan, payload: bytes) -> None:
        self._scan = scan
        self._payload = payload
        self._ends: list[int] | None = None
        self._asked = 0

    def are_within(self, begin: int, end: int) -> bool:
        """Say whether there is a match within these bytes, or may be one."""
        self._asked += 1
        if self._asked == _ALONE:
            limit = len(self._payload) // _BYTES_A_CONFIRMATION
            self._ends = self._scan.confirmations(self._payload, limit)
        if self._ends is None:
            return self._scan.is_confirmed(self._payload[begin:end])
        number = bisect_left(self._ends, begin)
        return number < len(self._ends) and self._ends[number] < end


@dataclass(frozen=True, slots=True)
class Redacted:
    """A batch without secrets, the same object where there were none, and what was found."""

    batch: Batch
    hits: Counter[Hit]


class FastRedactor:
    """Redacts raw batches; finds what the plain redactor finds."""

    def __init__(
        self, redactor: Redactor, scan: Scan, max_characters: int, after_masks: AfterMasks
    ) -> None:
        """Take the plain redactor, the scan of its rules, and the longest text that it reads.

        `after_masks` is of the redactor's judge, too.
        """
        self._redactor = redactor
        self._scan = scan
        self._max_characters = max_characters
        self._is_weak = tuple(bool(meaning.hint & Hint.WEAK) for meaning in scan.meanings)
        self._fields = FieldPass(redactor, scan.meanings, after_masks)

    def redact(self, batch: Batch) -> Redacted:
        """Return the batch without secrets.

        Raises MalformedRequestError where a candidate does not parse or nests too deeply.
        """
        payload = batch.payload
        matches = self._scan.matches(payload)
        is_long = batch.framing.longest_bytes > self._max_characters
        if matches == [] and not is_long:
            return Redacted(batch, Counter())
        index = batch.index
        long: set[int] = set()
        if is_long:
            long = _long(index.record_begins, index.record_ends, self._max_characters)
        noted: Noted = []
        changed: dict[int, bytes | None] = {}
        if matches is None:
            records, headers = set(range(len(index))), set(range(len(index.headers)))
        else:
            confirmed = _Confirmations(self._scan, payload)
            changed, rest = self._by_field(batch, matches, long, noted, confirmed)
            records, headers = self._candidates(payload, index, rest, confirmed)
        records |= long
        if is_long:
            headers |= _long_headers(index, self._max_characters)
        unknown = {n for n in headers if index.headers[n].kind is SliceKind.UNKNOWN}
        if unknown:
            # Numbers of headers hold only for one payload, so these go in a pass of their own.
            gone = dict.fromkeys(unknown)
            again = self.redact(batch.with_payload(splice(payload, index, headers=gone)))
            return Redacted(again.batch, again.hits)
        hits: Counter[Hit] = Counter()
        changed_headers: dict[int, bytes | None] = {}
        if records or headers:
            hits = self._look_closer(batch, (records, headers), changed, changed_headers)
        self._tell(noted, hits)
        result = splice(payload, index, records=changed, headers=changed_headers)
        if result is payload:
            return Redacted(batch, hits)
        framing = None
        if not changed_headers and None not in changed.values():
            lengths = [len(content) for content in changed.values() if content]
            longest_bytes = max([batch.framing.longest_bytes, *lengths])
            framing = Framing(batch.framing.record_count, longest_bytes)
        return Redacted(batch.with_payload(result, framing), hits)

    def _by_field(
        self,
        batch: Batch,
        matches: list[int],
        long: Collection[int],
        noted: Noted,
        confirmed: _Confirmations,
    ) -> tuple[dict[int, bytes | None], list[int]]:
        """Redact the records whose matches stand in the usual fields; return them by number.

        Returns also the matches that are still to be looked at.
        """
        changed: dict[int, bytes | None] = {}
        shapes = SHAPES.get(batch.signal)
        if shapes is None:
            return changed, matches
        index = batch.index
        begins, ends = index.record_begins, index.record_ends
        rest: list[int] = []
        records: list[_Usual] = []
        fields: list[TextField] = []
        match, count, number, last = 0, len(matches), 0, len(begins) - 1
        while match < count:
            offset = matches[match] >> NUMBER_BITS
            if number + 1 < last and begins[number + 1] <= offset < begins[number + 2]:
                number += 1
            else:
                number = bisect_right(begins, offset, number) - 1
            first = match
            if number < 0 or offset >= ends[number]:
                number = max(number, 0)
                match += 1
                rest.append(matches[first])
                continue
            stop = ends[number] << NUMBER_BITS
            while match < count and matches[match] < stop:
                match += 1
            span = (begins[number], ends[number])
            if number in long or self._is_idle(span, matches[first:match], confirmed):
                continue
            found = text_fields(batch.payload, span, matches, (first, match), shapes)
            if found is None:
                rest += matches[first:match]
            elif found:
                of_record = (len(fields), len(fields) + len(found))
                records.append((number, span, (first, match), of_record))
                fields += found
                if len(fields) >= _FIELDS_AT_A_TIME:
                    rest += self._rewrite(batch, records, fields, matches, changed, noted)
                    records, fields = [], []
        rest += self._rewrite(batch, records, fields, matches, changed, noted)
        return changed, rest

    def _rewrite(
        self,
        batch: Batch,
        records: Sequence[_Usual],
        fields: Sequence[TextField],
        matches: Sequence[int],
        changed: dict[int, bytes | None],
        noted: Noted,
    ) -> list[int]:
        """Redact these fields of records; return the matches that are still to be looked at.

        Adds the new contents of records to `changed`, and what was found to `noted`.
        """
        if not fields:
            return []
        payload = batch.payload
        rest: list[int] = []
        rewritten = self._fields.rewrite(batch.signal, payload, fields, matches)
        for number, (begin, end), (first, match), (first_field, last_field) in records:
            pieces: list[bytes] = []
            position, count = begin, len(noted)
            for field in range(first_field, last_field):
                result = rewritten[field]
                if result is None:
                    continue
                content, of_field = result
                if content is None:
                    del noted[count:]
                    pieces = []
                    rest += matches[first:match]
                    break
                noted += of_field
                pieces += (payload[position : fields[field][1]], content)
                position = fields[field][3]
            if pieces:
                pieces.append(payload[position:end])
                changed[number] = b"".join(pieces)
        return rest

    def _is_idle(
        self, span: tuple[int, int], matches: Sequence[int], confirmed: _Confirmations
    ) -> bool:
        """Say whether a record has nothing but words, such as a venue's name, that need another."""
        is_weak = self._is_weak
        for match in matches:
            if not is_weak[match & NUMBER_MASK]:
                return False
        return not confirmed.are_within(*span)

    def _tell(self, noted: Noted, hits: Counter[Hit]) -> None:
        """Count the secrets found in single fields, and tell of them."""
        changes: dict[int, Change] = {}
        places: list[int] = []
        redactor = self._redactor
        for change, length_bytes in noted:
            place = id(change)
            places.append(place)
            changes[place] = change
            redactor.notify(change, length_bytes)
        for place, count in Counter(places).items():
            hits[changes[place].hit] += count

    def _candidates(
        self,
        payload: bytes,
        index: RecordIndex,
        matches: Sequence[int],
        confirmed: _Confirmations,
    ) -> tuple[set[int], set[int]]:
        """Return the records and headers that have to be looked at as a whole."""
        if not matches:
            return set(), set()
        strong: list[int] = []
        weak: list[int] = []
        for match in matches:
            is_weak = self._is_weak[match & NUMBER_MASK]
            (weak if is_weak else strong).append(match >> NUMBER_BITS)
        records, headers = _elements(payload, index, strong)
        if weak:
            more_records, more_headers = _elements(payload, index, weak)
            begins, ends, all_headers = index.record_begins, index.record_ends, index.headers
            records.update(
                number
                for number in more_records - records
                if confirmed.are_within(begins[number], ends[number])
            )
            headers.update(
                number
                for number in more_headers - headers
                if confirmed.are_within(all_headers[number].begin, all_headers[number].end)
            )
        return records, headers

    def _look_closer(
        self,
        batch: Batch,
        candidates: tuple[Iterable[int], Iterable[int]],
        records: dict[int, bytes | None],
        headers: dict[int, bytes | None],
    ) -> Counter[Hit]:
        """Redact whole records and headers, and add the new contents of those that change."""
        taken = extract(batch.payload, batch.index, *candidates)
        request = REQUEST_TYPES[batch.signal]()
        try:
            request.ParseFromString(taken.payload)
        except DecodeError as error:
            raise MalformedRequestError(
                f"the {batch.signal} request does not parse as OTLP: {error}"
            ) from error
        outcome = self._redactor.rewrite(batch.signal, request)
        # What parsing left out was not looked at, so it may not go on.
        request.DiscardUnknownFields()
        worked = request.SerializeToString()
        if outcome.hits or len(worked) != len(taken.payload):
            new_records, new_headers = changes(batch.index, taken, worked, outcome.dropped)
            records.update(new_records)
            headers.update(new_headers)
        return outcome.hits


def _elements(payload: bytes, index: RecordIndex, ends: Sequence[int]) -> tuple[set[int], set[int]]:
    """Return the records and headers that hold the bytes at these offsets, in text."""
    records: set[int] = set()
    headers: set[int] = set()
    begins, stops = index.record_begins, index.record_ends
    identifiers = IDENTIFIERS[index.signal]
    covered = 0
    for end in sorted(ends):
        if end < covered:
            continue
        number = bisect_right(begins, end) - 1
        if number >= 0 and end < stops[number]:
            if _is_in_text(payload, begins[number], end, identifiers):
                records.add(number)
                covered = stops[number]
            continue
        header = index.header_at(end)
        if header is not None:
            headers.add(header)
            covered = index.headers[header].end
    return records, headers


_WIRE_TYPE: Final = 7
"""The bits of a tag that are its wire type."""

IDENTIFIERS: Final[Mapping[Signal, frozenset[int]]] = {
    Signal.LOGS: frozenset({9, 10}),
    Signal.TRACES: frozenset({1, 2, 4}),
    Signal.METRICS: frozenset({2, 3, 4, 6}),
}
"""Length-delimited fields of a record that hold no text (opentelemetry-proto, logs/v1, trace/v1 and
metrics/v1: packed numbers). Their bytes now and then look like anything; a match in one is none."""


def _is_in_text(payload: bytes, begin: int, offset: int, identifiers: frozenset[int]) -> bool:
    """Say whether a byte of the record that begins at `begin` may be text, and not a number.

    What can't be told is: the closer look then refuses it, or takes it out.
    """
    position = begin
    try:
        while True:
            tag, value = read_tag(payload, position, offset + 1)
            position = skip_value(payload, tag, value, len(payload), 0)
            if position > offset:
                break
    except MalformedRequestError:
        return True
    return tag & _WIRE_TYPE == WireType.LENGTH_DELIMITED and tag >> 3 not in identifiers


def _long(begins: Sequence[int], ends: Sequence[int], limit: int) -> set[int]:
    return {
        number
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True))
        if end - begin > limit
    }


def _long_headers(index: RecordIndex, limit: int) -> set[int]:
    return {
        number for number, header in enumerate(index.headers) if header.end - header.begin > limit
    }


def fast_redactor(redactor: Redactor, cache_folder: Path | None = None) -> FastRedactor:
    """Return the fast form of a plain redactor; compiles its scan, or takes it from the cache."""
    judge = redactor.judge
    scanner = _scanner(judge, cache_folder)
    return FastRedactor(redactor, scanner, judge.max_characters, _after_masks(judge))


@lru_cache(MAX_SCANNERS)
def _scanner(judge: Judge, cache_folder: Path | None) -> Scanner:
    patterns = wire_patterns(
        judge.pack,
        judge.name_expressions,
        judge.beginnings_of_names,
        judge.vendor_expressions,
        depth=judge.depth,
    )
    return compile_scanner(patterns, cache_folder)


@lru_cache(MAX_SCANNERS)
def _after_masks(judge: Judge) -> AfterMasks:
    return AfterMasks(judge)
