"""The end of a process whose endpoint does not answer."""

import socket
import threading
from time import monotonic

from instrument.process import run_script
from tapeline.instrument.deadline import all_within


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
