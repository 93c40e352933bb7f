"""Sidecars in the test's own process, and what they count."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from prometheus_client.parser import text_string_to_metric_families

from tapeline.admin.config import AdminConfig
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from tapeline.pipeline.addresses import Address
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.transport.config import DownstreamConfig, ServerConfig
from tapeline.transport.gate import BatchChain
from tapeline.transport.quarantine import QuarantineForm
from tapeline.transport.sidecar import ServiceSettings, Sidecar
from waiting import eventually


@dataclass(frozen=True)
class ClosedMark:
    """A processor that only says whether its chain was closed."""

    was_closed: bool
    name: str = "mark"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Change nothing."""
        del now_unix_nano
        return Result(batch)

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    close = tick


@dataclass
class PlainChain:
    """A chain in which a test decides what happens; by default every batch passes unchanged."""

    on_process: Callable[[Batch], tuple[Batch, ...]] = lambda batch: (batch,)
    on_tick: Callable[[], tuple[Batch, ...]] = tuple
    on_close: Callable[[], tuple[Batch, ...]] = tuple
    values_cut: int = 0
    is_watched: bool = False
    processed: list[Batch] = field(default_factory=list)
    closed: bool = False
    inherited: list[Processor] = field(default_factory=list)

    def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
        """Do what the test said."""
        assert now_unix_nano > 0
        assert not self.closed
        self.processed.append(batch)
        return self.on_process(batch)

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit what the test said."""
        assert now_unix_nano > 0
        return self.on_tick()

    def close(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit what the test said, and take nothing more."""
        assert now_unix_nano > 0
        self.closed = True
        return self.on_close()

    @property
    def processors(self) -> tuple[Processor, ...]:
        """Name this chain's end, so that a successor can be seen to get it."""
        return (ClosedMark(self.closed),)

    def take_over(self, predecessors: Iterable[Processor]) -> None:
        """Note whose state this goes on from."""
        self.inherited.extend(predecessors)


@dataclass(frozen=True)
class Answered:
    """How a client's call ended."""

    code: grpc.StatusCode
    details: str = ""
    response: bytes = b""
    status_details: bytes | None = None


@dataclass
class Client:
    """A raw OTLP client."""

    channel: grpc.Channel

    def export(
        self,
        payload: bytes,
        signal: Signal = Signal.LOGS,
        *,
        metadata: Sequence[tuple[str, str]] = (),
        compression: grpc.Compression | None = None,
        timeout_s: float = 20.0,
    ) -> Answered:
        """Send a request and return how it ended."""
        call: Callable[..., bytes] = self.channel.unary_unary(EXPORT_METHODS[signal])
        try:
            response = call(
                payload, timeout=timeout_s, metadata=tuple(metadata), compression=compression
            )
        except grpc.RpcError as error:
            return _answered(error)
        return Answered(grpc.StatusCode.OK, response=response)


def _answered(error: grpc.RpcError) -> Answered:
    # In the synchronous client an error is the call too; the stubs don't say so.
    call: grpc.Call = error  # type: ignore[assignment]
    trailing = dict(call.trailing_metadata() or ())
    details = trailing.get("grpc-status-details-bin")
    return Answered(
        call.code(),
        call.details() or "",
        status_details=details if isinstance(details, bytes) else None,
    )


@dataclass
class Running:
    """A running sidecar with a client on it."""

    sidecar: Sidecar
    address: Address
    client: Client
    chain: BatchChain

    def count(self, name: str, **labels: str) -> float:
        """Return the value of one of its series; fail where there is none."""
        text = self.sidecar.exposition().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        raise LookupError(f"no series {name} {labels}")

    def until_ready(self) -> None:
        """Wait until the sidecar calls itself ready."""
        eventually(lambda: not self.sidecar.problems(), timeout_s=10.0, poll_s=0.01)


def settings(
    downstream: str = "discard",
    server: dict[str, object] | None = None,
    to_downstream: dict[str, object] | None = None,
) -> ServiceSettings:
    """Return settings on free ports, with some keys set."""
    return ServiceSettings(
        ServerConfig.model_validate({"listen": "127.0.0.1:0", **(server or {})}),
        DownstreamConfig.model_validate({"endpoint": downstream, **(to_downstream or {})}),
        AdminConfig(listen="127.0.0.1:0"),
    )


@contextmanager
def running_sidecar(
    given: ServiceSettings,
    chain: BatchChain | None = None,
    quarantine_form: QuarantineForm | None = None,
    credentials: grpc.ChannelCredentials | None = None,
) -> Iterator[Running]:
    """Run a sidecar until the test ends, and drain it then."""
    used = chain if chain is not None else PlainChain()
    sidecar = Sidecar(given, quarantine_form=quarantine_form)
    try:
        address = sidecar.listen()
        sidecar.serve(lambda _context: used)
        with client(str(address), credentials) as of_sidecar:
            yield Running(sidecar, address, of_sidecar, used)
    finally:
        sidecar.drain()


@contextmanager
def client(address: str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[Client]:
    """Connect a client of its own, with large messages allowed."""
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
    ]
    if credentials is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        options.append(("grpc.ssl_target_name_override", "localhost"))  # type: ignore[arg-type]
        channel = grpc.secure_channel(address, credentials, options=options)
    with channel:
        yield Client(channel)


class Doors:
    """Holds threads until a test opens the door; counts who waits."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._waiting = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many have come to the door so far."""
        return self._waiting

    def wait(self) -> None:
        """Wait for the door; fail where nobody opens it."""
        with self._lock:
            self._waiting += 1
        assert self._open.wait(30)

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._open.set()
