"""The static check of the collector's YAML: silent on what we ship, loud on each known mistake.

Each mistake is an overlay over the shipped files, as a user's edit would be.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tapeline.doctor.collector_graph import port_of, read_collector
from tapeline.doctor.collector_rules import RULES, check_collector
from tapeline.doctor.findings import Finding, Severity
from tapeline.doctor.gate_facts import GateFacts
from tapeline.pipeline.loader import ConfigError

COLLECTOR = Path(__file__).parents[2] / "collector"
SHARDED = COLLECTOR.parent / "processors/tapeline/signals/testdata/sharded-collector.yaml"
ONE_PROCESS = tuple(COLLECTOR / f"{name}.yaml" for name in ("ingress", "egress", "one_process"))
GATE = GateFacts(
    listen_ports=frozenset({4319}),
    downstream_port=14317,
    max_message_mib=64,
    downstream_timeout_s=8.0,
)

MISTAKES = {
    "gate-not-reached": "exporters: {otlp_grpc/gate: {endpoint: 'x:1'},"
    " otlp_grpc/gate_metrics: {endpoint: 'x:1'}}",
    "loop": "service: {pipelines: {logs/egress: {exporters: [otlp_http/loki, otlp_grpc/gate]}}}",
    "raw-leak": "service: {pipelines: {logs/ingress: {exporters: [otlp_http/loki]}}}",
    "egress-memory-limiter": (
        "service: {pipelines: {traces/sampled: {processors: [memory_limiter]}}}"
    ),
    "no-memory-limiter": "service: {pipelines: {logs/ingress: {processors: []}}}",
    "no-persistent-queue": "exporters: {otlp_http/loki: {sending_queue: {storage: null}}}",
    "retry-gives-up": (
        "exporters: {otlp_grpc/jaeger: {retry_on_failure: {max_elapsed_time: 300s}}}"
    ),
    "queue-fills-storage": "extensions: {file_storage/egress: {max_size: 1000}}",
    "inner-queue": (
        "exporters: {load_balancing/x: {protocol: {otlp: {}}, sending_queue: {enabled: false}}}\n"
        "service: {pipelines: {logs/egress: {exporters: [load_balancing/x]}}}"
    ),
    "compression-on-loopback": "exporters: {otlp_grpc/jaeger: {compression: gzip}}",
    "egress-limit": (
        "receivers: {otlp/egress: {protocols: {grpc: {max_recv_msg_size_mib: null}}}}"
    ),
    "batch-not-sized": "exporters: {otlp_grpc/gate: {sending_queue: {batch: null}}}",
    "batch-over-gate-limit": (
        "exporters: {otlp_grpc/gate: {sending_queue: {batch: {max_size: 67108865}}}}"
    ),
    "receiver-over-batch-limit": (
        "receivers: {otlp/ingress: {protocols: {grpc: {max_recv_msg_size_mib: 17}}}}"
    ),
    "timeout-under-gate": "exporters: {otlp_grpc/gate: {timeout: 8s}}",
    "file-log-drops": "receivers: {file_log: {retry_on_failure: {enabled: false}}}",
    "file-log-forgets": "receivers: {file_log: {storage: null}}",
    "batch-acknowledges-early": (
        "processors: {batch: {timeout: 1s}}\n"
        "service: {pipelines: {logs/egress: {processors: [batch]}}}"
    ),
    "signals-loop": "service: {pipelines: {metrics/egress: {exporters: [otlp_grpc/signals]}}}",
    "signals-not-apart": (
        "service: {pipelines: {logs/egress: {exporters: [otlp_http/loki, otlp_grpc/signals]}}}"
    ),
    "signals-out-of-order": "exporters: {otlp_grpc/signals: {sending_queue: {num_consumers: 4}}}",
    "old-name": (
        "exporters: {otlphttp/old: {endpoint: 'http://far:1', sending_queue: {enabled: false}}}\n"
        "service: {pipelines: {logs/egress: {exporters: [otlphttp/old]}}}"
    ),
}


def _findings(*paths: Path) -> tuple[Finding, ...]:
    return check_collector(read_collector(paths), GATE)


@pytest.mark.parametrize(
    "files",
    [
        ONE_PROCESS,
        (*ONE_PROCESS, COLLECTOR / "no_sampling.yaml"),
        (*ONE_PROCESS, COLLECTOR / "strict.yaml"),
        (*ONE_PROCESS, COLLECTOR / "no_signals.yaml"),
        (*ONE_PROCESS, SHARDED),
    ],
    ids=["one process", "no sampling", "strict", "no signals", "sharded signals"],
)
def test_the_shipped_configuration_has_nothing_wrong_with_it(files: tuple[Path, ...]) -> None:
    """What we ship passes our own check, warnings included."""
    assert _findings(*files) == ()


@pytest.mark.parametrize("rule", MISTAKES)
def test_a_known_mistake_is_found_with_its_place(rule: str, tmp_path: Path) -> None:
    """Each rule fires on its mistake, and names a file and line that has to do with it."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(MISTAKES[rule], encoding="utf-8")

    found = {finding.rule: finding for finding in _findings(*ONE_PROCESS, overlay)}

    assert rule in found
    file, _, line = found[rule].place.rpartition(":")
    assert Path(file).is_file()
    assert line.isdigit()


