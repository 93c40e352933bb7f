"""`tapeline serve`: one process, or a parent of several, from start to exit status."""

import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from tapeline.admin.server import AdminServer, Health, bind, bind_unix
from tapeline.admin.tap_door import FeedMaker, TapDoor, read_tap_tokens
from tapeline.pipeline.form import running_form
from tapeline.pipeline.processor import Report
from tapeline.tap.feed import Feed, LocalFeed
from tapeline.tap.filters import TapFilter
from tapeline.tap.metrics import DoorMetrics
from tapeline.transport.quarantine import QuarantineForm
from tapeline.transport.sidecar import ChainBuilder, ServiceSettings, Sidecar
from tapeline.transport.tap_relay import RelayFeed
from tapeline.transport.worker_seat import WorkerSeat, watch_parent
from tapeline.transport.workers import Workers

__all__ = ["ChainBuilder", "ServiceSettings", "Sidecar", "run"]

logger = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOK_PERIOD_S: Final = 0.2
_WORKER_START_S: Final = 10.0
_HARD_STOP_S: Final = 1.0  # beyond drain_timeout


def run(
    settings: ServiceSettings,
    build_chain: ChainBuilder,
    *,
    reload_chain: ChainBuilder | None = None,
    quarantine_form: QuarantineForm | None = None,
    worker_command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status. Call it from the main thread.

    `reload_chain` builds the chain anew at SIGHUP, from the configuration as it then is (None:
    from the same). `worker_command` is the command line of this very process; with
    `server.workers` above 1 each worker is started with it, and finds out from its environment
    that it is one.

    Raises ListenError or AdminListenError for a taken port, ValueError or OSError for files that
    can't be used, and whatever `build_chain` raises. Each message is for the user.
    """
    if settings.admin.tap is not None:
        read_tap_tokens(settings.admin.tap)
    seat = WorkerSeat.of_this_process(os.environ if environment is None else environment)
    if seat is None and settings.server.workers > 1:
        return _run_parent(settings, worker_command)
    return _run_one(settings, build_chain, reload_chain or build_chain, quarantine_form, seat)


class _Signals:
    """Turns signals into bytes of a pipe, for the main thread to take.

    The kernel gives a signal to any thread, and Python runs its handler only when the main thread
    next runs. One that waits for a lock or a queue would not notice; the pipe wakes it up.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._former = {number: signal.signal(number, _ignore) for number in _SIGNALS}
        self._former_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def pretend(self, number: signal.Signals) -> None:
        """Act as though a signal had arrived."""
        os.write(self._writer, bytes([number]))

    def next(self, timeout_s: float | None) -> signal.Signals | None:
        """Return the next signal that is meant for us; None where none arrives in time."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        if not ready:
            return None
        (number,) = os.read(self._reader, 1)
        return next((known for known in _SIGNALS if known == number), None)

    def restore(self) -> None:
        """Give signals back to those who had them."""
        signal.set_wakeup_fd(self._former_wakeup)
        for number, handler in self._former.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: Python has written the signal's number to the pipe already."""


class _OneProcess:
    """The admin server's view of a sidecar in this process."""

    def __init__(self) -> None:
        self.sidecar: Sidecar | None = None
        self.door_registry = CollectorRegistry()

    async def health(self) -> Health:
        if self.sidecar is None:
            return Health(("starting",))
        return Health(self.sidecar.problems())

    async def exposition(self) -> bytes:
        of_sidecar = b"" if self.sidecar is None else self.sidecar.exposition()
        return of_sidecar + generate_latest(self.door_registry)

    def feed(self, wanted: TapFilter, authorization: str) -> Feed | None:
        del authorization  # The door has looked at it.
        tap = None if self.sidecar is None else self.sidecar.tap
        return None if tap is None else LocalFeed(tap, wanted)

    async def reports(self, name: str) -> Sequence[Report | None]:
        # In a thread: the chain's lock is held for as long as a batch takes.
        return [
            None if self.sidecar is None else await asyncio.to_thread(self.sidecar.report, name)
        ]


def _door(
    settings: ServiceSettings, make_feed: FeedMaker, registry: CollectorRegistry
) -> TapDoor | None:
    section = settings.admin.tap
    return None if section is None else TapDoor(section, make_feed, DoorMetrics(registry))


def _run_one(
    settings: ServiceSettings,
    build_chain: ChainBuilder,
    reload_chain: ChainBuilder,
    quarantine_form: QuarantineForm | None,
    seat: WorkerSeat | None,
) -> int:
    signals = _Signals()
    view = _OneProcess()
    listener = bind(settings.admin) if seat is None else bind_unix(Path(seat.socket_path))
    # Readers come to the parent, which counts them; a worker counts none.
    registry = view.door_registry if seat is None else CollectorRegistry()
    admin = AdminServer(listener, view, settings.pages, _door(settings, view.feed, registry))
    admin.start()
    if seat is not None:
        watch_parent(lambda: signals.pretend(signal.SIGTERM))
    try:
        sidecar = Sidecar(
            settings,
            worker_index=0 if seat is None else seat.index,
            quarantine_form=quarantine_form,
        )
        view.sidecar = sidecar
        try:
            address = sidecar.listen()
            sidecar.serve(build_chain)
            _log_start(settings, str(address), "" if seat else f", admin {admin.address}")
            while (number := signals.next(None)) not in {signal.SIGTERM, signal.SIGINT}:
                if number is signal.SIGHUP:
                    sidecar.reload(reload_chain)
            logger.info("%s: draining", number.name if number else "end")
            _limit_drain(settings.server.drain_timeout)
        finally:
            sidecar.drain()
    finally:
        admin.stop()
        if seat is not None:
            seat.tidy()
        signals.restore()
    logger.info("drained, exiting")
    return EXIT_OK


def _log_start(settings: ServiceSettings, address: str, admin: str) -> None:
    server = settings.server
    logger.info(
        "%s form, taking OTLP on %s, sending to %s%s",
        running_form(),
        address,
        settings.downstream.endpoint,
        admin,
    )
    if server.tls is None and not server.worker_address(0).is_loopback:
        logger.warning(
            "server.listen %s is reachable from other machines and has no TLS; set server.tls,"
            " or keep the network private",
            address,
        )


def _limit_drain(drain_timeout_s: float) -> None:
    """End the process when draining hangs: nothing is lost, since nothing was acknowledged.

    A processor stuck in a loop holds a thread that Python would wait for at exit, for ever.
    """

    def end() -> None:
        time.sleep(drain_timeout_s + _HARD_STOP_S)
        logger.error("a processor did not end in time; exiting without it")
        sys.stderr.flush()
        os._exit(EXIT_OK)

    threading.Thread(target=end, name="tapeline-hard-stop", daemon=True).start()


def _run_parent(settings: ServiceSettings, worker_command: Sequence[str]) -> int:
    if not worker_command:
        raise ValueError("server.workers above 1 needs the command line of a worker")
    signals = _Signals()
    registry = CollectorRegistry()
    workers = Workers(worker_command, settings.server.workers, registry)

    def feed(wanted: TapFilter, authorization: str) -> Feed:
        return RelayFeed(workers.sockets, wanted, authorization)

    door = _door(settings, feed, registry)
    admin = AdminServer(bind(settings.admin), workers, settings.pages, door)
    try:
        workers.start()
        admin.start()
        started = time.monotonic()
        while (number := signals.next(_LOOK_PERIOD_S)) not in {signal.SIGTERM, signal.SIGINT}:
            if number is signal.SIGHUP:
                workers.send(number)
            if time.monotonic() - started < _WORKER_START_S:
                status = workers.failed_at_start(_WORKER_START_S)
                if status is not None:
                    logger.error("a worker could not start; its reason stands above")
                    return status
            workers.look_after()
        logger.info("draining %d workers", settings.server.workers)
    finally:
        clean = workers.stop(settings.server.drain_timeout)
        admin.stop()
        signals.restore()
    return EXIT_OK if clean else EXIT_FAILED
