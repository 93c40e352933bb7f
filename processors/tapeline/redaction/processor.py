"""The redaction as a step of the chain."""

import logging
import os
import secrets
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory
from tapeline.redaction.audit import VERSION_LENGTH, AuditLog
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.redaction.hmac_keys import key_from_file, key_made_once
from tapeline.redaction.masks import MIN_HMAC_KEY_BYTES
from tapeline.redaction.metrics import RedactionMetrics, metrics_on
from tapeline.redaction.policy import Policies, Policy, policies_of, services_of, with_containers

__all__ = ["FACTORY", "RedactionProcessor", "build"]

logger = logging.getLogger(__name__)

CACHE_VARIABLES: Final = ("TAPELINE_CACHE_DIR", "XDG_CACHE_HOME")
STATE_VARIABLES: Final = ("TAPELINE_STATE_DIR", "XDG_STATE_HOME")

# Offline, the same input must give the same bytes on every machine, so this is no secret: tokens
# made with it can be checked against guesses.
_OFFLINE_KEY: Final = b"tapeline process: one fixed key, for tokens in recordings"


class RedactionProcessor:
    """Takes the secrets out of each request. What it can't look at in full it refuses."""

    name = "redaction"

    def __init__(self, policies: Policies, metrics: RedactionMetrics, audit: AuditLog) -> None:
        self._policies = policies
        self._metrics = metrics
        self._audit = audit
        self._version = policies.fingerprint[:VERSION_LENGTH]

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Return the batch without secrets: the same object where nothing had to change.

        Raises MalformedRequestError where the request does not parse or nests too deeply.
        """
        try:
            record_count = batch.framing.record_count
            result, outcome = self._by_service(batch, now_unix_nano)
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

    def _by_service(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, str]:
        """Apply the policy of each service; where none has its own, that of the signal."""
        general = self._policies.by_signal[batch.signal]
        own = self._policies.by_service[batch.signal]
        if not own:
            return self._redact(batch, general, now_unix_nano)
        policies = [own.get(name, general) for name in services_of(batch.signal, batch.request)]
        if all(policy is general for policy in policies):
            return self._redact(batch, general, now_unix_nano)
        parts: list[tuple[Batch, str]] = []
        numbered = list(enumerate(policies))
        for _, group in groupby(numbered, key=lambda item: id(item[1])):
            members = list(group)
            part = with_containers(batch, [number for number, _ in members])
            parts.append(self._redact(part, members[0][1], now_unix_nano))
        outcomes = {outcome for _, outcome in parts}
        outcome = next(name for name in _OUTCOMES if name in outcomes)
        if outcome in {"unchanged", "observed"}:
            return batch, outcome
        # Requests that stand one after the other are one request with all of their resources
        # (protobuf's encoding, "last one wins" and merging).
        return batch.with_payload(b"".join(part.payload for part, _ in parts)), outcome

    def _redact(self, batch: Batch, policy: Policy | None, now_unix_nano: int) -> tuple[Batch, str]:
        if policy is None:
            return batch, "unchanged"
        observing = policy.mode is Mode.OBSERVE
        self._audit.begin(_CONTEXTS[batch.signal, observing] + self._version, now_unix_nano)
        redacted = policy.redactor.redact(batch)
        self._metrics.count_hits(batch.signal, redacted.hits, observed=observing)
        if observing:
            return batch, "observed" if redacted.hits else "unchanged"
        if redacted.batch is batch:
            return batch, "unchanged"
        return redacted.batch, "redacted" if redacted.hits else "normalized"


_OUTCOMES: Final = ("redacted", "normalized", "observed", "unchanged")
"""What becomes of a request, the outcome that says most of its parts first."""

_CONTEXTS: Final = {
    (signal, observing): f"signal={signal}{' mode=observe' if observing else ''} policy="
    for signal in Signal
    for observing in (False, True)
}


def build(config: RedactionConfig, context: ProcessorContext) -> Processor:
    """Make the processor; raises ValueError where a rule or the key file can't be used."""
    audit = AuditLog(config.audit_lines_per_minute if context.live else 0)
    key = _hmac_key(config, live=context.live)
    policies = policies_of(config, key, audit.note, _folder(CACHE_VARIABLES, ".cache", "rules"))
    return RedactionProcessor(policies, metrics_on(context.registry), audit)


FACTORY: Final = ProcessorFactory(name="redaction", config_model=RedactionConfig, build=build)


def _hmac_key(config: RedactionConfig, *, live: bool) -> bytes:
    if not live:
        return _OFFLINE_KEY
    if config.hmac_key_file is not None:
        return key_from_file(config.hmac_key_file)
    path = config.hmac_key_path or _folder(STATE_VARIABLES, ".local/state", "hmac_key")
    try:
        if path is None:
            raise FileNotFoundError(None, "no folder for the state is known")
        return key_made_once(path)
    except OSError as error:
        if config.hmac_key_path is not None:
            raise ValueError(f"hmac_key_path: {path} can't be used: {error.strerror}") from error
        # Tokens that differ from worker to worker are better than a gate that does not start.
        logger.warning(
            "no key for tokens can be kept at %s (%s): until the next start, metric labels with a"
            " secret carry tokens of this worker alone; set redaction.hmac_key_file",
            path,
            error.strerror,
        )
        return secrets.token_bytes(MIN_HMAC_KEY_BYTES)


def _folder(variables: tuple[str, str], home_folder: str, name: str) -> Path | None:
    """Return a path of the user's cache or state, by the XDG base directory specification.

    None where there is neither a variable nor a home folder.
    """
    own, of_all_programs = (os.environ.get(variable) for variable in variables)
    if own:
        return Path(own) / name
    try:
        base = Path(of_all_programs) if of_all_programs else Path.home() / home_folder
    except RuntimeError:
        return None
    return base / "tapeline" / name
