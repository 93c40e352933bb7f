"""OTLP over HTTP under pressure: slow bodies, no room, an end while something is in flight."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from otlp_client import logs
from recording_process import post
from tapeline.otlp.signals import Signal
from tapeline.pipeline.addresses import Address
from tapeline.recording import http_intake
from tapeline.recording.http_intake import HttpIntake, HttpListenError
from tapeline.transport.answers import ANSWERS, Answer, Event
from waiting import eventually

PROTOBUF = "application/x-protobuf"
BODY = logs(["one"]).SerializeToString()


class Gate:
    """Takes requests; can be held up."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.begun: list[Signal] = []

    def export(self, signal: Signal, payload: bytes) -> Answer:
        """Take a request when there is leave to."""
        assert payload == BODY
        self.begun.append(signal)
        assert self.free.wait(20)
        return ANSWERS[Event.ACKNOWLEDGED]


@pytest.fixture(name="gate")
def _gate() -> Gate:
    return Gate()


@pytest.fixture(name="intake")
def _intake(gate: Gate) -> Iterator[HttpIntake]:
    """An intake with one place."""
    intake = HttpIntake(Address("127.0.0.1", 0), gate.export, max_message_mib=1, max_in_flight=1)
    intake.start()
    yield intake
    gate.free.set()
    intake.stop()


def test_a_slow_body_is_given_up(
    gate: Gate, intake: HttpIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after the time to receive it, and its place is free again."""
    monkeypatch.setattr(http_intake, "_RECEIVE_TIMEOUT_S", 0.3)
    place = (intake.address.host, intake.address.port)
    with socket.create_connection(place, timeout=20) as connection:
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-protobuf\r\n\r\nhalf"
        )
        assert b" 408 " in connection.recv(1000).splitlines()[0]

    assert post(str(intake.address), "/v1/logs", BODY, PROTOBUF)[0] == 200
    assert gate.begun == [Signal.LOGS]


def test_no_room_is_told_with_a_delay(gate: Gate, intake: HttpIntake) -> None:
    """503 with Retry-After while every place is taken; the one in flight gets its answer."""
    gate.free.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, str(intake.address), "/v1/traces", BODY, PROTOBUF)
        eventually(lambda: gate.begun)
        status, _, headers = post(str(intake.address), "/v1/logs", BODY, PROTOBUF)
        gate.free.set()

        assert (status, headers["Retry-After"]) == (503, "1")
        assert first.result()[0] == 200
    assert gate.begun == [Signal.TRACES]


def test_what_is_in_flight_at_the_end_is_finished(gate: Gate, intake: HttpIntake) -> None:
    """It gets its answer; the port is closed afterwards."""
    address = str(intake.address)
    gate.free.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, address, "/v1/metrics", BODY, PROTOBUF)
        eventually(lambda: gate.begun)
        stopping = pool.submit(intake.stop)
        gate.free.set()
        assert first.result()[0] == 200
        stopping.result()

    with pytest.raises(OSError, match="refused"):
        post(address, "/v1/logs", BODY, PROTOBUF)


def test_a_body_above_the_limit_is_told(intake: HttpIntake) -> None:
    """413: sending it again is of no use."""
    assert post(str(intake.address), "/v1/logs", bytes(2**20 + 1), PROTOBUF)[0] == 413


def test_a_taken_port_names_the_address(intake: HttpIntake, gate: Gate) -> None:
    """And says what to do."""
    with pytest.raises(HttpListenError, match=rf"{intake.address}: .*choose another port"):
        HttpIntake(intake.address, gate.export, max_message_mib=1, max_in_flight=1)
