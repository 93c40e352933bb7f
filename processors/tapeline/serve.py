"""`tapeline serve`: the configuration, the chain, and the transport put together."""

import logging
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.garbage import settle_garbage
from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext, discover, load_factory
from tapeline.recorded.metadata import Policy
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.enforced import enforced, version_of
from tapeline.settings import Settings, build_chain, check_record, load_settings
from tapeline.transport.service import ServiceSettings, run

__all__ = ["EnforcedRedaction", "RecordPolicy", "serve_command"]

logger = logging.getLogger(__name__)

EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 2
_LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def serve_command(config: Path) -> int:
    """Run the sidecar until SIGTERM or SIGINT; return the exit code.

    0 after a drain, 1 where a port or a file can't be used, 2 where the configuration can't.
    """
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stderr)
    try:
        settings = load_settings(config)
        form = EnforcedRedaction(settings)
        policy = RecordPolicy(settings)
        return run(
            ServiceSettings(
                settings.server,
                settings.downstream,
                settings.admin,
                _pages_of(settings),
                settings.record,
                policy,
            ),
            lambda context: _settled(build_chain(settings, context, _mask(settings))),
            reload_chain=lambda context: _reload(config, settings, (form, policy), context),
            quarantine_form=form,
            worker_command=(sys.executable, "-m", "tapeline.cli", "serve", "--config", str(config)),
        )
    except ConfigError as error:
        for problem in error.problems:
            logger.error("%s", problem)  # noqa: TRY400 - the message is for the user as it is.
        return EXIT_CONFIG
    except (OSError, ValueError) as error:
        logger.error("%s", error)  # noqa: TRY400 - as above.
        return EXIT_FAILED


def _mask(settings: Settings) -> "EnforcedRedaction":
    """Return what the tap masks by: the rules of these settings, enforced, made when needed."""
    return EnforcedRedaction(settings, audits=False)


def _pages_of(settings: Settings) -> dict[str, Page]:
    pages = {name: settings.factories[name].page for name in settings.chain.names}
    return {name: page for name, page in pages.items() if page is not None}


def _reload(
    config: Path,
    running: Settings,
    followers: tuple["EnforcedRedaction", "RecordPolicy"],
    context: ProcessorContext,
) -> Chain:
    """Build the chain of the configuration as it is now; raises ConfigError where it is bad."""
    fresh = load_settings(config)
    # What is recorded now goes on being recorded, whatever the section says by now.
    check_record(fresh, running.record)
    for name in ("server", "downstream", "admin", "record"):
        if getattr(fresh, name) != getattr(running, name):
            logger.warning(
                "%s: the section %r changed; that takes effect at the next start", config, name
            )
    chain = build_chain(fresh, context, _mask(fresh))
    for follower in followers:
        follower.follow(fresh)
    return _settled(chain)


def _settled(chain: Chain) -> Chain:
    """Return a chain before its first batch, with nothing of it in the way of a batch."""
    settle_garbage()
    return chain


class RecordPolicy:
    """Tells by which rules the chain redacts now, for the metadata of recordings. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Work nothing out yet: mostly nothing is recorded."""
        self._settings = settings
        self._policy: Policy | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Policy:
        """Return the policy of now; raises ValueError where the rules can't be used."""
        with self._lock:
            if self._policy is None:
                self._policy = _record_policy(self._settings)
            return self._policy

    def follow(self, settings: Settings) -> None:
        """Tell of other settings from now on. Whether it records raw changes at a start alone."""
        with self._lock:
            self._settings = replace(settings, record=self._settings.record)
            self._policy = None


def _record_policy(settings: Settings) -> Policy:
    section = settings.sections.get("redaction")
    if settings.record.raw or not isinstance(section, RedactionConfig):
        return Policy(raw=True)
    config_sha256, rules = version_of(section)
    return Policy(raw=False, config_sha256=config_sha256, rules=rules)


class EnforcedRedaction:
    """Redacts what the chain failed on, with the redaction alone; None where that fails too.

    It enforces for every service, whatever the settings say, so the tap masks by it as well.
    Thread-safe: requests may be given up at the same time, and during a reload.
    """

    def __init__(self, settings: Settings, *, audits: bool = True) -> None:
        """Build nothing yet: most processes never give anything up.

        `audits` says whether the log tells of what was found.
        """
        self._settings = settings
        self._audits = audits
        self._redaction: Processor | None = None
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> bytes | None:
        """Return the redacted payload; raises whatever the redaction raises."""
        with self._lock:
            if self._redaction is None:
                self._redaction = self._build()
            result = self._redaction.process(batch, 0)
        return result.batch.payload if result.batch is not None else None

    def follow(self, settings: Settings) -> None:
        """Redact by other settings from now on."""
        with self._lock:
            self._settings = settings
            self._redaction = None

    def _build(self) -> Processor:
        # Its own registry: what is done for the quarantine must not count as traffic.
        context = ProcessorContext(CollectorRegistry())
        factory = load_factory(discover()["redaction"])
        section = self._settings.sections.get("redaction")
        # Default rules where the chain has no redaction.
        section = enforced(section if isinstance(section, RedactionConfig) else RedactionConfig())
        if not self._audits:
            section = section.model_copy(update={"audit_lines_per_minute": 0})
        return factory.build(section, context)
