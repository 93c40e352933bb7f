"""What is measured: how each subject is started, and how one knows that it is up.

All of them take OTLP over gRPC without compression and pass it on to the sink the same way. None
has a queue: where a subject can acknowledge after its downstream did, it does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml
from bench.patterns import KEY_PATTERNS, VALUE_PATTERNS
from bench.processes import (
    ROOT,
    BenchError,
    Cores,
    free_port,
    running,
    wait_for_answer,
    wait_for_port,
)
from bench.stock_rules import STOCK_KEYS, stock_values

from tapeline.otlp.signals import Signal
from tapeline.stack import binaries

__all__ = [
    "CARDINALITY_SUBJECTS",
    "COLLECTOR",
    "DIRECT",
    "GATE",
    "GATE_BOTH",
    "GATE_CARDINALITY",
    "GATE_REDACTION",
    "REDACTION_SUBJECTS",
    "RELAY",
    "STOCK",
    "SUBJECTS",
    "Running",
    "Subject",
    "Unavailable",
    "find_subjects",
    "gate_config",
]

DIRECT: Final = "direct"
RELAY: Final = "relay"
GATE: Final = "gate"
GATE_REDACTION: Final = "gate + redaction"
GATE_CARDINALITY: Final = "gate + cardinality"
GATE_BOTH: Final = "gate + redaction + cardinality"
COLLECTOR: Final = "collector"
STOCK: Final = "stock redaction"
MESSAGE_MIB_MAX: Final = 64
INSTALL_TIMEOUT_S: Final = 300.0


class Unavailable(Exception):  # noqa: N818 - not an error: the row is left out, with the reason
    """A subject can't run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that is up: where it listens, and its process."""

    port: int
    process: subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a subject: its command line, and what it needs in its environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    ready_url: str = ""
    """Answers 200 once it takes data; empty where an open port says so."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row. `prepare(port, sink port, work folder)` returns how to start it."""

    name: str
    prepare: Callable[[int, int, Path], Command]
    note: str = ""

    @contextmanager
    def run(self, sink_port: int, cores: Cores, folder: Path) -> Iterator[Running]:
        """Run it on the subject's core; raises Unavailable where it can't run here."""
        port = free_port()
        command = self.prepare(port, sink_port, folder)
        log = folder / "subject.log"
        with running(command.arguments, cores.subject, log, command.environment) as process:
            wait_for_port(process, port, log)
            if command.ready_url:
                wait_for_answer(process, command.ready_url, log)
            yield Running(port, process)


def _relay(port: int, sink_port: int, _: Path) -> Command:
    arguments = ("-m", "bench.relay", f"127.0.0.1:{port}", f"127.0.0.1:{sink_port}")
    return Command((sys.executable, *arguments), {})


