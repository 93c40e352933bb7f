"""The whole way with a relay for a gate: each signal arrives in its backend, with its trace id."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from otlp_client import Span, histogram, key_values, logs, send, traces
from relay import Relay
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.command import down_command, status_command, up_command
from tapeline.stack.ports import HOST, Ports, is_free
from tapeline.stack.runner import Stack
from tapeline.stack.topology import SERVER_NAMES, Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SERVERS = ("node_exporter", "prometheus", "loki", "jaeger", "collector")
TRACE_ID = bytes(range(1, 17))
RESOURCE = {"service.name": "shop", "service.instance.id": "1", "host.name": "h"}


@dataclass(frozen=True)
class Backends:
    """A stack with real backends, and their query APIs."""

    stack: Stack

    @property
    def otlp(self) -> str:
        """The address that a service sends OTLP to."""
        return f"{HOST}:{self.stack.ports.otlp_grpc}"

    def get(self, server: str, path: str, **query: str) -> Any:
        """Return the JSON that a server answers with."""
        url = f"{self.stack.url(server)}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own servers
            return json.load(answer)

    def log_lines(self, query: str) -> list[tuple[dict[str, str], str]]:
        """Return labels (structured metadata included) and text of each line that Loki finds."""
        found = self.get("loki", "/loki/api/v1/query_range", query=query, since="24h")
        return [
            (stream["stream"], line)
            for stream in found["data"]["result"]
            for _, line in stream["values"]
        ]

    def span_names(self, trace_id: bytes) -> list[str]:
        """Return the names of a trace's spans in Jaeger; none where it has no such trace."""
        found = self.get("jaeger", f"/api/traces/{trace_id.hex()}")
        return [span["operationName"] for trace in found["data"] for span in trace["spans"]]

    def metric(self, query: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers to an instant query."""
        result: list[dict[str, Any]] = self.get("prometheus", "/api/v1/query", query=query)["data"][
            "result"
        ]
        return result


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Start collector, backends and relay, with sampling off."""
    run = tmp_path_factory.mktemp("backends") / "run"
    ports = Ports.free()
    overrides = Overrides(
        egress_files=(SOURCE_ROOT / "collector" / "no_sampling.yaml",), scrape_interval_s=1
    )
    relay = Relay(f"{HOST}:{ports.gate}", f"{HOST}:{ports.egress}")
    with relay, Stack(run, ports, servers=SERVERS, overrides=overrides) as stack:
        yield Backends(stack)


def test_a_span_arrives_in_jaeger(backends: Backends) -> None:
    """By trace id, over its HTTP API; a restart of Jaeger does not lose it."""
    send(backends.otlp, traces([Span(TRACE_ID, name="buy")], RESOURCE))
    eventually(lambda: backends.span_names(TRACE_ID) == ["buy"])
    backends.stack.kill("jaeger")
    backends.stack.restart("jaeger")
    eventually(lambda: backends.span_names(TRACE_ID) == ["buy"])


def test_a_log_arrives_in_loki_with_its_trace(backends: Backends) -> None:
    """Found by trace id as structured metadata; only chosen attributes are labels."""
    send(backends.otlp, logs(["one order"], RESOURCE, TRACE_ID))
    query = f'{{service_name="shop"}} | trace_id="{TRACE_ID.hex()}"'
    labels, line = eventually(lambda: backends.log_lines(query))[0]
    assert line == "one order"
    assert labels["host_name"] == "h"
    known = backends.get("loki", "/loki/api/v1/labels")["data"]
    assert set(known) == {"deployment_environment_name", "service_name"}
    backends.stack.kill("loki")
    backends.stack.restart("loki")
    eventually(lambda: backends.log_lines(query))


def test_long_and_wide_records_are_not_lost_in_loki(backends: Backends) -> None:
    """What the gate lets through (values of 65,000 bytes) is not refused for good."""
    wide = {f"key.{position}": "v" * 60_000 for position in range(20)}
    marker = "a wide record"
    send(backends.otlp, logs([marker, "b" * 65_000], {"service.name": "wide", **wide}))
    lines = eventually(
        lambda: found if len(found := backends.log_lines('{service_name="wide"}')) == 2 else None
    )
    assert {len(line) for _, line in lines} == {len(marker), 65_000}
    assert all(labels["key_19"] == "v" * 60_000 for labels, _ in lines)


@pytest.mark.parametrize("value_bytes", [60_000, 500])
def test_the_largest_records_that_ingress_takes_arrive(
    backends: Backends, value_bytes: int
) -> None:
    """A span and a log record of nearly 8 MiB each: no limit behind ingress drops them."""
    count = 7_800_000 // (value_bytes + 30)
    attributes = {f"key.{position}": "v" * value_bytes for position in range(count)}
    trace_id = bytes([value_bytes % 251]) * 16
    send(backends.otlp, traces([Span(trace_id, name="large", attributes=attributes)], RESOURCE))
    request = logs(["large"], {"service.name": f"large-{value_bytes}"}, trace_id)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.attributes.extend(key_values(attributes))
    assert request.ByteSize() > 7_000_000
    send(backends.otlp, request)
    eventually(lambda: backends.span_names(trace_id) == ["large"])
    eventually(lambda: backends.log_lines(f'{{service_name="large-{value_bytes}"}}'))


def test_a_span_of_too_many_attributes_does_not_block_those_behind_it(backends: Backends) -> None:
    """Jaeger would refuse it for ever; cut, it arrives, and so does the next one."""
    attributes = {f"k{position}": "v" for position in range(200_000)}
    crowded, next_one = bytes([7]) * 16, bytes([8]) * 16
    for _ in range(5):  # One more than there are consumers of the queue
        span = Span(crowded, name="crowded", attributes=attributes)
        send(backends.otlp, traces([span], RESOURCE))
    send(backends.otlp, traces([Span(next_one, name="next")], RESOURCE))
    eventually(lambda: backends.span_names(next_one) == ["next"])
    eventually(lambda: set(backends.span_names(crowded)) == {"crowded"})


def test_a_larger_request_is_refused_at_the_door(backends: Backends) -> None:
    """Its sender is told, so that nothing is acknowledged and dropped later."""
    with pytest.raises(grpc.RpcError) as refused:
        send(backends.otlp, logs(["v" * 8_500_000]))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_old_lines_are_taken(backends: Backends) -> None:
    """A queue that catches up, behind newer lines of its stream, is not refused."""
    newer = logs(["newer"], {"service.name": "late"})
    older = logs(["older"], {"service.name": "late"})
    older.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano -= 6 * 3600 * 10**9
    send(backends.otlp, newer)
    eventually(lambda: backends.log_lines('{service_name="late"}'))
    send(backends.otlp, older)
    eventually(lambda: len(backends.log_lines('{service_name="late"}')) == 2)


def test_a_metric_arrives_in_prometheus_with_its_exemplar(backends: Backends) -> None:
    """Under its translated name, with job and instance of the resource, pointing at its trace."""
    send(backends.otlp, histogram("shop.order.latency", 0.2, TRACE_ID, RESOURCE))
    sample = eventually(lambda: backends.metric("shop_order_latency_seconds_count"))[0]
    assert sample["value"][1] == "1"
    assert (sample["metric"]["job"], sample["metric"]["instance"]) == ("shop", "1")
    now = time.time()
    found = eventually(
        lambda: backends.get(
            "prometheus",
            "/api/v1/query_exemplars",
            query="shop_order_latency_seconds_bucket",
            start=str(now - 300),
            end=str(now + 300),
        )["data"]
    )
    assert found[0]["exemplars"][0]["labels"]["trace_id"] == TRACE_ID.hex()


def test_a_scraped_series_arrives_in_prometheus(backends: Backends) -> None:
    """node_exporter, scraped by the collector, goes the way of all metrics."""
    sample = eventually(lambda: backends.metric("node_load1"))[0]
    assert sample["metric"]["job"] == "node"


def test_a_file_line_arrives_in_loki(backends: Backends) -> None:
    """With the trace that it names."""
    line = json.dumps({"message": "from a file", "trace_id": TRACE_ID.hex(), "span_id": "01" * 8})
    path: Path = backends.stack.directory / "log-files"
    (path / "back.log").write_text(f"{line}\n", encoding="utf-8")
    query = f'{{service_name="log-files"}} | trace_id="{TRACE_ID.hex()}"'
    labels, text = eventually(lambda: backends.log_lines(query))[0]
    assert text == "from a file"
    assert labels["log_file_name"] == "back.log"


def test_the_servers_tell_prometheus_about_themselves(backends: Backends) -> None:
    """Each is scraped directly; the collector's own metrics don't go through its pipelines."""
    jobs = {"telemetry", "collector", "loki", "jaeger", "prometheus"}
    eventually(lambda: jobs <= {s["metric"]["job"] for s in backends.metric("up == 1")})
    queued = backends.metric("otelcol_exporter_queue_capacity")
    assert queued
    assert {sample["metric"]["job"] for sample in queued} == {"collector"}


def test_the_whole_stack_comes_up_and_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`up --detach` ends when every server, the gate included, is ready; `down` leaves nothing."""
    run, ports = tmp_path / "run", Ports.free()
    assert up_command(run, detach=True, port_base=ports.otlp_grpc) == 0
    table = capsys.readouterr().out
    assert "READY" in table
    assert status_command(run, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert {server["name"] for server in told["servers"]} == set(SERVER_NAMES)
    send(f"{HOST}:{ports.otlp_grpc}", logs(["through the gate"], {"service.name": "gated"}))
    query = urllib.parse.urlencode({"query": '{service_name="gated"}'})
    url = f"http://{HOST}:{ports.loki}/loki/api/v1/query_range?{query}"

    def arrived() -> bool:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return b"through the gate" in answer.read()

    eventually(arrived)
    assert down_command(run) == 0
    assert not run.exists()
    assert all(is_free(port) for port in astuple(ports))
