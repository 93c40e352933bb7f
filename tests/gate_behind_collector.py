"""A real collector that sends what it gets to a gate, and what stands behind that gate."""

import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from otlp_client import logs, send
from ports import free_port
from scripted_downstream import Downstream, running_downstream
from sidecars import PlainChain, Running, running_sidecar, settings
from tapeline.otlp.signals import Signal
from tapeline.stack.binaries import find
from tapeline.transport.sidecar import Sidecar
from waiting import eventually


@dataclass
class Collector:
    """A real collector that sends what it gets to the gate."""

    otlp: str
    gate: str
    metrics_port: int

    def send(self, body: str) -> None:
        """Send one log record into its queue."""
        send(self.otlp, logs([body]))

    def failed(self) -> float:
        """Return how many log records its exporter has given up."""
        return self._metric("otelcol_exporter_send_failed_log_records_total")

    def sent(self) -> float:
        """Return how many log records the gate has acknowledged to it."""
        return self._metric("otelcol_exporter_sent_log_records_total")

    def _metric(self, name: str) -> float:
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )


@dataclass
class Bench:
    """A collector, the gate that it sends to, and what stands behind the gate."""

    collector: Collector
    downstream: Downstream
    chain: PlainChain
    gate: Running

    def send(self) -> str:
        """Send a record with a body of its own through the collector; return the body."""
        body = f"order {uuid4()}"
        self.collector.send(body)
        return body

    def arrived(self, body: str) -> int:
        """Return how often a record was acknowledged downstream."""
        return sum(body.encode() in payload for payload in self.downstream.payloads(Signal.LOGS))

    def came(self, body: str) -> int:
        """Return how often a record came as far as the chain."""
        return sum(body.encode() in batch.payload for batch in self.chain.processed)

    def must_give_one_up(self, given_up_before: float) -> None:
        """Hold the collector to having dropped one record: counted, and overtaken by a later."""
        eventually(lambda: self.collector.failed() == given_up_before + 1)
        self.must_pass_one()

    def must_pass_one(self) -> None:
        """Send a record; wait until it arrived once and the collector has counted it, too."""
        sent = self.collector.sent()
        body = self.send()
        eventually(lambda: self.collector.sent() == sent + 1)
        assert self.arrived(body) == 1


def configuration(collector: Collector, tls: dict[str, object], compression: str) -> str:
    """Return the collector's YAML: a receiver, a queue in memory, and the way to the gate."""
    return yaml.safe_dump(
        {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": collector.otlp}}}},
            "exporters": {
                "otlp_grpc/gate": {
                    "endpoint": collector.gate,
                    "tls": tls,
                    "compression": compression,
                    "timeout": "10s",
                    "retry_on_failure": {
                        "enabled": True,
                        "initial_interval": "50ms",
                        "max_interval": "200ms",
                        "max_elapsed_time": "0s",
                    },
                    "sending_queue": {"enabled": True, "num_consumers": 4},
                }
            },
            "service": {
                "telemetry": {
                    "metrics": {
                        "level": "detailed",
                        "readers": [
                            {
                                "pull": {
                                    "exporter": {
                                        "prometheus": {
                                            "host": "127.0.0.1",
                                            "port": collector.metrics_port,
                                            "without_type_suffix": False,
                                        }
                                    }
                                }
                            }
                        ],
                    }
                },
                "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["otlp_grpc/gate"]}},
            },
        }
    )


StartCollector = Callable[..., Collector]


@contextmanager
def starting_collectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCollector]:
    """Give a function that starts a collector; all of them end with it."""
    binary = find("collector")
    if binary is None:
        pytest.skip("the collector is not built: make binaries")
    with ExitStack() as running:

        def start(tls: dict[str, object] | None = None, compression: str = "none") -> Collector:
            folder = tmp_path_factory.mktemp("collector")
            ports = [free_port() for _ in range(3)]
            host = "127.0.0.1" if tls is None else "localhost"
            collector = Collector(f"127.0.0.1:{ports[0]}", f"{host}:{ports[1]}", ports[2])
            path = folder / "collector.yaml"
            text = configuration(collector, tls or {"insecure": True}, compression)
            path.write_text(text, encoding="utf-8")
            log = running.enter_context((folder / "collector.log").open("w", encoding="utf-8"))
            process = subprocess.Popen([str(binary), "--config", str(path)], stderr=log)
            running.callback(process.wait)
            running.callback(process.kill)
            eventually(lambda: can_connect(ports[0]), poll_s=0.05)
            return collector

        yield start


def can_connect(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running_bench(collector: Collector) -> Iterator[Bench]:
    """Run a gate on the port that a collector sends to; give it once a record has gone through."""
    chain = PlainChain()
    server = {"listen": collector.gate, "max_attempts": 3, "max_message_mib": 1}
    with (
        running_downstream() as downstream,
        running_sidecar(settings(downstream.address, server), chain) as gate,
    ):
        gate.until_ready()
        made = Bench(collector, downstream, chain, gate)
        made.must_pass_one()
        yield made


def refused(sidecar: Sidecar, reason: str) -> float:
    """Return how many requests a gate has refused for a reason."""
    text = sidecar.exposition().decode()
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tapeline_refused_requests_total" and sample.labels["reason"] == reason
    )
