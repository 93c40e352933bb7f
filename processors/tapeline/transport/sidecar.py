"""One sidecar in one process: server, chain, forwarder and ticker, from start to drained."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from tapeline.admin.config import AdminConfig
from tapeline.pipeline.addresses import Address
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report
from tapeline.pipeline.registry import ProcessorContext
from tapeline.recorded.metadata import Policy
from tapeline.tap.metrics import TapMetrics
from tapeline.tap.tap import Tap
from tapeline.transport.answers import Event
from tapeline.transport.config import DownstreamConfig, ServerConfig
from tapeline.transport.emissions import Emissions, Ticker
from tapeline.transport.forwarder import make_forwarder
from tapeline.transport.gate import BatchChain, ChainSlot, Gate
from tapeline.transport.metrics import TransportMetrics
from tapeline.transport.quarantine import Quarantine, QuarantineForm
from tapeline.transport.record_config import RecordConfig
from tapeline.transport.server import OtlpServer

if TYPE_CHECKING:
    # Loaded where something is recorded: a gate must start fast.
    from tapeline.transport.tee import Tee

__all__ = ["ChainBuilder", "ServiceSettings", "Sidecar"]

logger = logging.getLogger(__name__)

ChainBuilder: TypeAlias = Callable[[ProcessorContext], BatchChain]
"""Builds a chain; raises ValueError or OSError that tells the user what is wrong."""

_SHARE_FOR_REQUESTS: Final = 0.8
"""The share of drain_timeout for requests in flight; the rest is for the last emissions."""

_LAST_FILE_S: Final = 0.5
"""What a recording gets to be completed, also where nothing is left of drain_timeout."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The sections of the configuration that the transport needs, and the admin server's pages.

    Each page shows what the processor of its name reports. `record_policy` says by which rules what
    is recorded was redacted.
    """

    server: ServerConfig
    downstream: DownstreamConfig
    admin: AdminConfig
    pages: Mapping[str, Page] = field(default_factory=dict)
    record: RecordConfig = field(default_factory=RecordConfig)
    record_policy: Callable[[], Policy] = field(default=lambda: Policy(raw=True))


class Sidecar:
    """What `tapeline serve` runs in one process. Start it, reload it, drain it once."""

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        worker_index: int = 0,
        quarantine_form: QuarantineForm | None = None,
    ) -> None:
        """Make everything but the chain; raises ValueError, OSError where a file can't be used."""
        server = settings.server
        # They double the series, and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._settings = settings
        self._worker_index = worker_index
        self._registry = CollectorRegistry()
        self._chain_registry = CollectorRegistry()
        self._metrics = TransportMetrics(self._registry)
        self._draining = False
        self._was_ready = False
        self._reloading = threading.Lock()
        self._slot = ChainSlot(self._metrics)
        self._tap = self._made_tap()
        self._tee = self._made_tee()
        quarantine = None
        if server.quarantine is not None:
            quarantine = Quarantine(server.quarantine, quarantine_form)
            quarantine.prepare()
        self._server: OtlpServer | None = None
        self._forwarder = make_forwarder(settings.downstream, self._metrics, self._note_health)
        self._gate = Gate(
            self._slot,
            self._forwarder,
            self._metrics,
            max_attempts=server.max_attempts,
            forward_timeout_s=settings.downstream.timeout,
            quarantine=quarantine,
            tap=self._tap,
            tee=self._tee,
        )
        self._emissions = Emissions(self._forwarder, self._metrics, tap=self._tap, tee=self._tee)
        self._server = OtlpServer(
            server, server.worker_address(worker_index), self._gate, self._metrics
        )
        self._ticker = Ticker(
            self._slot,
            self._emissions,
            self._metrics,
            forward_timeout_s=settings.downstream.timeout,
            also=self._tick,
        )

    @property
    def tap(self) -> Tap | None:
        """Where readers look; None where the configuration has no tap."""
        return self._tap

    def _made_tap(self) -> Tap | None:
        section = self._settings.admin.tap
        if section is None:
            return None
        return Tap(
            TapMetrics(self._registry),
            self._slot.set_watched,
            records_per_s=section.max_records_per_s / self._settings.server.workers,
            worker=self._worker_index,
        )

    def _made_tee(self) -> "Tee | None":
        if self._settings.record.folder is None:
            return None
        from tapeline.transport.tee import Tee  # noqa: PLC0415 - as above

        return Tee(
            self._settings.record,
            self._metrics.record,
            self._settings.record_policy,
            worker=str(self._worker_index) if self._settings.server.workers > 1 else "",
        )

    def listen(self) -> Address:
        """Open the OTLP port, and return it; raises ListenError. Requests are told to wait."""
        return self._checked_server.start()

    def serve(self, build_chain: ChainBuilder) -> None:
        """Build the chain and take requests; raises what the builder raises."""
        chain, registry = self._built(build_chain)
        self._chain_registry = registry
        self._slot.swap(chain, time.time_ns())
        self._checked_server.accept()
        self._ticker.start()
        self._note_health()

    def reload(self, build_chain: ChainBuilder) -> bool:
        """Build a new chain, read tokens and certificates again; keep the old where that fails."""
        with self._reloading:
            if self._draining:
                return False
            try:
                chain, registry = self._built(build_chain)
            # A processor may raise anything while it is built, and nothing may end the service.
            except Exception as error:  # noqa: BLE001
                return self._refuse_reload(error)
            try:
                self._checked_server.reload()
                self._forwarder.reload()
            except (ValueError, OSError) as error:
                self._discard(chain)
                return self._refuse_reload(error)
            self._swap(chain)
            self._chain_registry = registry
            logger.info("reloaded")
            self._metrics.reloads["applied"].inc()
            return True

    def _refuse_reload(self, error: Exception) -> bool:
        # Errors of our own speak for themselves; any other is told by its type as well.
        told = error if isinstance(error, ValueError | OSError) else repr(error)
        # Logged before it is counted: who sees the count finds the reason.
        logger.error("reload refused, the old configuration stays: %s", told)
        self._metrics.reloads["refused"].inc()
        return False

    def drain(self) -> None:
        """Refuse new requests, finish those in flight, forward last emissions, and stop."""
        with self._reloading:
            if self._draining:
                return
            self._draining = True
        started = time.monotonic()
        timeout_s = self._settings.server.drain_timeout
        server = self._checked_server
        server.refuse(Event.DRAINING)
        self._note_health()
        if not server.wait_until_idle(timeout_s * _SHARE_FOR_REQUESTS):
            logger.warning("some requests did not end in time; their senders will send them again")
        server.stop()
        self._ticker.stop(max(started + timeout_s - time.monotonic(), 0.0))
        self._swap(None)
        self._emissions.forward(max(started + timeout_s - time.monotonic(), 0.0))
        lost = self._emissions.drop_rest()
        if lost:
            logger.error("%d batches that processors emitted could not be forwarded", lost)
        self._forwarder.close()
        if self._tee is not None:
            self._tee.close(max(started + timeout_s - time.monotonic(), _LAST_FILE_S))

    def problems(self) -> tuple[str, ...]:
        """Return why the sidecar is not ready; empty where it is."""
        found = []
        if self._draining:
            found.append("draining: shutting down")
        elif not self._slot.is_filled:
            found.append("the chain is being built")
        if self._forwarder.problem is not None:
            found.append(self._forwarder.problem)
        return tuple(found)

    def exposition(self) -> bytes:
        """Return the metrics of the transport and of the chain, in Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(self._chain_registry)

    def report(self, name: str) -> Report | None:
        """Return what a processor of the chain reports; None where none does. Waits for a batch."""
        make = self._slot.report(name)
        return None if make is None else make()

    @property
    def _checked_server(self) -> OtlpServer:
        if self._server is None:
            raise AssertionError("the server is made in the constructor")
        return self._server

    def _built(self, build_chain: ChainBuilder) -> tuple[BatchChain, CollectorRegistry]:
        # A registry for each chain: the processors of a new one register their metrics again.
        registry = CollectorRegistry()
        context = ProcessorContext(
            registry=registry,
            worker_index=self._worker_index,
            worker_count=self._settings.server.workers,
        )
        return build_chain(context), registry

    def _discard(self, chain: BatchChain) -> None:
        """Close a chain that has seen nothing, and so has nothing to emit."""
        try:
            chain.close(time.time_ns())
        except Exception as error:  # noqa: BLE001 - as in _swap
            logger.error("closing an unused chain failed with %s", type(error).__name__)  # noqa: TRY400

    def _swap(self, chain: BatchChain | None) -> None:
        try:
            last: tuple[Batch, ...] = self._slot.swap(chain, time.time_ns())
        # A processor may raise anything at its end; the new chain is in place all the same.
        except Exception as error:  # noqa: BLE001
            self._metrics.emissions.tick_failures.inc()
            logger.error("closing the old chain failed with %s", type(error).__name__)  # noqa: TRY400
        else:
            self._emissions.add(last)

    def _note_health(self) -> None:
        problems = self.problems()
        ready = not problems
        self._metrics.ready.set(ready)
        if ready != self._was_ready and not self._draining:
            self._was_ready = ready
            if ready:
                logger.info("ready")
            else:
                logger.warning("not ready: %s", "; ".join(problems))
        if self._server is not None:
            self._server.set_serving(serving=ready)

    def _tick(self) -> None:
        self._forwarder.tick()
        self._checked_server.tick()
        self._note_health()
