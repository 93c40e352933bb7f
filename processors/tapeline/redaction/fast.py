"""The fast path: scan the raw bytes once, look closely at the few elements that match, splice.

Pure: the scan, the judge and the key come from outside. The closer look is the plain redaction
itself, on a small request that holds nothing but those elements; so what is found is the same.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from tapeline.otlp.extract import extract, put_back
from tapeline.otlp.index import RecordIndex
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice
from tapeline.otlp.wire import MalformedRequestError, WireType, read_tag, skip_value
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.redaction.core import Hit, Redactor
from tapeline.redaction.scan import compile_scanner
from tapeline.redaction.wire_patterns import wire_patterns

__all__ = ["FastRedactor", "Redacted", "Scan", "fast_redactor"]


class Scan(Protocol):
    """Finds what may be a secret in raw bytes, and misses nothing that is one."""

    def matches(self, data: bytes) -> tuple[list[int], list[int]]:
        """Return the offset of the last byte of each strong match, and of each weak one."""

    def is_confirmed(self, data: bytes) -> bool:
        """Say whether an element with nothing but weak matches has to be looked at all the same."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A batch without secrets, the same object where there were none, and what was found."""

    batch: Batch
    hits: Counter[Hit]


class FastRedactor:
    """Redacts raw batches; finds what the plain redactor finds."""

    def __init__(self, redactor: Redactor, scan: Scan, max_characters: int) -> None:
        """Take the plain redactor, the scan of its rules, and the longest text that it reads."""
        self._redactor = redactor
        self._scan = scan
        self._max_characters = max_characters

    def redact(self, batch: Batch) -> Redacted:
        """Return the batch without secrets.

        Raises MalformedRequestError where a candidate does not parse or nests too deeply.
        """
        payload = batch.payload
        strong, weak = self._scan.matches(payload)
        if not strong and not weak and batch.framing.longest_bytes <= self._max_characters:
            return Redacted(batch, Counter())
        index = batch.index
        records, headers = _elements(payload, index, strong)
        if weak:
            self._confirm(payload, index, weak, records, headers)
        records.update(_long(index.record_begins, index.record_ends, self._max_characters))
        headers.update(_long_headers(index, self._max_characters))
        unknown = {n for n in headers if index.headers[n].kind is SliceKind.UNKNOWN}
        return self._look_closer(batch, index, records, headers - unknown, unknown)

    def _confirm(
        self,
        payload: bytes,
        index: RecordIndex,
        weak: Sequence[int],
        records: set[int],
        headers: set[int],
    ) -> None:
        """Add the elements with weak matches that a second look confirms."""
        more_records, more_headers = _elements(payload, index, weak)
        begins, ends, confirmed = index.record_begins, index.record_ends, self._scan.is_confirmed
        records.update(
            number
            for number in more_records - records
            if confirmed(payload[begins[number] : ends[number]])
        )
        for number in more_headers - headers:
            header = index.headers[number]
            if confirmed(payload[header.begin : header.end]):
                headers.add(number)

    def _look_closer(
        self,
        batch: Batch,
        index: RecordIndex,
        records: Iterable[int],
        headers: Iterable[int],
        unknown: Iterable[int],
    ) -> Redacted:
        payload = batch.payload
        taken = extract(payload, index, records, headers)
        request = REQUEST_TYPES[batch.signal]()
        try:
            request.ParseFromString(taken.payload)
        except DecodeError as error:
            raise MalformedRequestError(
                f"the {batch.signal} request does not parse as OTLP: {error}"
            ) from error
        outcome = self._redactor.rewrite(batch.signal, request)
        hits = outcome.hits
        # What parsing left out was not looked at, so it may not go on.
        request.DiscardUnknownFields()
        worked = request.SerializeToString()
        unknown = dict.fromkeys(unknown)
        if not hits and len(worked) == len(taken.payload) and not unknown:
            return Redacted(batch, hits)
        if unknown:
            # Numbers of headers hold only for one payload, so these go in a pass of their own.
            without = batch.with_payload(splice(payload, index, headers=unknown))
            again = self.redact(without)
            return Redacted(again.batch, again.hits)
        changed = put_back(payload, index, taken, worked, outcome.dropped)
        return Redacted(batch if changed is payload else batch.with_payload(changed), hits)


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
    patterns = wire_patterns(
        judge.pack, judge.name_expressions, judge.compound_names, depth=judge.depth
    )
    return FastRedactor(redactor, compile_scanner(patterns, cache_folder), judge.max_characters)