def test_the_isolating_batch_of_the_signals_branch_is_no_mistake(tmp_path: Path) -> None:
    """A batch processor that passes everything at once holds nothing."""
    overlay = tmp_path / "signals.yaml"
    overlay.write_text(
        "processors: {batch: {timeout: 0s, send_batch_size: 0}}\n"
        "service: {pipelines: {logs/egress: {processors: [batch]}}}",
        encoding="utf-8",
    )

    assert _findings(*ONE_PROCESS, overlay) == ()


def test_a_loop_is_found_through_connectors(tmp_path: Path) -> None:
    """The way back to the gate may lead over any number of forwards."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(
        "connectors: {forward/a: {}, forward/b: {}}\n"
        "service: {pipelines: {\n"
        "  logs/egress: {exporters: [forward/a]},\n"
        "  logs/a: {receivers: [forward/a], exporters: [forward/b]},\n"
        "  logs/b: {receivers: [forward/b], exporters: [otlp_grpc/gate]}}}",
        encoding="utf-8",
    )

    assert any(finding.rule == "loop" for finding in _findings(*ONE_PROCESS, overlay))


def test_a_receiver_without_an_endpoint_listens_on_the_collectors_default_port(
    tmp_path: Path,
) -> None:
    """The egress half of two processes may well be on 4317: that is no ingress."""
    egress = tmp_path / "egress.yaml"
    egress.write_text(
        "receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 64}}}}\n"
        "exporters: {otlp_grpc/gate: {endpoint: 'gate:4319'}, debug: }\n"
        "service: {pipelines: {logs: {receivers: [otlp], exporters: [EXPORTER]}}}\n",
        encoding="utf-8",
    )
    looping = tmp_path / "looping.yaml"
    looping.write_text(egress.read_text().replace("EXPORTER", "otlp_grpc/gate"), encoding="utf-8")
    egress.write_text(egress.read_text().replace("EXPORTER", "debug"), encoding="utf-8")
    gate = replace(GATE, downstream_port=4317)

    assert check_collector(read_collector([egress]), gate) == ()
    assert "loop" in {item.rule for item in check_collector(read_collector([looping]), gate)}


@pytest.mark.parametrize(
    "resolver",
    [
        "static: {hostnames: ['gate:4319']}",
        "dns: {hostname: gate, port: 4319}",
        "dns: {hostname: gate, port: '4319'}",
        "k8s: {service: gate.ns, ports: [4319]}",
        "aws_cloud_map: {namespace: a, service_name: gate, port: 4319}",
    ],
)
def test_the_gate_is_known_behind_any_resolver(tmp_path: Path, resolver: str) -> None:
    """Workers on many machines are found by name, and are the gate all the same."""
    overlay = tmp_path / "workers.yaml"
    overlay.write_text(
        f"exporters: {{load_balancing: {{resolver: {{{resolver}}}}}}}\n"
        "service: {pipelines: {logs/ingress: {exporters: [load_balancing]}}}\n",
        encoding="utf-8",
    )

    found = {finding.rule for finding in _findings(*ONE_PROCESS, overlay)}

    assert found.isdisjoint({"raw-leak", "gate-not-reached"})


@pytest.mark.parametrize("limit", ["null", "20971520"])
def test_the_door_of_http_is_no_wider_than_a_batch(tmp_path: Path, limit: str) -> None:
    """OTLP/HTTP takes 20 MiB where nothing is set."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(
        f"receivers: {{otlp/ingress: {{protocols: {{http: {{max_request_body_size: {limit}}}}}}}}}",
        encoding="utf-8",
    )

    (finding,) = _findings(*ONE_PROCESS, overlay)

    assert finding.rule == "receiver-over-batch-limit"
    assert "max_request_body_size" in finding.fix


