"""Rules, actions and modes as the configuration has them, by signal and by service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from prometheus_client import CollectorRegistry

from planting import batch_of, only_field, plant_attribute, plant_text, request_of
from strategies import requests
from tapeline.otlp.fields import FieldClass
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import ProcessorContext
from tapeline.redaction import fast
from tapeline.redaction.config import RedactionConfig
from tapeline.redaction.core import Notice
from tapeline.redaction.pack import Pack, RuleSource, load_pack
from tapeline.redaction.policy import judge_of, policies_of
from tapeline.redaction.processor import build
from tapeline.redaction.rule import NameRule

SECRET = "Zq7hunter2x8Kd0wLmV4tR1s"
BODY = only_field(Signal.LOGS, FieldClass.LOG_BODY)
SPAN = only_field(Signal.TRACES, FieldClass.SPAN_ATTRIBUTE)
DESK_RULE = {
    "id": "desk-code",
    "description": "Codes of the desk",
    "pattern": "DESK-[0-9]{6}",
    "keywords": ["desk-"],
    "finds": ["DESK-123456", "x DESK-000001"],
    "leaves": ["DESK-1", "desk"],
}


def _redacted(section: dict[str, Any], batch: Batch) -> Batch:
    config = RedactionConfig.model_validate(section)
    processor = build(config, ProcessorContext(CollectorRegistry(), live=False))
    result = processor.process(batch, 0).batch
    assert result is not None
    return result


def _body(text: str, section: dict[str, Any]) -> str:
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, text)
    redacted: Any = _redacted(section, batch_of(Signal.LOGS, request)).request
    body: str = redacted.resource_logs[0].scope_logs[0].log_records[0].body.string_value
    return body


@pytest.mark.parametrize(
    ("section", "text", "expected"),
    [
        ({"rules": [DESK_RULE]}, "by DESK-424242 now", "by [REDACTED:desk-code] now"),
        ({"rules": [DESK_RULE], "disable": ["desk-code"]}, "by DESK-424242", "by DESK-424242"),
        (
            {"rules": [DESK_RULE | {"optional": True}]},
            "by DESK-424242",
            "by DESK-424242",
        ),
        (
            {"rules": [{"id": "password", "action": "partial"}]},
            f"password={SECRET}",
            "password=[REDACTED:password:tR1s]",
        ),
        (
            {"actions": {"password": "partial"}},
            f"password={SECRET}",
            "password=[REDACTED:password:tR1s]",
        ),
        ({"enable": ["email"]}, "to joe@firm.example.com ok", "to [REDACTED:email] ok"),
        ({}, "to joe@firm.example.com ok", "to joe@firm.example.com ok"),
        ({"allow": {"keys": ["password"]}}, f"password={SECRET}", f"password={SECRET}"),
        ({"allow": {"values": ["Zq7.*"]}}, f"password={SECRET}", f"password={SECRET}"),
        (
            {"allow": {"values": ["Zq7"]}},
            f"password={SECRET}",
            "password=[REDACTED:password]",
        ),
        ({"deny": {"keys": ["desk_code"]}}, "deskCode=abc1", "deskCode=[REDACTED:denied-name]"),
        (
            {"deny": {"values": ["Blue Harvest", "a.b.c"]}},
            "see blue harvest, axbxc, A.B.C",
            "see [REDACTED:denied-value], axbxc, [REDACTED:denied-value]",
        ),
        ({"depth": 0}, "x%20password%3Dhunter2%20", "x%20password%3Dhunter2%20"),
        ({"signals": {"logs": {"mode": "observe"}}}, f"password={SECRET}", f"password={SECRET}"),
        (
            {"signals": {"logs": {"disable": ["password"]}}},
            f"password={SECRET}",
            f"password={SECRET}",
        ),
        (
            {"disable": ["password"], "signals": {"logs": {"enable": ["password"]}}},
            f"password={SECRET}",
            "password=[REDACTED:password]",
        ),
        (
            {"signals": {"traces": {"mode": "observe"}}},
            f"password={SECRET}",
            "password=[REDACTED:password]",
        ),
    ],
)
def test_the_section_says_what_is_found_and_done(
    section: dict[str, Any], text: str, expected: str
) -> None:
    """Each key of it on its own, and where one overrules another."""
    assert _body(text, section) == expected


def test_an_allowed_value_may_stand_under_a_secret_name() -> None:
    """A pattern of values speaks for attributes as well as for texts."""
    request = request_of(Signal.TRACES)
    plant_attribute(request, SPAN, "password", AnyValue(string_value=SECRET))
    batch = batch_of(Signal.TRACES, request)

    assert _redacted({"allow": {"values": ["Zq7.*"]}}, batch) is batch
    assert SECRET.encode() not in _redacted({}, batch).payload


SERVICES: dict[str, Any] = {
    "allow": {"services": ["quotes"]},
    "services": {
        "legacy": {"mode": "observe"},
        "orders": {"actions": {"password": "drop_record"}},
        "risk": {"disable": ["password"]},
    },
}


def _from(*services: str) -> Batch:
    request = request_of(Signal.LOGS)
    for service in services:
        container = request.resource_logs.add()
        container.resource.attributes.add(key="service.name").value.string_value = service
        records = container.scope_logs.add().log_records
        records.add().body.string_value = f"{service} password={SECRET}"
        records.add().body.string_value = f"{service} harmless"
    return batch_of(Signal.LOGS, request)


def test_each_service_has_its_own_policy() -> None:
    """In one request, in any order, and those without one have that of the signal."""
    services = ("gateway", "quotes", "gateway", "legacy", "orders", "risk", "", "gateway")

    redacted: Any = _redacted(SERVICES, _from(*services)).request

    bodies = [
        [record.body.string_value for record in container.scope_logs[0].log_records]
        for container in redacted.resource_logs
    ]
    kept = {"quotes", "legacy", "risk"}
    assert bodies == [
        [
            *(
                []
                if name == "orders"
                else [f"{name} password={SECRET if name in kept else '[REDACTED:password]'}"]
            ),
            f"{name} harmless",
        ]
        for name in services
    ]


@pytest.mark.parametrize("services", [("quotes",), ("legacy",), ("quotes", "risk", "legacy")])
def test_what_no_policy_changes_is_the_same_object(services: tuple[str, ...]) -> None:
    """Taking a request apart by services does not rebuild it for nothing."""
    batch = _from(*services)

    assert _redacted(SERVICES, batch) is batch


SERVICE_PROCESSOR = build(
    RedactionConfig.model_validate({"services": {"orders": {}}}),
    ProcessorContext(CollectorRegistry(), live=False),
)
GENERAL_PROCESSOR = build(RedactionConfig(), ProcessorContext(CollectorRegistry(), live=False))


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_taken_apart_by_services_it_is_redacted_as_in_one_piece(
    signal: Signal, data: st.DataObject
) -> None:
    """A service whose policy changes nothing makes no difference."""
    request: Any = data.draw(requests(signal))
    containers = getattr(request, next(iter(request.DESCRIPTOR.fields_by_name)))
    for container in containers:
        if data.draw(st.booleans()):
            container.resource.attributes.add(key="service.name").value.string_value = "orders"
    batch = batch_of(signal, request)

    apart = SERVICE_PROCESSOR.process(batch, 0).batch
    whole = GENERAL_PROCESSOR.process(batch, 0).batch

    assert apart is not None
    assert whole is not None
    assert apart.request == whole.request


def test_what_is_compiled_of_rules_is_shared_and_nothing_else() -> None:
    """Of two processors with the same rules each has its own key, actions, counts and notices."""
    request = request_of(Signal.LOGS)
    plant_text(request, BODY, f"password={SECRET}")
    batch = batch_of(Signal.LOGS, request)
    heard: tuple[list[Notice], list[Notice]] = ([], [])
    sections: tuple[dict[str, Any], ...] = ({}, {"actions": {"password": "hmac"}})
    keys = (b"1" * 32, b"2" * 32)
    judge_of(RedactionConfig())
    made, misses = [], []
    for section, key, notices in zip(sections * 2, keys + keys[::-1], heard * 2, strict=True):
        config = RedactionConfig.model_validate(section)
        made.append(policies_of(config, key, notices.append, None).by_signal[Signal.LOGS])
        misses.append((fast._scanner.cache_info().misses, fast._after_masks.cache_info().misses))
    results = [policy.redactor.redact(batch) for policy in made for _ in range(2)]
    payloads = [result.batch.payload for result in results]

    assert len(set(misses)) == 1
    assert payloads[::2] == payloads[1::2]
    assert len({*payloads}) == 3
    assert payloads[0] == payloads[4]
    assert [sum(result.hits.values()) for result in results] == [1] * 8
    assert [len(notices) for notices in heard] == [4, 4]


def test_built_in_rules_are_checked_once_and_changed_ones_are_not_theirs() -> None:
    """A configuration that changes a rule leaves it as it is for others."""
    plain, again = load_pack(), load_pack()
    change = {"id": "password", "action": "partial"}
    changed = load_pack(overrides=[RuleSource(change, "here")])

    def password(pack: Pack) -> NameRule:
        return next(rule for rule in pack.name_rules if rule.id == "password")

    assert password(plain) is password(again)
    assert (password(plain).action, password(changed).action) == ("mask", "partial")
    assert password(load_pack()) is password(plain)
