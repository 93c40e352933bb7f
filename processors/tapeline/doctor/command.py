"""`tapeline check` and `tapeline doctor`: what is wrong, and what to change."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from tapeline import __version__
from tapeline.doctor.collector_graph import CollectorGraph, port_of, read_collector
from tapeline.doctor.collector_rules import check_collector
from tapeline.doctor.findings import Finding, Severity
from tapeline.doctor.gate_facts import GateFacts
from tapeline.doctor.hops import Addresses, check_hops, hops_of
from tapeline.otlp.signals import Signal
from tapeline.pipeline.form import running_form
from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.registry import ProcessorContext, RegistryError
from tapeline.redaction.audit import VERSION_LENGTH
from tapeline.redaction.command import RulesReport, check_rules, explain_command
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.hmac_keys import key_from_file
from tapeline.settings import Settings, build_chain, config_schema, load_settings

__all__ = ["check_command", "doctor_command", "explain_from", "schema_command"]

EXIT_OK: Final = 0
EXIT_FOUND: Final = 1
EXIT_CONFIG: Final = 2


def schema_command() -> int:
    """Print the JSON Schema of the whole configuration."""
    try:
        schema = config_schema()
    except (ConfigError, RegistryError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    print(json.dumps(schema, indent=2, sort_keys=True))
    return EXIT_OK


def check_command(config: Path, collector: Sequence[Path], *, as_json: bool) -> int:
    """Validate a configuration and, beside it, the collector's; print what would run.

    Returns 0 where nothing is wrong, 1 where the collector's files have an error in them or a rule
    does not keep to its own examples, 2 where a file can't be used at all.
    """
    try:
        settings = load_settings(config)
        build_chain(settings, ProcessorContext(CollectorRegistry(), live=False))
        findings = _collector_findings(settings, collector)
        rules = _checked_rules(settings)
    except ConfigError as error:
        return _refuse(error, as_json=as_json)
    if as_json:
        answer = {
            "plan": _plan(settings),
            "rules": asdict(rules),
            "findings": [item.as_dict() for item in findings],
        }
        print(json.dumps(answer, indent=2, sort_keys=True))
    else:
        _print_plan(settings)
        _print_rules(rules)
        _print_findings(findings, checked=bool(collector))
    failed = any(finding.severity == Severity.ERROR for finding in findings)
    return EXIT_FOUND if failed or rules.failures else EXIT_OK


def explain_from(config: Path | None, text: str, key: str | None, *, as_json: bool) -> int:
    """Explain a text by the rules of a configuration, or by the built-in ones without one.

    Returns what `explain_command` does, and 2 where the configuration can't be used.
    """
    section = RedactionConfig()
    if config is not None:
        try:
            section = _redaction_section(load_settings(config))
        except ConfigError as error:
            return _refuse(error, as_json=as_json)
    return explain_command(section, text, key, as_json=as_json)


def _checked_rules(settings: Settings) -> RulesReport:
    """Run the rules' examples, and read the key that `serve` would read."""
    section = _redaction_section(settings)
    if section.hmac_key_file is not None:
        try:
            key_from_file(section.hmac_key_file)
        except ValueError as error:
            raise settings.refusal("redaction", error) from error
    return check_rules(section)


def _redaction_section(settings: Settings) -> RedactionConfig:
    """Return the section, or the default one where no chain has the redaction in it."""
    section = settings.sections.get("redaction", RedactionConfig())
    if not isinstance(section, RedactionConfig):
        raise ConfigError([f"{settings.source}: the installed `redaction` is not Tapeline's own"])
    return section


def doctor_command(
    config: Path, collector: Sequence[Path], overrides: dict[str, str], *, as_json: bool
) -> int:
    """Walk every hop of a running stack; then read the collector's files, where given.

    Returns 0 where all is well, 1 where something is wrong, 2 where a file can't be used.
    """
    try:
        settings = load_settings(config)
        findings = list(_collector_findings(settings, collector))
    except ConfigError as error:
        return _refuse(error, as_json=as_json)
    findings += _disk_findings(collector)
    if not as_json:
        print(f"tapeline {__version__} ({running_form()})")
    for hop, finding in check_hops(hops_of(_addresses(settings, overrides))):
        if finding is not None:
            findings.append(finding)
        if not as_json:
            print(f"{'FAIL' if finding else 'ok':<5} {hop.name:<20} {hop.address}")
    if as_json:
        found = [item.as_dict() for item in findings]
        print(json.dumps({"form": running_form(), "findings": found}, indent=2))
    else:
        _print_findings(findings, checked=True)
    failed = any(finding.severity == Severity.ERROR for finding in findings)
    return EXIT_FOUND if failed else EXIT_OK


