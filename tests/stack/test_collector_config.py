"""The collector's own files: valid in every combination, and each rule seen at work."""

import json
import os
import random
import re
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from otlp_client import Span, logs, send, traces
from tapeline.settings import load_settings
from tapeline.stack.binaries import SOURCE_ROOT, require
from waiting import eventually

COLLECTOR = SOURCE_ROOT / "collector"
BOTH = ("ingress", "egress", "one_process")
COMBINATIONS = (
    BOTH,
    (*BOTH, "no_sampling"),
    (*BOTH, "strict"),
    (*BOTH, "strict", "no_sampling"),
    (*BOTH, "no_signals"),
    ("ingress",),
    ("ingress", "strict"),
    ("egress",),
    ("egress", "no_sampling"),
    ("egress", "no_sampling", "no_signals"),
)
TRACES_EACH = 60
REST = 2000


def read(name: str) -> Any:
    """Return one of the collector's files with every variable at its default."""
    text = (COLLECTOR / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", text))


def queues() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every exporter that has a queue, of both halves."""
    for name in ("ingress", "egress"):
        for exporter, config in read(name)["exporters"].items():
            if "sending_queue" in config:
                yield exporter, config


@pytest.mark.stack
@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_every_combination_of_files_is_valid(names: tuple[str, ...], tmp_path: Path) -> None:
    """`otelcol validate` accepts each way in which the files are meant to go together."""
    files = [part for name in names for part in ("--config", str(COLLECTOR / f"{name}.yaml"))]
    environment = {**os.environ, "TAPELINE_QUEUE_DIR": str(tmp_path / "queue")}
    result = subprocess.run(
        [str(require("otelcol")), "validate", *files],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(COLLECTOR.glob("*.yaml")), ids=lambda path: path.name)
def test_every_variable_has_a_default(path: Path) -> None:
    """No file needs a variable to be set."""
    text = path.read_text(encoding="utf-8")
    every = re.findall(r"\$\{[^}]*\}", text)
    assert [found for found in every if not re.fullmatch(r"\$\{env:\w+:-[^}]*\}", found)] == []


def test_the_readme_lists_every_variable_with_its_default() -> None:
    """collector/README.md names what the files read, no more and no less."""
    read_variables: dict[str, str] = {}
    for path in COLLECTOR.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        read_variables.update(re.findall(r"\$\{env:(\w+):-([^}]*)\}", text))
    readme = (COLLECTOR / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(TAPELINE_\w+)` \| `(.*?)` \|", readme, re.MULTILINE))
    assert len(told) >= 20
    assert told == read_variables


def test_the_halves_do_not_touch() -> None:
    """Ingress exports to the gate only, egress never does, and their receivers differ."""
    ingress, egress = read("ingress"), read("egress")
    gate = ingress["exporters"]["otlp_grpc/gate"]["endpoint"]
    assert {config["endpoint"] for config in ingress["exporters"].values()} == {gate}
    assert gate not in {config.get("endpoint") for config in egress["exporters"].values()}
    assert not set(ingress["receivers"]) & set(egress["receivers"])
    assert not set(ingress["service"]["pipelines"]) & set(egress["service"]["pipelines"])


def test_the_memory_limiter_comes_first_and_on_ingress_only() -> None:
    """On the way back it would block the drain exactly when the queue is full."""
    pipelines = read("ingress")["service"]["pipelines"].values()
    assert [pipeline["processors"][0] for pipeline in pipelines] == ["memory_limiter"] * 3
    assert "memory_limiter" not in read("egress")["processors"]


def test_queues_lose_nothing_by_their_settings() -> None:
    """Persistent, at most half of their file, retried for ever, and not compressed on loopback."""
    found = dict(queues())
    assert set(found) == {
        "otlp_grpc/gate",
        "otlp_grpc/gate_metrics",
        "otlp_http/loki",
        "otlp_grpc/jaeger",
        "otlp_grpc/signals",
    }
    storages = {**read("ingress")["extensions"], **read("egress")["extensions"]}
    for config in found.values():
        queue = config["sending_queue"]
        storage = storages[queue["storage"]]
        assert queue["queue_size"] * 2 <= storage["max_size"]
        assert queue["sizer"] == "bytes"
        assert "batch" not in queue or queue["batch"]["min_size"] <= queue["queue_size"]
        assert storage["directory_permissions"] == "0700"
        assert config["retry_on_failure"]["max_elapsed_time"] == "0s"
        assert config["compression"] == "none"
        assert config["timeout"] == "10s"


def test_the_signals_get_copies_of_logs_and_traces_in_order_and_apart() -> None:
    """Straight from the receiver, behind what holds nothing, through one consumer; no metrics."""
    egress = read("egress")
    branches = {
        name: pipeline
        for name, pipeline in egress["service"]["pipelines"].items()
        if "otlp_grpc/signals" in pipeline["exporters"]
    }
    assert set(branches) == {"logs/signals", "traces/signals"}
    for pipeline in branches.values():
        assert pipeline == {
            "receivers": ["otlp/egress"],
            "processors": ["batch/signals"],
            "exporters": ["otlp_grpc/signals"],
        }
    assert egress["processors"]["batch/signals"] == {"timeout": "0s", "send_batch_size": 0}
    queue = egress["exporters"]["otlp_grpc/signals"]["sending_queue"]
    assert queue["num_consumers"] == 1
    gate = read("ingress")["exporters"]["otlp_grpc/gate"]["sending_queue"]
    assert gate["num_consumers"] == 1, "they would be out of order before they come here"
    # Requests go on as the gate made them, which the sidecar's own limit takes.
    assert "batch" not in queue
    received = egress["receivers"]["otlp/egress"]["protocols"]["grpc"]["max_recv_msg_size_mib"]
    sidecar = load_settings(SOURCE_ROOT / "config" / "signals.yaml", {})
    assert received <= sidecar.server.max_message_mib
    assert sidecar.server.listen == egress["exporters"]["otlp_grpc/signals"]["endpoint"]


def test_message_limits_fit_on_every_hop() -> None:
    """What is received fits a queue batch, which fits the gate, which fits the egress receiver."""
    ingress, egress = read("ingress"), read("egress")
    protocols = ingress["receivers"]["otlp/ingress"]["protocols"]
    received = protocols["grpc"]["max_recv_msg_size_mib"] * 2**20
    batch = ingress["exporters"]["otlp_grpc/gate"]["sending_queue"]["batch"]["max_size"]
    gate = yaml.safe_load((SOURCE_ROOT / "config" / "gate.yaml").read_text(encoding="utf-8"))
    gate_bytes = gate["server"]["max_message_mib"] * 2**20
    back = egress["receivers"]["otlp/egress"]["protocols"]["grpc"]["max_recv_msg_size_mib"] * 2**20
    assert received == protocols["http"]["max_request_body_size"]
    # resource/environment lengthens a record of the largest request before it is batched.
    assert received * 1.1 < batch <= gate_bytes <= back
    for exporter in ("otlp_http/loki", "otlp_grpc/jaeger"):
        largest = egress["exporters"][exporter]["sending_queue"]["batch"]["max_size"]
        assert received * 1.1 < largest, "a record that ingress took, lengthened by redaction"
    jaeger = (SOURCE_ROOT / "config" / "jaeger" / "jaeger.yaml").read_text(encoding="utf-8")
    jaeger_mib = re.search(r"max_recv_msg_size_mib: (\d+)", jaeger)
    assert jaeger_mib is not None
    assert largest < int(jaeger_mib[1]) * 2**20
    loki = (SOURCE_ROOT / "config" / "loki" / "loki.yaml").read_text(encoding="utf-8")
    for limit in ("recv", "send"):
        loki_bytes = re.search(rf"grpc_server_max_{limit}_msg_size: (\d+)", loki)
        assert loki_bytes is not None
        assert largest * 2 < int(loki_bytes[1])


@pytest.fixture(scope="module")
def collector(start_collector: Any) -> Any:
    """Start a collector of both halves that most of the live tests share."""
    return start_collector()


def trace_ids(seed: int, count: int) -> list[bytes]:
    """Return the same trace ids on every run, so that sampling by their hash is the same too."""
    source = random.Random(seed)  # noqa: S311 - no secret
    return [source.randbytes(16) for _ in range(count)]


KEPT: dict[str, Span] = {
    "error": Span(b"", failed=True),
    "slow": Span(b"", milliseconds=150),
    "trading span": Span(b"", name="trading.execution"),
    "trading attribute": Span(b"", attributes={"a": "b", "trading.instrument": "XY"}),
    "trading event": Span(b"", events={"trading.order": {}}),
    "trading event attribute": Span(b"", events={"e": {"trading.account": "a"}}),
}
NOT_TRADING: dict[str, Span] = {
    "name elsewhere": Span(b"", name="not.trading.order"),
    "value": Span(b"", attributes={"a": "trading.order", "b": ',"trading.x":1'}),
    "key elsewhere": Span(b"", attributes={"my.trading.order": "1", "trading_order": "2"}),
    "event value": Span(b"", events={"e.trading.order": {"a": '{"trading.x":1}'}}),
}


def with_ids(span: Span, ids: list[bytes]) -> list[Span]:
    """Return copies of a span, one for each trace id."""
    return [
        Span(i, span.name, span.attributes, span.events, span.milliseconds, span.failed)
        for i in ids
    ]


def with_exemplars(ids: list[bytes], *, value: bool) -> Any:
    """Return a span of each trace, with the mark of tapeline.instrument."""
    request = traces(with_ids(Span(b""), ids))
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.attributes.add(key="tapeline.exemplar").value.bool_value = value
    return request


@pytest.mark.stack
def test_tail_sampling_keeps_what_matters_and_a_part_of_the_rest(collector: Any) -> None:
    """Errors, slow and trading traces are kept whole; of the others about 5 % are."""
    expected: dict[str, set[str]] = {}
    for seed, (name, span) in enumerate(KEPT.items()):
        ids = trace_ids(seed, TRACES_EACH)
        expected[name] = {i.hex() for i in ids}
        send(collector.otlp, traces(with_ids(span, ids)))
        # A plain span of the same trace is kept with it.
        plain = [Span(i, span_id=b"\x02" * 8) for i in ids]
        send(collector.otlp, traces(plain))
    for name, seed, resource, scope in (
        ("resource attribute", 100, {"service.name": "t", "trading.account": "a"}, {}),
        ("scope attribute", 101, {"service.name": "t"}, {"trading.strategy": "s"}),
        ("kept service", 102, {"service.name": "ktrdr-api"}, {}),
    ):
        ids = trace_ids(seed, TRACES_EACH)
        expected[name] = {i.hex() for i in ids}
        send(collector.otlp, traces(with_ids(Span(b""), ids), resource, scope))
    marked = trace_ids(103, TRACES_EACH)
    expected["named by an exemplar"] = {i.hex() for i in marked}
    send(collector.otlp, with_exemplars(marked, value=True))
    not_marked = trace_ids(104, REST)
    send(collector.otlp, with_exemplars(not_marked, value=False))
    rest: set[str] = set()
    for seed, span in enumerate(NOT_TRADING.values(), start=200):
        ids = trace_ids(seed, REST // len(NOT_TRADING))
        rest |= {i.hex() for i in ids}
        send(collector.otlp, traces(with_ids(span, ids)))

    every = set().union(*expected.values())
    eventually(lambda: every <= {span["traceId"] for span in collector.spans()})
    plain_kept = {span["traceId"] for span in collector.spans() if span["spanId"] == "02" * 8}
    assert plain_kept == set().union(*(expected[name] for name in KEPT))
    # A later span of every trace has been decided on too, once one sent after them has come out.
    marker = trace_ids(300, 1)[0]
    send(collector.otlp, traces([Span(marker, name="trading.marker")]))
    eventually(lambda: marker.hex() in {span["traceId"] for span in collector.spans()})
    found = {span["traceId"] for span in collector.spans()}
    assert 0.03 * REST < len(found & rest) < 0.07 * REST
    assert 0.03 * REST < len(found & {i.hex() for i in not_marked}) < 0.07 * REST


@pytest.mark.stack
def test_health_checks_are_dropped_unless_they_failed(collector: Any) -> None:
    """Good health checks never reach the gate; failed ones and look-alikes do."""
    good = [
        {"url.path": "/health"},
        {"url.path": "/health/live"},
        {"url.path": "/-/ready"},
        {"http.target": "/healthz?full=1"},
        {"url.full": "http://10.0.0.1:80/readyz"},
        {"http.url": "https://host/ping"},
        {"rpc.service": "grpc.health.v1.Health"},
    ]
    near = [
        {"url.path": "/healthcare"},
        {"url.path": "/api/health"},
        {"url.full": "http://host/orders?next=http://host/health"},
        {"rpc.service": "grpc.health.v1.Healthy"},
        {},
    ]
    ids = trace_ids(400, len(good) * 2 + len(near))
    spans = [Span(i, "trading.good", a) for i, a in zip(ids, good, strict=False)]
    spans += [
        Span(i, "failed", a, failed=True) for i, a in zip(ids[len(good) :], good, strict=False)
    ]
    spans += [Span(i, "trading.near", a) for i, a in zip(ids[-len(near) :], near, strict=True)]
    send(collector.otlp, traces(spans))
    wanted = {i.hex() for i in ids[len(good) :]}
    eventually(lambda: wanted <= {span["traceId"] for span in collector.spans()})
    dropped = {i.hex() for i in ids[: len(good)]}
    assert not dropped & {span["traceId"] for span in collector.spans()}
    # Dropped before the gate, not by the sampling behind it.
    assert not any(bytes.fromhex(i) in request for i in dropped for _, request in seen(collector))


def seen(collector: Any) -> list[tuple[str, bytes]]:
    """Return what the relay was sent."""
    requests: list[tuple[str, bytes]] = collector.relay.seen
    assert requests
    return requests


@pytest.mark.stack
def test_the_environment_is_filled_in_where_a_service_does_not_say(collector: Any) -> None:
    """deployment.environment.name is inserted and never overwritten."""
    send(collector.otlp, logs(["quiet service"]))
    own = {"service.name": "t", "deployment.environment.name": "production"}
    send(collector.otlp, logs(["telling service"], own))

    def environments() -> dict[str, str]:
        return {
            record["body"]["stringValue"]: resource["deployment.environment.name"]
            for resource, record in collector.log_records()
        }

    found = eventually(
        lambda: e if {"quiet service", "telling service"} <= (e := environments()).keys() else None
    )
    assert found["quiet service"] == "development"
    assert found["telling service"] == "production"


@pytest.mark.stack
def test_log_lines_arrive_with_their_trace_and_bad_ones_as_they_are(collector: Any) -> None:
    """JSON lines get time, severity and trace; a line that is not JSON keeps its text."""
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    fields = {
        "timestamp": "2026-11-20T10:00:00.123456789Z",
        "level": "WARN",
        "message": "json line",
        "trace_id": trace_id,
        "span_id": span_id,
        "fields": {"order": "7"},
        "service.name": "filed",
    }
    lines = [
        json.dumps(fields),
        "not json at all",
        '{"timestamp":"not a time","level":"INFO","message":"bad time"}',
        '{"message":"no more"}',
    ]
    (collector.log_files / "service.log").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def found() -> dict[str, Any]:
        return {
            record["body"]["stringValue"]: (resource, record)
            for resource, record in collector.log_records()
        }

    wanted = {"json line", "not json at all", "bad time", "no more"}
    records = eventually(lambda: f if wanted <= (f := found()).keys() else None)
    resource, record = records["json line"]
    assert record["traceId"] == trace_id
    assert record["spanId"] == span_id
    assert record["severityNumber"] == 13
    seconds = int(datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp())
    assert record["timeUnixNano"] == f"{seconds}123456789"
    assert resource["service.name"] == "filed"
    assert records["not json at all"][0]["service.name"] == "log-files"


@pytest.mark.stack
def test_every_line_of_a_rotated_file_arrives_once(collector: Any) -> None:
    """Rotation by rename loses no line and repeats none."""
    path = collector.log_files / "rotated.log"
    wanted = []
    for generation in range(4):
        with path.open("a", encoding="utf-8") as file:
            for position in range(250):
                wanted.append(f"rotated {generation} {position}")
                file.write(f'{{"message":"{wanted[-1]}"}}\n')
        path.rename(path.with_name(f"rotated.log.{9 - generation}"))

    def found() -> list[str]:
        bodies = [record["body"]["stringValue"] for _, record in collector.log_records()]
        return [body for body in bodies if body.startswith("rotated ")]

    eventually(lambda: len(found()) >= len(wanted))
    assert sorted(found()) == sorted(wanted)


@pytest.mark.stack
def test_queues_are_for_their_owner_only(collector: Any) -> None:
    """The folders of raw and of redacted queues have mode 0700."""
    for half in ("ingress", "egress"):
        folder = collector.stack.directory / "queue" / half
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.stack
def test_the_collector_warns_of_nothing_deprecated(collector: Any) -> None:
    """No spelling in the files is one that the collector will drop."""
    text = collector.stack.log("collector").read_text(encoding="utf-8")
    assert "Everything is ready" in text
    assert [line for line in text.splitlines() if "deprecated" in line.lower()] == []


@pytest.mark.stack
def test_two_processes_carry_as_one_does(start_collector: Any) -> None:
    """The halves run apart with the same files."""
    apart = start_collector(two_collectors=True)
    assert set(apart.stack.running) == {"collector", "collector-egress"}
    send(apart.otlp, logs(["through two processes"]))
    eventually(
        lambda: [
            record
            for _, record in apart.log_records()
            if record["body"]["stringValue"] == "through two processes"
        ]
    )


@pytest.mark.stack
def test_strict_answers_in_line_and_queues_nothing(start_collector: Any) -> None:
    """Without a gate the sender is told to come back, and no raw data is on disk."""
    strict = start_collector(ingress_files=[COLLECTOR / "strict.yaml"], with_relay=False)
    with pytest.raises(grpc.RpcError) as refused:
        send(strict.otlp, logs(["raw-marker-in-strict"]))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    queue = strict.stack.directory / "queue" / "ingress"
    held = [path for path in queue.rglob("*") if path.is_file()]
    assert held, "file_log keeps its offsets here"
    assert not any(b"raw-marker-in-strict" in path.read_bytes() for path in held)
    assert not any("exporter" in path.name for path in held)
    with strict.relay:
        eventually(lambda: answered_ok(strict.otlp))
        eventually(strict.log_records)


def answered_ok(address: str) -> bool:
    """Tell whether a log record is taken now."""
    try:
        send(address, logs(["raw-marker-in-strict"]))
    except grpc.RpcError:
        return False
    return True


@pytest.mark.stack
def test_the_default_does_queue_raw_data(start_collector: Any) -> None:
    """The search of the strict test finds what it looks for where there is a queue."""
    queued = start_collector(with_relay=False)
    send(queued.otlp, logs(["raw-marker-in-queue"]))
    queue = queued.stack.directory / "queue" / "ingress"
    eventually(
        lambda: any(
            b"raw-marker-in-queue" in path.read_bytes() for path in queue.rglob("exporter*")
        )
    )
