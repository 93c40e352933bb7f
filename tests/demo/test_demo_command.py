"""`tapeline demo services` as a user runs it: options, the end on a signal, the exit status."""

import errno
import os
import signal
import socket
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from demo.demo_sink import OtlpSink
from ports import ports_in_a_row
from tapeline.demo.command import DemoOptions, demo_command, demo_settings
from tapeline.demo.credentials import credentials
from tapeline.demo.proof import Proof, find_proofs
from tapeline.demo.service import settings_to_arguments
from tapeline.stack.ports import Ports

PROGRAM = """
import sys
from tapeline.demo.command import demo_command
duration, port_base = sys.argv[1] or None, int(sys.argv[2])
sys.exit(demo_command("services", rate=20.0, duration=duration, port_base=port_base))
"""


def _start(sink: OtlpSink, folder: Path, duration: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, duration, str(ports_in_a_row(len(fields(Ports)) + 3))],
        cwd=folder,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("rate", [0.0, -1.0, 201.0, float("nan")])
def test_a_senseless_rate_is_refused(rate: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing starts, the message names the option and its limits, the exit status is 2."""
    assert demo_command("services", rate=rate) == 2
    assert "--rate" in capsys.readouterr().err


def test_a_duration_needs_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare number is refused with how to write it."""
    assert demo_command("services", duration="5") == 2
    assert "--duration is not a duration: '5'" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["services", "all"])
def test_a_duration_of_nothing_is_refused(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not taken for an endless one."""
    assert demo_command(part, duration="0s", run_dir=tmp_path / "run") == 2
    assert "--duration 0s must be above 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_services_end_by_themselves_after_the_duration(tmp_path: Path) -> None:
    """The exit status is 0, and the log file is where the introduction says it is."""
    with OtlpSink() as sink:
        process = _start(sink, tmp_path, "1s")
        output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "trading for 1 s: 20 orders/s" in output
    assert str(tmp_path / ".tapeline/log-files/back_office.log") in output
    assert (tmp_path / ".tapeline/log-files/back_office.log").stat().st_size > 0
    assert {service for service, _ in sink.spans()} == {"strategy", "gateway"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_services(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM both end it with status 0; what was traced until then was sent."""
    with OtlpSink() as sink:
        process = _start(sink, tmp_path, "")
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)

    assert "until Ctrl-C" in first
    assert process.returncode == 0, errors
    assert output.endswith("stopped\n")


def test_without_the_sdk_it_says_what_to_install() -> None:
    """Where the extra is not installed the message names it, and the exit status is 2."""
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from tapeline.demo.command import demo_command; sys.exit(demo_command('services'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "pip install 'tapeline[demo]'" in done.stderr


@pytest.mark.parametrize("name", ["strategy", "gateway", "back_office"])
def test_a_service_says_that_it_cannot_listen(name: str, tmp_path: Path) -> None:
    """A taken port is a sentence and exit status 1, not a stack trace."""
    with socket.socket() as taken, OtlpSink() as sink:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = DemoOptions(first_port=port, log_file=tmp_path / "x.log", duration_s=1.0)
        settings = replace(
            demo_settings(options), strategy_port=port, gateway_port=port, back_office_port=port
        )
        done = subprocess.run(
            [sys.executable, "-m", f"tapeline.demo.{name}", *settings_to_arguments(settings)],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == f"cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}\n"


def test_what_backends_do_not_return_is_said() -> None:
    """Where no backend answers, each proof is a sentence that says so, not a silence."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        found = list(find_proofs(url, url, credentials(1), timeout_s=0.1))

    assert [str(each).split()[0] for each in found] == ["Loki", "Jaeger"]
    assert all("did not return" in str(each) for each in found)


def test_a_record_that_arrived_as_it_was_sent_is_no_proof() -> None:
    """Only a credential that was there before and is not there after counts as redacted."""
    sent = "password=abcdef"

    assert Proof("x", "abcdef", sent, "Loki", "password=[REDACTED]").is_redacted
    assert not Proof("x", "abcdef", sent, "Loki", sent).is_redacted
    assert not Proof("x", "abcdef", "password=other", "Loki", "password=****").is_redacted