def _addresses(settings: Settings, overrides: dict[str, str]) -> Addresses:
    discards = settings.downstream.endpoint == "discard"
    known = {
        "gate": settings.server.listen,
        "gate_admin": settings.admin.listen,
        "downstream": "" if discards else settings.downstream.endpoint,
    }
    return Addresses(**(known | overrides))


def _gate_facts(settings: Settings) -> GateFacts:
    first = port_of(settings.server.listen) or 0
    return GateFacts(
        listen_ports=frozenset(range(first, first + settings.server.workers)),
        downstream_port=port_of(settings.downstream.endpoint) or 0,
        max_message_mib=settings.server.max_message_mib,
        downstream_timeout_s=settings.downstream.timeout,
    )


def _collector_findings(settings: Settings, paths: Sequence[Path]) -> tuple[Finding, ...]:
    if not paths:
        return ()
    if "signals" in settings.chain.logs:
        problem = (
            f"{settings.source}: this is the signals sidecar's; the collector's files are checked"
            " with the gate's configuration"
        )
        raise ConfigError([problem])
    return check_collector(read_collector(paths), _gate_facts(settings))


def _disk_findings(paths: Sequence[Path]) -> list[Finding]:
    """The sum of all queues must fit the free disk: a full one loses data while it drains."""
    if not paths:
        return []
    graph = read_collector(paths)
    wanted = sum(_queue_bytes(graph))
    free = shutil.disk_usage(paths[0].resolve().parent).free
    if wanted <= free:
        return []
    return [
        Finding(
            "queues-over-disk",
            Severity.ERROR,
            graph.place("exporters"),
            f"the queues may grow to {wanted} bytes, the disk has {free} bytes free",
            "lower queue_size, or free the disk: a full one loses data while it drains",
        )
    ]


def _queue_bytes(graph: CollectorGraph) -> list[int]:
    queues = [
        config.get("sending_queue")
        for config in graph.section("exporters").values()
        if isinstance(config, dict)
    ]
    return [
        size
        for queue in queues
        if isinstance(queue, dict) and queue.get("sizer") == "bytes"
        if isinstance(size := queue.get("queue_size"), int)
    ]


def _plan(settings: Settings) -> dict[str, object]:
    return {
        "config": settings.source,
        "listen": settings.server.listen,
        "workers": settings.server.workers,
        "downstream": settings.downstream.endpoint,
        "admin": settings.admin.listen,
        "chain": {signal.value: list(settings.chain.of(signal)) for signal in Signal},
        "processors": {
            name: section.model_dump(mode="json") for name, section in settings.sections.items()
        },
    }


def _print_plan(settings: Settings) -> None:
    first, workers = settings.server.listen, settings.server.workers
    more = f" and the {workers - 1} ports after it" if workers > 1 else ""
    print(f"{settings.source}: valid")
    print(f"  takes OTLP/gRPC on {first}{more}, sends on to {settings.downstream.endpoint}")
    print(f"  health and metrics on http://{settings.admin.listen}")
    for signal in Signal:
        print(f"  {signal.value + ':':<9}{' → '.join(settings.chain.of(signal)) or '(passed on)'}")


def _print_rules(rules: RulesReport) -> None:
    version = rules.fingerprint[:VERSION_LENGTH]
    print(f"  redaction: {len(rules.rules)} rules, {rules.examples} examples, version {version}")
    for failure in rules.failures:
        print(f"  {failure}")


def _print_findings(findings: Sequence[Finding], *, checked: bool) -> None:
    for finding in findings:
        print(finding.as_line())
    if checked and not findings:
        print("nothing wrong found")


def _refuse(error: ConfigError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"problems": error.problems}, indent=2))
    else:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
    return EXIT_CONFIG
