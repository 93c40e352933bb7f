"""Looks for secrets in what came out: given ones in usual spellings, or what the rules find."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import quote, quote_plus

from prometheus_client import CollectorRegistry

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext, discover, load_factory
from tapeline.recording.comparison import ABSENT, compare_records, leaves
from tapeline.recording.difference_text import title
from tapeline.recording.records import Record, Value, records_of

__all__ = ["Leak", "given_secrets_in", "secrets_by_rules_in"]

_LEAST_SECRET: Final = 4
"""Characters; a shorter text stands everywhere by chance."""
_LEAST_ENCODED: Final = 8
_BASE64_GROUP: Final = 3


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that came out, told without telling it."""

    what: str
    path: str
    where: str

    @property
    def text(self) -> str:
        """One line: what, in which field, of which record."""
        return f"{self.what} in {self.path} of {self.where}"


def given_secrets_in(batches: Sequence[Batch], secrets: Iterable[str | bytes]) -> list[Leak]:
    """Return where these secrets stand: as they are, or in URL-encoding, JSON, base64 or hex.

    Raises ValueError for a secret that is too short to be looked for.
    """
    found: list[Leak] = []
    for number, secret in enumerate(secrets, start=1):
        plain = secret.encode() if isinstance(secret, str) else secret
        if len(plain) < _LEAST_SECRET:
            raise ValueError(
                f"secret {number} has {len(plain)} bytes: at least {_LEAST_SECRET}, or it stands"
                " in most telemetry by chance"
            )
        what = f"secret {number} (of {len(plain)} bytes)"
        for spelling, form in _spellings(plain).items():
            needle = form.lower()
            for batch in batches:
                # Whatever field it stands in, known or not: the bytes are searched, then named.
                if needle in batch.payload.lower():
                    found.extend(_places(batch, needle, f"{what}{spelling}"))
    return list(dict.fromkeys(found))


def secrets_by_rules_in(batches: Iterable[Batch]) -> list[Leak]:
    """Return what the built-in rules of the redaction still find in what came out."""
    redaction = _redaction()
    found: list[Leak] = []
    for batch in batches:
        after = redaction.process(batch, 0).batch
        kept = [] if after is None else list(records_of(after))
        difference = compare_records(records_of(batch), kept)
        for change in difference.changed:
            where = title(change.after)
            # A path that is gone may have been the secret itself.
            paths = ["a key" if field.after is ABSENT else field.path for field in change.fields]
            found.extend(Leak("something that looks like a secret", p, where) for p in paths)
        found.extend(
            Leak("something that looks like a secret", "some field", _kind_of(record))
            for record in difference.removed
        )
    return found


def _spellings(secret: bytes) -> Mapping[str, bytes]:
    """Return the forms that a secret is looked for in, each with words for it."""
    forms = {"": secret, " in hex": secret.hex().encode()}
    text = secret.decode("utf-8", "replace")
    forms[" URL-encoded"] = quote(text, safe="").encode()
    forms[" form-encoded"] = quote_plus(text).encode()
    forms[" in JSON"] = json.dumps(text)[1:-1].encode()
    for shift in range(_BASE64_GROUP):
        # What stands before it moves the groups of three; the first and the last may be shared.
        for name, encode in (("base64", b64encode), ("URL-safe base64", urlsafe_b64encode)):
            padded = encode(bytes(shift) + secret)
            begin = 0 if shift == 0 else 4
            whole = (shift + len(secret)) // _BASE64_GROUP * 4
            forms[f" in {name}, shifted by {shift}"] = padded[begin:whole]
    # A form that is the secret itself, or too short to mean anything, says nothing more.
    return {
        spelling: form
        for spelling, form in forms.items()
        if not spelling or (len(form) >= _LEAST_ENCODED and form != secret)
    }


def _places(batch: Batch, needle: bytes, what: str) -> Iterator[Leak]:
    named = False
    for record in records_of(batch):
        for path, value in leaves(record).items():
            if needle in _searchable(path, value):
                named = True
                yield Leak(what, _masked(path, needle), _kind_of(record))
    if not named:
        yield Leak(what, "a field that OTLP does not define", f"a request of {batch.signal}")


def _searchable(path: str, value: Value) -> bytes:
    """Return a leaf as lower-case bytes: its key, and what text there is in it."""
    return f"{path}\n".encode().lower() + b"\n".join(_bytes_in(value))


def _bytes_in(value: Value) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode().lower()
    elif isinstance(value, bytes):
        yield value.lower()
    elif isinstance(value, tuple):
        for item in value:
            yield from _bytes_in(item)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key.encode().lower()
            yield from _bytes_in(inner)


def _masked(path: str, needle: bytes) -> str:
    """Return a path as far as nothing of the secret stands in it."""
    place = path.lower().encode().find(needle)
    if place < 0:
        return path
    before = path.encode()[:place].decode("utf-8", "ignore")
    return f"{before.rpartition('.')[0]}, in a key,"


def _kind_of(record: Record) -> str:
    """Return what a record is without anything that could be the secret."""
    return f"a record of {record.signal}, {len(leaves(record))} fields"


@cache
def _redaction() -> Processor:
    factory = load_factory(discover()["redaction"])
    section = factory.config_model.model_validate({})
    return factory.build(section, ProcessorContext(CollectorRegistry(), live=False))
