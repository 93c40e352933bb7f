"""The audit log says which rule found how long a secret where, within its limit."""

import logging

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from prometheus_client import CollectorRegistry

from planting import batch_of, only_field, plant_attribute, plant_text, request_of
from tapeline.otlp.fields import FieldClass
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.processor import build

SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"
MINUTE_NS = 60_000_000_000
BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)


def _processor(*, live: bool = True, **section: object) -> Processor:
    config = RedactionConfig.model_validate(section)
    return build(config, ProcessorContext(CollectorRegistry(), live=live))


def _body(text: str) -> Batch:
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, text)
    return batch_of(Signal.LOGS, request)


def test_a_line_names_rule_path_length_action_signal_and_version(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And nothing of the secret, nor of the key it stood under."""
    caplog.set_level(logging.INFO, "tapeline.redaction.audit")
    request = request_of(Signal.LOGS)
    plant_attribute(request, BODY, f"desk.{SECRET}.password", AnyValue(string_value=SECRET))

    _processor().process(batch_of(Signal.LOGS, request), 1)

    (line,) = caplog.messages
    fields = dict(part.split("=") for part in line.removeprefix("redaction: ").split(" "))
    version = fields.pop("policy")
    assert fields == {
        "rule": "password",
        "path": BODY.path,
        "length_bytes": str(len(SECRET)),
        "action": "mask",
        "signal": "logs",
    }
    assert len(version) == 12
    assert "Zq7" not in line


def test_the_version_changes_with_the_policy_and_with_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """So that a line can be traced to the rules of then."""
    caplog.set_level(logging.INFO, "tapeline.redaction.audit")
    for section in ({}, {"audit_lines_per_minute": 5}, {"disable": ["jwt"]}, {"depth": 2}):
        _processor(**section).process(_body(f"password={SECRET}"), 1)

    versions = [line.rpartition("policy=")[2] for line in caplog.messages]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_lines_are_limited_by_the_minute_and_those_left_out_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flood of secrets is no flood of lines."""
    caplog.set_level(logging.INFO, "tapeline.redaction.audit")
    processor = _processor(audit_lines_per_minute=2)
    for number in range(5):
        processor.process(_body(f"password={SECRET}"), MINUTE_NS + number)
    assert len(caplog.messages) == 2

    processor.process(_body(f"password={SECRET}"), 2 * MINUTE_NS + 9)

    assert len(caplog.messages) == 3
    assert caplog.messages[-1].endswith("(3 more before it)")


@pytest.mark.parametrize("section", [{"audit_lines_per_minute": 0}, {}])
def test_without_a_limit_or_offline_there_is_no_line(
    section: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A recording's secrets are nobody's news."""
    caplog.set_level(logging.INFO, "tapeline.redaction.audit")
    _processor(live=bool(section), **section).process(_body(f"password={SECRET}"), 1)

    assert caplog.messages == []


def test_what_is_only_observed_is_marked_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """The line says that the secret went on."""
    caplog.set_level(logging.INFO, "tapeline.redaction.audit")
    _processor(mode="observe").process(_body(f"password={SECRET}"), 1)

    assert " mode=observe " in caplog.messages[0]
