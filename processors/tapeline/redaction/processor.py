"""The redaction as a step of the chain."""

import os
import secrets
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.redaction.core import Redactor
from tapeline.redaction.fast import FastRedactor, fast_redactor
from tapeline.redaction.judge import Judge
from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES
from tapeline.redaction.metrics import RedactionMetrics, metrics_on
from tapeline.redaction.pack import Pack, load_pack

__all__ = ["FACTORY", "RedactionProcessor", "build"]

MAX_HMAC_KEY_BYTES: Final = 4096
MAX_JUDGES: Final = 2
"""The one in use, and the one of a reload."""

# Offline, the same input must give the same bytes on every machine, so this is no secret: tokens
# made with it can be checked against guesses.
_OFFLINE_KEY: Final = b"tapeline process: one fixed key, for tokens in recordings"


class RedactionProcessor:
    """Masks the secrets of each request. What it can't look at in full it refuses."""

    name = "redaction"

    def __init__(self, redactor: FastRedactor, mode: Mode, metrics: RedactionMetrics) -> None:
        self._redactor = redactor
        self._mode = mode
        self._metrics = metrics

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Return the batch without secrets: the same object where nothing had to change.

        Raises MalformedRequestError where the request does not parse or nests too deeply.
        """
        del now_unix_nano
        try:
            record_count = batch.framing.record_count
            result, outcome = self._redact(batch)
        except MalformedRequestError:
            self._metrics.count_request(batch.signal, "refused")
            raise
        self._metrics.count_request(batch.signal, outcome)
        self._metrics.count_records(batch.signal, record_count)
        return Result(result)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing: the redaction holds nothing back."""
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing: the redaction holds nothing back."""
        del now_unix_nano
        return ()

    def _redact(self, batch: Batch) -> tuple[Batch, str]:
        redacted = self._redactor.redact(batch)
        hits = redacted.hits
        self._metrics.count_hits(batch.signal, hits, observed=self._mode is Mode.OBSERVE)
        if self._mode is Mode.OBSERVE:
            return batch, "observed" if hits else "unchanged"
        if redacted.batch is batch:
            return batch, "unchanged"
        return redacted.batch, "redacted" if hits else "normalized"


def build(config: RedactionConfig, context: ProcessorContext) -> Processor:
    """Make the processor; raises ValueError where the key file can't be used."""
    judge = _judge(load_pack(), config.keep, config.deny)
    redactor = Redactor(judge, _hmac_key(config.hmac_key_file, live=context.live))
    fast = fast_redactor(redactor, _cache_folder())
    return RedactionProcessor(fast, config.mode, metrics_on(context.registry))


FACTORY: Final = ProcessorFactory(name="redaction", config_model=RedactionConfig, build=build)


@lru_cache(MAX_JUDGES)
def _judge(pack: Pack, keep: tuple[str, ...], deny: tuple[str, ...]) -> Judge:
    """Return the judge of these rules, made once: compiling them takes about a second."""
    return Judge(pack, keep=keep, deny=deny)


def _hmac_key(path: Path | None, *, live: bool) -> bytes:
    if not live:
        return _OFFLINE_KEY
    if path is None:
        return secrets.token_bytes(MIN_HMAC_KEY_BYTES)
    try:
        with path.open("rb") as file:
            key = file.read(MAX_HMAC_KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(f"hmac_key_file: {path} can't be read: {error.strerror}") from error
    key = key.removesuffix(b"\n").removesuffix(b"\r")
    if not MIN_HMAC_KEY_BYTES <= len(key) <= MAX_HMAC_KEY_BYTES:
        found = f"{len(key)}" if len(key) < MIN_HMAC_KEY_BYTES else "more"
        raise ValueError(
            f"hmac_key_file: {path} must hold a key of {MIN_HMAC_KEY_BYTES} to"
            f" {MAX_HMAC_KEY_BYTES} bytes, but holds {found}; make one with"
            " `openssl rand -hex 32`"
        )
    return key


def _cache_folder() -> Path:
    """Return where compiled rules are kept; where it can't be written, each start compiles."""
    base = os.environ.get("TAPELINE_CACHE_DIR")
    if base:
        return Path(base) / "rules"
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "tapeline" / "rules"
