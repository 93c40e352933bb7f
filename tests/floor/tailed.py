"""A line of a log file as the collector's `file_log/floor` hands it on: a record of OTLP.

The receiver's own list of operators is read, and each kind that it uses is done here as the
collector does it; a kind or condition that is not known here fails the test that meets it. That the
real collector makes the same of a line shows in tests/stack/test_floor.py.
"""

import json
import re
from pathlib import Path
from typing import Any

from tapeline.floor.collector import ingress_document
from tapeline.otlp.json_lines import request_from_json
from tapeline.pipeline.batch import Batch
from tapeline.signals.mapping_times import rfc3339_ns

__all__ = ["tailed"]

Json = dict[str, Any]


def tailed(service: str, *lines: str) -> Batch:
    """Return the batch that lines of a service's log file become."""
    records = [_Record(f"{service}.log", line) for line in lines]
    for record in records:
        for operator in _operators():
            record.apply(operator)
    request = {"resourceLogs": [record.as_otlp() for record in records]}
    return Batch(*request_from_json(json.dumps(request).encode()))


def _operators() -> list[Json]:
    document: Any = ingress_document([], Path("/logs"), 5)
    operators: list[Json] = document["receivers"]["file_log/floor"]["operators"]
    return operators


class _Record:
    """A record on its way through the operators."""

    def __init__(self, file_name: str, line: str) -> None:
        self.attributes: Json = {"log.file.name": file_name}
        self.resource: Json = {}
        self.body = line
        self.own: Json = {"observedTimeUnixNano": "1771840800200000000"}

    def apply(self, operator: Json) -> None:
        if self._is_meant(operator.get("if", "")):
            getattr(self, f"_{operator['type']}")(operator)

    def _is_meant(self, condition: str) -> bool:
        """Evaluate a condition: that some attributes are there, and that one is a text."""
        for part in filter(None, condition.split(" and ")):
            there = re.fullmatch(r"attributes\.(\w+) != nil", part)
            text = re.fullmatch(r'type\(attributes\.(\w+)\) == "string"', part)
            assert there or text, f"a condition that is not known here: {part}"
            if there and self.attributes.get(there[1]) is None:
                return False
            if text and not isinstance(self.attributes.get(text[1]), str):
                return False
        return True

    def _add(self, operator: Json) -> None:
        assert operator["value"] == 'EXPR(split(attributes["log.file.name"], ".log")[0])'
        self._put(operator["field"], self.attributes["log.file.name"].split(".log")[0])

    def _json_parser(self, operator: Json) -> None:
        assert (operator["parse_from"], operator["parse_to"]) == ("body", "attributes")
        # The collector reads every number as a double.
        self.attributes |= json.loads(self.body, parse_int=float)

    def _copy(self, operator: Json) -> None:
        self._put(operator["to"], self.attributes[operator["from"].removeprefix("attributes.")])

    def _time_parser(self, operator: Json) -> None:
        time_ns = rfc3339_ns(self.attributes[operator["parse_from"].removeprefix("attributes.")])
        assert isinstance(time_ns, int), time_ns
        self.own["timeUnixNano"] = str(time_ns)

    def _severity_parser(self, operator: Json) -> None:
        self.own["severityText"] = self.attributes[operator["parse_from"].split(".")[1]]

    def _trace_parser(self, operator: Json) -> None:
        for key, field in (("trace_id", "traceId"), ("span_id", "spanId")):
            self.own[field] = self.attributes[operator[key]["parse_from"].split(".")[1]]

    def _move(self, operator: Json) -> None:
        assert operator["to"] == "body"
        self.body = self.attributes.pop(operator["from"].removeprefix("attributes."))

    def _put(self, field: str, value: object) -> None:
        key = re.fullmatch(r'resource\["([\w.]+)"\]', field)
        assert key, f"a field that is not known here: {field}"
        self.resource[key[1]] = value

    def as_otlp(self) -> Json:
        record = {
            **self.own,
            "body": _value(self.body),
            "attributes": _pairs(self.attributes),
        }
        return {
            "resource": {"attributes": _pairs(self.resource)},
            "scopeLogs": [{"scope": {}, "logRecords": [record]}],
        }


def _pairs(mapping: Json) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in mapping.items()]


def _value(value: object) -> Json:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}
