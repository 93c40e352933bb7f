"""The one pass over raw bytes: Hyperscan, compiled once and kept on disk where one may."""

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import hyperscan

from tapeline.redaction.wire_patterns import Hint, Meaning, Pattern, WirePatterns
from tapeline.redaction.writing_order import (
    VALUE_FIRST,
    is_outer_key,
    is_pair_with_value_first,
)

__all__ = ["NUMBER_BITS", "NUMBER_MASK", "Scanner", "compile_scanner"]

logger = logging.getLogger(__name__)

_FLAGS: Final = hyperscan.HS_FLAG_ALLOWEMPTY
_FORMAT: Final = b"1"
MAX_DATABASE_BYTES: Final = 256 * 1024 * 1024


NUMBER_BITS: Final = 14
"""Of a match, the lowest bits are the number of its pattern, those above the place of its end."""

NUMBER_MASK: Final = (1 << NUMBER_BITS) - 1

# A match that is kept takes 40 bytes, and some texts match at every third byte. Of requests up to
# this size all are kept; of a larger one as many, or one in so many bytes where that is more.
_UNCOUNTED_BYTES: Final = 1024 * 1024
_MATCHES: Final = 1024 * 1024
_BYTES_A_MATCH: Final = 16


class Scanner:
    """Finds where patterns match; one scratch space a thread, and no lock while it scans."""

    def __init__(
        self,
        databases: Sequence[tuple[int, int, Any]],
        confirming: Any,
        meanings: Sequence[Meaning],
        value_first: Any = None,
    ) -> None:
        """Take the databases to scan with.

        With each come the number of its first pattern, and how many bytes its matches end behind
        the last one that is meant: not 0 for those of keys behind their values, which are only
        looked for where `value_first` finds some.

        `confirming` is the one that confirms weak matches, if any.
        """
        if len(meanings) >> NUMBER_BITS:
            raise ValueError(f"{len(meanings)} patterns are more than {(1 << NUMBER_BITS) - 1}")
        self.meanings = tuple(meanings)
        self._is_outer = tuple(bool(meaning.hint & Hint.OUTER_KEY) for meaning in meanings)
        self._databases = tuple(databases)
        self._confirming = confirming
        self._value_first = value_first
        self._local = threading.local()

    def matches(self, data: bytes) -> list[int] | None:
        """Return the matches in order: offset of the last byte and number, in one integer.

        None where there are more than may be kept.
        """
        matches: list[int] = []
        scratches = self._scratches
        for (first, behind, database), scratch in zip(self._databases, scratches, strict=False):
            if behind and not self._is_backwards(data):
                continue
            note: Callable[[int, int, int, int, object], bool | None]
            note = _noting(matches, first - ((1 + behind) << NUMBER_BITS))
            if len(data) > _UNCOUNTED_BYTES:
                note = _counting(note, matches, max(_MATCHES, len(data) // _BYTES_A_MATCH))
            try:
                database.scan(data, match_event_handler=note, scratch=scratch)
            except hyperscan.ScanTerminated:
                return None
            if behind:
                matches = [match for match in matches if self._counts(data, match)]
        matches.sort()
        return matches

    def _counts(self, data: bytes, match: int) -> bool:
        """Say whether a match is none of a key that only matters behind a list, or behind one."""
        return not self._is_outer[match & NUMBER_MASK] or is_outer_key(data, match >> NUMBER_BITS)

    def _is_backwards(self, data: bytes) -> bool:
        """Say whether a request has a key behind its value."""

        def end_at_one(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            return is_pair_with_value_first(data, end - 1 - VALUE_FIRST[number][1])

        try:
            self._value_first.scan(
                data, match_event_handler=end_at_one, scratch=self._scratches[-2]
            )
        except hyperscan.ScanTerminated:
            return True
        return False

    def is_confirmed(self, data: bytes) -> bool:
        """Say whether an element with a weak match has one of the patterns that it asks for."""
        return self.confirmations(data, 0) != []

    def confirmations(self, data: bytes, limit: int) -> list[int] | None:
        """Return, in order, the offset of the last byte of each match that a weak one asks for.

        None where there are more than the limit; 0 ends the scan at the first one.
        """
        if self._confirming is None:
            return []
        matches: list[int] = []
        note = _counting(_noting(matches, -(1 << NUMBER_BITS)), matches, limit)
        try:
            self._confirming.scan(data, match_event_handler=note, scratch=self._scratches[-1])
        except hyperscan.ScanTerminated:
            return None
        return sorted(match >> NUMBER_BITS for match in matches)

    @property
    def _scratches(self) -> list[Any]:
        """The working memory of this thread for each database, the confirming one last."""
        scratches: list[Any] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            databases = [database for *_, database in self._databases]
            databases += [self._value_first, self._confirming]
            scratches = [database and hyperscan.Scratch(database) for database in databases]
            self._local.scratches = scratches
        return scratches


def compile_scanner(patterns: WirePatterns, cache_folder: Path | None = None) -> Scanner:
    """Compile patterns, or take what was compiled before from the cache.

    The cache is keyed by content, and by what Hyperscan says of itself and of this processor.
    Raises ValueError where Hyperscan refuses a pattern.
    """
    databases = [(0, 0, _cached((*patterns.strong, *patterns.weak), cache_folder))]
    first = len(patterns.strong) + len(patterns.weak)
    for number, pattern in enumerate(patterns.apart, first):
        databases.append((number, 0, _cached([pattern], cache_folder)))
    value_first = None
    if patterns.last_keys:
        value_first = _cached([(pattern, False) for pattern, _ in VALUE_FIRST], cache_folder)
        first += len(patterns.apart)
        databases.append((first, 1, _cached(patterns.last_keys, cache_folder)))
    confirming = _cached(patterns.confirming, cache_folder) if patterns.confirming else None
    return Scanner(databases, confirming, patterns.meanings, value_first)


def _noting(matches: list[int], base: int) -> Callable[[int, int, int, int, object], None]:
    """Return a handler that adds to `matches`; `base` turns an end into the last byte's offset."""

    def note(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        matches.append((end << NUMBER_BITS) + number + base)

    return note


def _counting(
    note: Callable[[int, int, int, int, object], object], matches: list[int], limit: int
) -> Callable[[int, int, int, int, object], bool]:
    """Return a handler that ends the scan when there are more matches than the limit."""

    def counted(number: int, start: int, end: int, flags: int, context: object) -> bool:
        note(number, start, end, flags, context)
        return len(matches) > limit

    return counted


def _cached(patterns: Sequence[Pattern], cache_folder: Path | None) -> Any:
    if cache_folder is None:
        return _compile(patterns)
    path = cache_folder / f"{_key(patterns)}.hyperscan"
    database = _load(path)
    if database is None:
        database = _compile(patterns)
        _store(path, database)
    return database


def _compile(patterns: Sequence[Pattern]) -> Any:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = [_FLAGS | (hyperscan.HS_FLAG_CASELESS if caseless else 0) for _, caseless in patterns]
    try:
        database.compile(
            expressions=[pattern for pattern, _ in patterns],
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=flags,
        )
    except hyperscan.error as error:
        raise ValueError(
            f"Hyperscan refuses a pattern of the redaction's rules: {error}"
        ) from error
    return database


def _key(patterns: Sequence[Pattern]) -> str:
    digest = hashlib.sha256(_FORMAT)
    for part in (version("hyperscan"), *os.uname()[3:], _processor()):
        digest.update(part.encode() + b"\0")
    for pattern, caseless in patterns:
        digest.update(b"%d%b\0" % (caseless, pattern))
    return digest.hexdigest()[:32]


def _processor() -> str:
    """Return what is known of the processor: a database is made for its instructions."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return ""


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_DATABASE_BYTES or path.stat().st_uid != os.getuid():
            return None
        return hyperscan.loadb(path.read_bytes(), hyperscan.HS_MODE_BLOCK)
    except FileNotFoundError:
        return None
    except (OSError, hyperscan.error) as error:
        logger.warning("the compiled rules in %s can't be used, compiling anew: %s", path, error)
        return None


def _store(path: Path, database: Any) -> None:
    """Write the database beside its place and rename it: a reader sees all of it or nothing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(hyperscan.dumpb(database))
        Path(name).replace(path)
    except OSError as error:
        logger.info("compiled rules are not kept in %s: %s", path.parent, error.strerror)
