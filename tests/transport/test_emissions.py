"""The buffer of emitted batches is bounded, keeps its order, and counts what it loses."""

import pytest
from prometheus_client import CollectorRegistry

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.transport.answers import Code, Failure
from tapeline.transport.emissions import Emissions
from tapeline.transport.metrics import TransportMetrics


class Recorder:
    """A forwarder that fails as it is told to."""

    problem: str | None = None

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.failure: Failure | None = None

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        """Remember a batch, unless it is told to fail."""
        assert timeout_s > 0
        if self.failure is None:
            self.sent.append(batch.payload)
        return self.failure

    def tick(self) -> None:
        """Nothing is due."""

    def reload(self) -> None:
        """Nothing to read."""

    def close(self) -> None:
        """Nothing to close."""


class Setup:
    """A buffer, its forwarder and its counts."""

    def __init__(self, max_batches: int = 4, max_bytes: int = 1000) -> None:
        self.registry = CollectorRegistry()
        self.forwarder = Recorder()
        self.emissions = Emissions(
            self.forwarder,
            TransportMetrics(self.registry),
            max_batches=max_batches,
            max_bytes=max_bytes,
        )

    def dropped(self, reason: str) -> float | None:
        """Return how many batches were lost for a reason."""
        return self.registry.get_sample_value(
            "tapeline_emissions_dropped_total", {"reason": reason}
        )

    @property
    def waiting(self) -> float | None:
        """Return the gauge of waiting batches."""
        return self.registry.get_sample_value("tapeline_emissions_waiting")


def batch(number: int, padding: int = 0) -> Batch:
    """Return a metrics batch of its own: an unknown field holds the number."""
    size = padding + 1
    return Batch(Signal.METRICS, b"\x12" + bytes([size]) + bytes([number]) * size)


@pytest.fixture(name="made")
def _made() -> Setup:
    return Setup()


def test_what_waits_is_sent_in_order(made: Setup) -> None:
    """Oldest first: a metric's points must not go backwards."""
    made.emissions.add([batch(1), batch(2)])
    made.emissions.add([batch(3)])
    made.emissions.forward(1.0)

    assert made.forwarder.sent == [batch(number).payload for number in (1, 2, 3)]
    assert made.waiting == 0


def test_what_may_pass_stays_in_front(made: Setup) -> None:
    """One that can't be sent now is the first to be sent later, and nothing overtakes it."""
    made.forwarder.failure = Failure(Code.UNAVAILABLE)
    made.emissions.add([batch(1), batch(2)])
    made.emissions.forward(1.0)
    assert (made.forwarder.sent, made.waiting) == ([], 2)

    made.forwarder.failure = None
    made.emissions.forward(1.0)
    assert made.forwarder.sent == [batch(1).payload, batch(2).payload]


def test_what_is_refused_for_good_is_dropped_and_counted(made: Setup) -> None:
    """It would block everything behind it."""
    made.forwarder.failure = Failure(Code.INVALID_ARGUMENT)
    made.emissions.add([batch(1), batch(2)])
    made.emissions.forward(1.0)

    assert (len(made.emissions), made.dropped("refused")) == (0, 2)


def test_what_is_not_otlp_is_dropped_and_counted(made: Setup) -> None:
    """A processor's bug: downstream must not see it, and the rest goes on."""
    made.emissions.add([Batch(Signal.METRICS, b"\xff"), batch(2)])
    made.emissions.forward(1.0)

    assert made.forwarder.sent == [batch(2).payload]
    assert made.dropped("malformed") == 1


def test_beyond_its_limit_the_oldest_go() -> None:
    """By count and by bytes, counted both."""
    by_count, by_bytes = Setup(max_batches=2), Setup(max_batches=100, max_bytes=100)
    by_count.emissions.add(batch(number) for number in range(5))
    by_bytes.emissions.add(batch(number, padding=37) for number in range(5))
    for made in (by_count, by_bytes):
        made.emissions.forward(1.0)

        assert made.dropped("buffer_full") == 3
        assert [payload[-1] for payload in made.forwarder.sent] == [3, 4]


def test_no_time_left_sends_nothing(made: Setup) -> None:
    """A drain's last moment must not start a new attempt."""
    made.emissions.add([batch(1)])
    made.emissions.forward(0.0)

    assert (made.forwarder.sent, len(made.emissions)) == ([], 1)


def test_what_is_left_at_shutdown_is_counted(made: Setup) -> None:
    """Lost is lost, but not silently."""
    made.emissions.add([batch(1), batch(2)])

    assert made.emissions.drop_rest() == 2
    assert (len(made.emissions), made.dropped("shutdown"), made.waiting) == (0, 2, 0)
