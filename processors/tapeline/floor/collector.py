"""What the collector is told in addition for the floor: whom to scrape, which files to tail.

One more file behind ingress.yaml: maps are merged, and of two lists the last one wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tapeline.floor.catalog import FloorService

__all__ = ["Scraped", "ingress_document"]

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Scraped:
    """A service of the floor and the port on which it is scraped."""

    service: FloorService
    port: int


def ingress_document(scraped: Sequence[Scraped], logs: Path, interval_s: int) -> dict[str, object]:
    """Return the collector's configuration: receivers for the floor, and pipelines with them."""
    return {
        "receivers": {
            "prometheus/floor": {
                "config": {"scrape_configs": [_job(each, interval_s) for each in scraped]}
            },
            "file_log/floor": _file_log(logs),
        },
        "service": {
            "pipelines": {
                "logs/ingress": {"receivers": ["otlp/ingress", "file_log", "file_log/floor"]},
                "metrics/ingress": {
                    "receivers": ["otlp/ingress", "prometheus", "prometheus/floor"]
                },
            }
        },
    }


def _job(scraped: Scraped, interval_s: int) -> dict[str, object]:
    service = scraped.service
    target = f"{HOST}:{scraped.port}"
    job: dict[str, object] = {
        "job_name": service.job,
        "scrape_interval": f"{interval_s}s",
        "scrape_timeout": f"{interval_s}s",
        # What a service says of itself (system_cpu_usage_percent{service=...}) wins.
        "honor_labels": True,
        "static_configs": [{"targets": [target], "labels": dict(service.labels)}],
    }
    if service.instance is not None:
        job["relabel_configs"] = [{"target_label": "instance", "replacement": service.instance}]
    return job


def _file_log(logs: Path) -> dict[str, object]:
    """Tail JSON lines; the file's name without its ending is service.name."""
    return {
        "include": [f"{logs}/*.log*"],
        "start_at": "beginning",
        "include_file_name": True,
        "storage": "file_storage/ingress",
        "retry_on_failure": {
            "enabled": True,
            "initial_interval": "200ms",
            "max_interval": "2s",
            "max_elapsed_time": "0s",
        },
        "operators": [
            {
                "type": "add",
                "field": 'resource["service.name"]',
                "value": 'EXPR(split(attributes["log.file.name"], ".log")[0])',
            },
            {
                "type": "json_parser",
                "parse_from": "body",
                "parse_to": "attributes",
                "on_error": "send",
            },
            {
                "type": "copy",
                "if": "attributes.log_type != nil",
                "from": "attributes.log_type",
                "to": 'resource["log.class"]',
                "on_error": "send",
            },
            {
                "type": "time_parser",
                "if": 'attributes.timestamp != nil and type(attributes.timestamp) == "string"',
                "parse_from": "attributes.timestamp",
                "layout_type": "gotime",
                "layout": "2006-01-02T15:04:05.999999999Z07:00",
                "on_error": "send",
            },
            {
                "type": "severity_parser",
                "if": "attributes.level != nil",
                "parse_from": "attributes.level",
                "on_error": "send",
            },
            {
                "type": "trace_parser",
                "if": "attributes.trace_id != nil and attributes.span_id != nil",
                "trace_id": {"parse_from": "attributes.trace_id"},
                "span_id": {"parse_from": "attributes.span_id"},
                "on_error": "send",
            },
            {
                "type": "move",
                "if": "attributes.message != nil",
                "from": "attributes.message",
                "to": "body",
                "on_error": "send",
            },
        ],
    }