@pytest.mark.parametrize(
    "text",
    [
        "exporters: {otlp_grpc/gate: {timeout: soon}}",
        "exporters: {otlp_grpc/gate: {retry_on_failure: {max_elapsed_time: [1]}}}",
    ],
)
def test_a_duration_that_is_none_is_named_with_its_place(tmp_path: Path, text: str) -> None:
    """The file and line, as for every other error."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"edited\.yaml:1: not a duration: "):
        _findings(*ONE_PROCESS, overlay)


@pytest.mark.parametrize(
    "text",
    [
        "exporters: {x: {resolver: {static: [a], dns: 5, k8s: {ports: 5}}}, otlp_http/loki: text}",
        "exporters: [otlp]",
        "receivers: {otlp/ingress: [grpc], file_log: 7}",
        "receivers: {otlp/ingress: {protocols: {grpc: 5, http: }}}",
        "processors: {memory_limiter: 1}",
        "service: {pipelines: {logs/x: 3, traces/y: {receivers: a}}}",
        "extensions: 4",
    ],
)
def test_shapes_that_the_collector_would_refuse_do_not_stop_the_check(
    tmp_path: Path, text: str
) -> None:
    """`otelcol validate` is there for those; this check says what it can."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(text, encoding="utf-8")

    assert all(finding.fix for finding in _findings(*ONE_PROCESS, overlay))


def test_errors_come_before_warnings(tmp_path: Path) -> None:
    """The worst is read first."""
    overlay = tmp_path / "edited.yaml"
    overlay.write_text(
        "service: {pipelines: {logs/ingress: {processors: [], exporters: [otlp_http/loki]}}}",
        encoding="utf-8",
    )

    severities = [finding.severity for finding in _findings(*ONE_PROCESS, overlay)]

    assert set(severities) == {Severity.ERROR, Severity.WARNING}
    assert severities == sorted(severities)


def test_every_rule_function_is_in_the_table() -> None:
    """A rule that nobody calls checks nothing."""
    assert len(RULES) == len(set(RULES)) == 15


def test_a_file_that_is_no_collector_configuration_is_named(tmp_path: Path) -> None:
    """A gate.yaml by mistake gives a question, not silence."""
    path = tmp_path / "gate.yaml"
    path.write_text("server: {}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"no service\.pipelines"):
        read_collector([path])


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("a:1", 1), ("http://a:3100/otlp", 3100), ("[::1]:5", 5), ("a", None), (None, None)],
)
def test_the_port_of_an_endpoint(endpoint: object, port: int | None) -> None:
    """Addresses and URLs."""
    assert port_of(endpoint) == port