def gate_config(
    folder: Path, *, port: int, sink_port: int, admin_port: int, chain: tuple[str, ...]
) -> Path:
    """Write the gate's configuration and return its path."""
    path = folder / "gate.yaml"
    content = {
        "server": {"listen": f"127.0.0.1:{port}", "max_message_mib": MESSAGE_MIB_MAX},
        "downstream": {"endpoint": f"127.0.0.1:{sink_port}"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "chain": {signal.value: list(chain) for signal in Signal},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def tapeline_program() -> str:
    """Return the path of the `tapeline` of the environment that runs the bench."""
    return str(Path(sys.executable).parent / "tapeline")


def _gate(chain: tuple[str, ...]) -> Callable[[int, int, Path], Command]:
    def prepare(port: int, sink_port: int, folder: Path) -> Command:
        admin_port = free_port()
        path = gate_config(
            folder, port=port, sink_port=sink_port, admin_port=admin_port, chain=chain
        )
        # Its port answers while the rules are still being compiled.
        ready_url = f"http://127.0.0.1:{admin_port}/health/ready"
        return Command((tapeline_program(), "serve", "--config", str(path)), {}, ready_url)

    return prepare


def _collector(
    values: Callable[[], tuple[str, ...]] = tuple, keys: tuple[str, ...] = ()
) -> Callable[[int, int, Path], Command]:
    """Return how to start the collector, with a redaction processor where there are patterns."""

    def prepare(port: int, sink_port: int, folder: Path) -> Command:
        program = binaries.find("collector")
        if program is None:
            raise Unavailable("the collector is not built: `tapeline stack build collector`")
        path = folder / "collector.yaml"
        content = _collector_config(port, sink_port, values(), keys)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        # Go counts the cores that it is pinned to by itself, so it runs on one processor here.
        return Command((str(program), "--config", str(path)), {})

    return prepare


def _collector_config(
    port: int, sink_port: int, values: tuple[str, ...], keys: tuple[str, ...]
) -> dict[str, object]:
    receiver = {"endpoint": f"127.0.0.1:{port}", "max_recv_msg_size_mib": MESSAGE_MIB_MAX}
    exporter = {
        "endpoint": f"127.0.0.1:{sink_port}",
        "tls": {"insecure": True},
        "compression": "none",
        "sending_queue": {"enabled": False},
    }
    processors: dict[str, object] = {}
    if values:
        processors["redaction"] = {
            "allow_all_keys": True,
            "blocked_key_patterns": list(keys),
            "blocked_values": list(values),
        }
    pipeline = {
        "receivers": ["otlp"],
        "processors": list(processors),
        "exporters": ["otlp_grpc"],
    }
    return {
        "receivers": {"otlp": {"protocols": {"grpc": receiver}}},
        "processors": processors,
        "exporters": {"otlp_grpc": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {signal.value: pipeline for signal in Signal},
        },
    }


def _rotel(port: int, sink_port: int, _: Path) -> Command:
    agent = _rotel_agent()
    processor = str(ROOT / "bench" / "rotel_redaction.py")
    arguments = (
        str(agent),
        "start",
        f"--otlp-grpc-endpoint=127.0.0.1:{port}",
        f"--otlp-http-endpoint=127.0.0.1:{free_port()}",
        f"--otlp-grpc-max-recv-msg-size-mib={MESSAGE_MIB_MAX}",
        "--exporter=otlp",
        f"--otlp-exporter-endpoint=http://127.0.0.1:{sink_port}",
        "--otlp-exporter-compression=none",
        "--disable-batching",
        f"--otlp-with-logs-processor={processor}",
        f"--otlp-with-trace-processor={processor}",
        f"--otlp-with-metrics-processor={processor}",
    )
    patterns = {"values": VALUE_PATTERNS, "keys": KEY_PATTERNS}
    return Command(arguments, {"BENCH_PATTERNS": json.dumps(patterns), **_library_path()})


def _rotel_agent() -> Path:
    """Return Rotel's agent, installed from the locked requirements into the cache."""
    environment = binaries.cache_folder() / "bench" / "rotel"
    locked = ROOT / "requirements" / "bench.txt"
    stamp = environment / "requirements.txt"
    if not stamp.is_file() or stamp.read_bytes() != locked.read_bytes():
        _install(environment, locked)
        stamp.write_bytes(locked.read_bytes())
    found = sorted(environment.glob("lib/python*/site-packages/rotel/rotel-agent"))
    if not found:
        raise Unavailable(f"the rotel package carries no agent for this machine ({environment})")
    _check_runs(found[0])
    return found[0]


def _install(environment: Path, locked: Path) -> None:
    print(f"installing the locked rotel package into {environment}", flush=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    for arguments in (
        [sys.executable, "-m", "venv", "--clear", str(environment)],
        [
            *(str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"),
            *("--require-hashes", "--requirement", str(locked)),
        ],
    ):
        try:
            done = subprocess.run(
                arguments, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{arguments[0]} took over {INSTALL_TIMEOUT_S:g} s") from error
        if done.returncode != 0:
            raise Unavailable(f"installing rotel failed: {done.stderr.strip()[-300:]}")


def _check_runs(agent: Path) -> None:
    done = subprocess.run(
        [str(agent), "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **_library_path()},
    )
    if done.returncode != 0:
        raise Unavailable(
            f"rotel's agent does not start: {done.stderr.strip()[-200:]} (it needs "
            "libpython3.11.so.1.0: the Debian package libpython3.11)"
        )


def _library_path() -> dict[str, str]:
    """Return where the dynamic linker finds libpython when it is beside this interpreter only."""
    beside = Path(sys.base_prefix) / "lib"
    if not (beside / "libpython3.11.so.1.0").is_file():
        return {}
    known = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{beside}:{known}" if known else str(beside)}


SUBJECTS: Final[tuple[Subject, ...]] = (
    Subject(RELAY, _relay, "a few lines of grpc that pass bytes on"),
    Subject(COLLECTOR, _collector(), "otlp receiver to otlp_grpc, no queue"),
    Subject(
        "collector + redaction",
        _collector(lambda: VALUE_PATTERNS, KEY_PATTERNS),
        f"the stock redaction processor, {len(VALUE_PATTERNS)} value patterns",
    ),
    Subject(
        "rotel + python",
        _rotel,
        f"a Python redaction processor, {len(VALUE_PATTERNS)} value patterns; acknowledges early",
    ),
    Subject(GATE, _gate(()), "empty chain, framing checked"),
    Subject(GATE_REDACTION, _gate(("redaction",)), "the default redaction, nothing to change"),
)

REDACTION_SUBJECTS: Final[Mapping[str, Subject]] = MappingProxyType(
    {
        subject.name: subject
        for subject in (
            Subject(RELAY, _relay, "a few lines of grpc that pass bytes on"),
            Subject(GATE_REDACTION, _gate(("redaction",)), "the default rules, all of them"),
            Subject(
                STOCK,
                _collector(stock_values, STOCK_KEYS),
                "the stock redaction processor with as many rules",
            ),
        )
    }
)
"""The subjects of the section on redaction, by name."""

CARDINALITY_SUBJECTS: Final = (
    Subject(RELAY, _relay, "a few lines of grpc that pass bytes on"),
    Subject(COLLECTOR, _collector(), "otlp receiver to otlp_grpc, no queue"),
    Subject(GATE_CARDINALITY, _gate(("cardinality",)), "the default limits, all within them"),
    Subject(GATE_BOTH, _gate(("redaction", "cardinality")), "the default chain"),
)
"""The subjects of the section on cardinality, the relay first."""


def find_subjects(names: tuple[str, ...]) -> tuple[Subject, ...]:
    """Return the named subjects in the table's order, and the relay; all where none is named."""
    known = [subject.name for subject in SUBJECTS]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise BenchError(f"there is no subject {unknown[0]!r}. There are: {', '.join(known)}.")
    wanted = {*names, RELAY} if names else set(known)
    return tuple(subject for subject in SUBJECTS if subject.name in wanted)
