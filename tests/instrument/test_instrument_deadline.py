"""The end of a process whose endpoint does not answer."""

import socket
import threading
from time import monotonic

import pytest

from demo.demo_sink import OtlpSink
from instrument.process import run_script
from tapeline.instrument.deadline import all_within

# grpc's own threads are not made for a fork.
OVER_HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def test_an_endpoint_that_never_answers_holds_up_nobody() -> None:
    """It takes connections and says nothing: flush and shutdown keep to their times, and say so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run_script("held", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    went, flushed_s, ended_s = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert went == "False"
    # The SDK's own export gives up after 10 s, and has six batches here.
    assert float(flushed_s) < 9
    assert float(ended_s) < 9
    assert "what was held is lost" in done.stderr


@pytest.mark.parametrize(
    "environment",
    [{}, {"THREADS_REFUSED": "1"}, {"FORKED": "1"}, {"FORKED": "1", "THREADS_REFUSED": "1"}],
)
def test_the_exit_of_a_process_is_bounded(environment: dict[str, str]) -> None:
    """Without shutdown(), of a fork too, and where it starts no thread, as from Python 3.12 on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run_script(
            "ends", OVER_HTTP | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} | environment
        )

    times = [float(line) for line in done.stdout.split()]
    assert len(times) == 1 + len(environment.keys() & {"FORKED"}), done.stderr
    # One signal's export alone gives up after ten times the timeout, the SDK's end after thirty.
    assert all(0.9 < each < 9 for each in times)
    assert done.stderr.count("what was held is lost") == len(times)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("environment", [{"THREADS_REFUSED": "1"}, {"FORKED": "1"}])
def test_what_is_held_at_the_exit_goes(environment: dict[str, str]) -> None:
    """Where there is somebody to take it; each process its own."""
    with OtlpSink() as sink:
        done = run_script("ends", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint} | environment)

        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        processes = 1 + len(environment.keys() & {"FORKED"})
        assert [span.name for _, span in sink.spans()] == ["work"] * processes
        assert len(sink.logs()) == processes
        assert len([each for _, each in sink.metrics() if each.name == "work.done"]) == processes


def test_calls_without_a_thread_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, each as long as it takes."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    made: list[int] = []

    assert all_within([lambda: made.append(1), lambda: made.append(2)], 10)
    assert made == [1, 2]
    assert not all_within([lambda: False], 10)


def test_calls_are_made_side_by_side_and_judged_together() -> None:
    """True and nothing are good; False, an exception, and one that does not come back are not."""
    both = threading.Barrier(2)

    def meet() -> bool:
        both.wait(10)
        return True

    def fail() -> bool:
        raise OSError("no")

    assert all_within([meet, meet], 10)
    assert all_within([lambda: None], 10)
    assert not all_within([lambda: True, lambda: False], 10)
    assert not all_within([fail], 10)
    never = threading.Event()
    began = monotonic()
    assert not all_within([lambda: never.wait(60), lambda: True], 0.05)
    assert monotonic() - began < 30
    never.set()
