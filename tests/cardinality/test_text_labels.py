"""Limits on Loki's index labels, span names and span attributes, against a plain model."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from backward_encoding import backwards
from strategies import disguise
from tapeline.cardinality import text_labels
from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.report import TextState
from tapeline.cardinality.text_labels import LimitedTexts, TextLabels
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError
from tapeline.pipeline.batch import REQUEST_TYPES, Batch

HOUR_NANO = 3600 * 10**9
UUID = "9f86d081-884c-4d65-9a2f-eaa0c55ad015"

ENCODERS: dict[str, Callable[[Any, Random], bytes]] = {
    "forwards": lambda request, _: request.SerializeToString(),
    "backwards": lambda request, _: backwards(request),
    "disguised": disguise,
}


def _attributes(attributes: dict[str, Any]) -> list[KeyValue]:
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    pairs = []
    for name, value in attributes.items():
        pair = KeyValue(key=name)
        if value is not None:
            setattr(pair.value, kinds[type(value)], value)
        pairs.append(pair)
    return pairs


def _logs(*resources: dict[str, Any]) -> Batch:
    request = ExportLogsServiceRequest()
    for attributes in resources:
        container = request.resource_logs.add(schema_url="s")
        container.resource.attributes.extend(_attributes(attributes))
        container.resource.dropped_attributes_count = 3
        container.scope_logs.add().log_records.add(body=AnyValue(string_value="filled"))
    return Batch(Signal.LOGS, request.SerializeToString())


Span = tuple[str, dict[str, Any]]


def _spans(*services: tuple[str, list[Span]], resource: dict[str, Any] | None = None) -> Batch:
    request = ExportTraceServiceRequest()
    for service, spans in services:
        container = request.resource_spans.add()
        attributes = {"service.name": service, **(resource or {})}
        container.resource.attributes.extend(_attributes(attributes))
        scope = container.scope_spans.add()
        for name, attributes in spans:
            span = scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8, kind=2)
            span.attributes.extend(_attributes(attributes))
    return Batch(Signal.TRACES, request.SerializeToString())


def _labels(**section: Any) -> TextLabels:
    return TextLabels(CardinalityConfig.model_validate(section))


def _of_logs(limits: dict[str, Any], **section: Any) -> TextLabels:
    return _labels(logs={"labels": limits}, **section)


def _of_spans(names: Any = None, attributes: Any = None, **section: Any) -> TextLabels:
    return _labels(traces={"span_names": names, "attributes": attributes or {}}, **section)


def _values(pairs: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "", None) for pair in pairs
    }


def _resources_of(limited: LimitedTexts) -> list[dict[str, Any]]:
    request: Any = limited.batch.request
    return [_values(container.resource.attributes) for container in request.resource_logs]


def _spans_of(limited: LimitedTexts) -> list[Span]:
    request: Any = limited.batch.request
    return [
        (span.name, _values(span.attributes))
        for container in request.resource_spans
        for scope in container.scope_spans
        for span in scope.spans
    ]


def test_values_beyond_the_limit_become_other() -> None:
    """Admitted ones stay, whoever comes later; all else of the resource is as it was."""
    labels = _of_logs({"pod": {"limit": 2}})
    names = ["a", "b", "c", "a"]

    limited = labels.process(_logs(*({"pod": name, "host": "h"} for name in names)), 0)
    again = labels.process(_logs({"pod": "b"}, {"pod": "d"}), 1)

    assert [row["pod"] for row in _resources_of(limited)] == ["a", "b", "__other__", "a"]
    assert {row["host"] for row in _resources_of(limited)} == {"h"}
    assert [row["pod"] for row in _resources_of(again)] == ["b", "__other__"]
    assert limited.rewritten == {("pod", "label_limit"): 1}
    request: Any = limited.batch.request
    assert {each.resource.dropped_attributes_count for each in request.resource_logs} == {3}
    assert {each.schema_url for each in request.resource_logs} == {"s"}


def test_a_batch_within_the_limits_is_the_same_object() -> None:
    """For each signal, metrics included, which are counted elsewhere."""
    labels = _labels()
    metrics = Batch(Signal.METRICS, ExportMetricsServiceRequest().SerializeToString())
    for batch in (_logs({"service.name": "a"}), _spans(("a", [("get", {})])), metrics):
        for _ in range(2):
            limited = labels.process(batch, 0)

            assert limited.batch is batch
            assert not limited.rewritten


def test_observe_counts_and_changes_nothing() -> None:
    """The same counts as in enforce."""
    labels = _labels(mode="observe", logs={"labels": {"pod": {"limit": 0}}})
    batch = _logs({"pod": "a"})

    limited = labels.process(batch, 0)

    assert limited.batch is batch
    assert limited.rewritten == {("pod", "label_limit"): 1}


def test_records_keep_their_bytes() -> None:
    """Of a log only the resource's bytes change, of a span that is fine none do."""
    labels = _labels(logs={"labels": {"pod": {"limit": 0}}}, traces={"span_names": {"limit": 1}})
    logs = _logs({"pod": "a"})
    spans = _spans(("gw", [("a", {"x": 1}), ("b", {"x": 2}), ("a", {"x": 3})]))

    for batch, changed in ((logs, set()), (spans, {1})):
        after = labels.process(batch, 0).batch
        for record in range(len(batch.index)):
            before = batch.payload[
                batch.index.record_begins[record] : batch.index.record_ends[record]
            ]
            now = after.payload[after.index.record_begins[record] : after.index.record_ends[record]]
            assert (now != before) is (record in changed)


def test_ids_are_rewritten_before_they_are_counted() -> None:
    """So that the limit is on what remains."""
    rule = {"limit": 1, "normalize": ["uuid", "number"]}
    labels = _of_spans(rule, {"order": rule})
    spans: list[Span] = [("GET /orders/1", {"order": UUID}), ("GET /orders/2", {"order": 7})]

    limited = labels.process(_spans(("gw", spans)), 0)

    assert _spans_of(limited) == [
        ("GET /orders/{number}", {"order": "{uuid}"}),
        ("GET /orders/{number}", {"order": "__other__"}),
    ]
    assert limited.rewritten == {
        ("span.name", "normalized"): 2,
        ("order", "normalized"): 1,
        ("order", "label_limit"): 1,
    }


def test_each_service_has_span_names_of_its_own() -> None:
    """One that makes up names disturbs no other."""
    labels = _of_spans({"limit": 1}, {"venue": {"limit": 1}})
    flood: list[Span] = [(f"get {number}", {"venue": str(number)}) for number in range(9)]

    noisy = labels.process(_spans(("noisy", flood)), 0)
    quiet = labels.process(_spans(("quiet", [("fill", {"venue": "x"})])), 0)

    assert {name for name, _ in _spans_of(noisy)} == {"get 0", "__other__"}
    assert _spans_of(quiet) == [("fill", {"venue": "x"})]
    assert labels.states() == [
        *(
            TextState("log_label", name, own.limit, 0, 0)
            for name, own in CardinalityConfig().logs.labels.items()
        ),
        TextState("span_name", "span.name", 1, 1, 8),
        TextState("span_attribute", "venue", 1, 1, 8),
    ]


def test_a_value_is_its_text() -> None:
    """A number and its decimals are one label; nothing, empty and `__other__` take no room."""
    labels = _of_logs({"pod": {"limit": 2}})
    batch = _logs(*({"pod": value} for value in (5, "5", "", None, "__other__", True, "true", 1.5)))

    limited = labels.process(batch, 0)

    assert [row["pod"] for row in _resources_of(limited)] == [
        *(5, "5", "", None, "__other__", True, "true", "__other__")
    ]


def test_what_is_no_text_counts_as_a_value_too() -> None:
    """Doubles and lists are told apart by their bytes."""
    labels = _of_logs({"pod": {"limit": 1}})

    limited = labels.process(_logs({"pod": 1.5}, {"pod": 1.5}, {"pod": 2.5}), 0)

    assert [row["pod"] for row in _resources_of(limited)] == [1.5, 1.5, "__other__"]


def test_protected_values_pass() -> None:
    """And take no room."""
    labels = _of_logs({"pod": {"limit": 0}}, protect={"labels": {"pod": ["vip"]}})

    limited = labels.process(_logs({"pod": "vip"}, {"pod": "x"}), 0)

    assert [row["pod"] for row in _resources_of(limited)] == ["vip", "__other__"]


@pytest.mark.parametrize("signal", [Signal.LOGS, Signal.TRACES])
def test_values_are_sticky_and_go_when_idle(signal: Signal) -> None:
    """A value keeps its place while it is seen, and gives it back when it was not for idle_ttl."""
    labels = _labels(logs={"labels": {"v": {"limit": 1}}}, traces={"span_names": {"limit": 1}})

    def passes(value: str, hours: float) -> bool:
        batch = _logs({"v": value}) if signal is Signal.LOGS else _spans(("s", [(value, {})]))
        return labels.process(batch, int(hours * HOUR_NANO)).batch is batch

    for hours in range(100):
        assert passes("a", hours)
        assert not passes("b", hours + 0.5)
    assert not passes("b", 99.9)
    assert passes("b", 100.6)
    assert not passes("a", 100.7)
    assert labels.evicted == 1


def test_time_that_goes_back_changes_nothing() -> None:
    """An old clock neither evicts nor admits."""
    labels = _of_logs({"v": {"limit": 1}})
    labels.process(_logs({"v": "a"}), 100 * HOUR_NANO)

    assert labels.process(_logs({"v": "b"}), 0).rewritten
    assert not labels.process(_logs({"v": "a"}), 100 * HOUR_NANO).rewritten


def test_idle_services_give_their_room_back() -> None:
    """One at each batch, so that none waits for all of them."""
    labels = _of_spans({"limit": 5}, max_label_values=10)
    for number in range(10):
        labels.process(_spans((f"s{number}", [("get", {})])), 0)
    assert labels.free_values == 0

    for _ in range(11):
        labels.process(_spans(("late", [("get", {})])), 3 * HOUR_NANO)

    assert labels.free_values == 9
    assert [(row.kind, row.admitted) for row in labels.states()][-1] == ("span_name", 1)


@pytest.mark.pure
def test_a_flood_of_services_and_names_takes_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Caches are emptied when full, and services beyond the bound are counted together."""
    for name in ("MAX_CACHED_RESOURCES", "MAX_KNOWN"):
        monkeypatch.setattr(text_labels, name, 3)
    monkeypatch.setattr("tapeline.cardinality.text_rules.MAX_SETS", 3)
    labels = _labels(logs={"labels": {"v": {"limit": 100}}}, traces={"span_names": {"limit": 1}})
    results = []
    for number in range(20):
        labels.process(_logs({"v": str(number)}), 0)
        limited = labels.process(_spans((f"s{number}", [(f"get {number}", {})])), 0)
        results.append(limited.rewritten)

    assert len(labels._values.items()) <= 4
    assert len(labels._resources) <= 3
    assert len(labels._services) <= 3
    assert sum(map(len, labels._passing.values())) + len(labels._passing) <= 4
    assert results.count({}) == 3


def test_long_texts_are_limited_and_not_kept() -> None:
    """What is remembered of a text is bounded."""
    labels = _labels(logs={"labels": {"v": {"limit": 1}}}, traces={"span_names": {"limit": 1}})
    for batch in (_logs({"v": "x" * 10_000}), _spans(("s", [("x" * 10_000, {})]))):
        for _ in range(2):
            assert labels.process(batch, 0).batch is batch

    assert not labels._resources
    assert not any(labels._passing.values())
    assert len(str(labels.dump())) < 1000


def test_a_dump_carries_admitted_values_over() -> None:
    """Of labels that still have a limit."""
    section: dict[str, Any] = {
        "logs": {"labels": {"v": {"limit": 1}}},
        "traces": {"span_names": {"limit": 1}, "attributes": {"x": {"limit": 1}}},
    }
    before, after = _labels(**section), _labels(**section)
    before.process(_logs({"v": "a"}), HOUR_NANO)
    before.process(_spans(("s", [("get", {"x": "1"})])), HOUR_NANO)
    none = _labels(logs={"labels": {}}, traces={"span_names": None})

    after.load(before.dump())
    none.load(before.dump())

    assert after.process(_logs({"v": "b"}), HOUR_NANO).rewritten == {("v", "label_limit"): 1}
    limited = after.process(_spans(("s", [("put", {"x": "2"})]), ("t", [("put", {})])), HOUR_NANO)
    assert _spans_of(limited) == [("__other__", {"x": "__other__"}), ("put", {})]
    assert not none.dump()


def test_a_span_name_that_is_no_utf_8_is_limited_as_any() -> None:
    """The collector lets such names pass; what is kept of them can be sent on."""
    name = {"limit": 1, "normalize": ["number", {"pattern": "ORD-[0-9]+", "with": "order"}]}
    labels = _of_spans(name)
    batch = _spans(("s", [("get ORD-1 z", {}), ("put", {})]))
    broken = Batch(Signal.TRACES, batch.payload.replace(b"z", b"\xff"))

    limited = labels.process(broken, 0)

    assert b"get {order} \xff" in limited.batch.payload
    assert limited.rewritten == {("span.name", "normalized"): 1, ("span.name", "label_limit"): 1}


def test_what_span_metrics_take_from_the_resource_is_limited_too() -> None:
    """Over all services, since it may be the service's own name."""
    labels = _of_spans(None, {"service.name": {"limit": 1}, "host": {"limit": 0}})
    spans: list[Span] = [("get", {"host": "a"})]

    limited = labels.process(_spans(("s", spans), ("t", spans), resource={"host": "b"}), 0)

    request: Any = limited.batch.request
    assert [_values(container.resource.attributes) for container in request.resource_spans] == [
        {"service.name": "s", "host": "__other__"},
        {"service.name": "__other__", "host": "__other__"},
    ]
    assert _spans_of(limited) == [("get", {"host": "__other__"})] * 2
    assert limited.rewritten == {("host", "label_limit"): 4, ("service.name", "label_limit"): 1}


def test_a_value_that_is_no_utf_8_counts_as_any() -> None:
    """Nothing is refused for it: it may be all that is wrong with a request."""
    labels = _labels(
        logs={"labels": {"pod": {"limit": 1}}},
        traces={"attributes": {"pod": {"limit": 1}}},
    )
    for batch in (_logs({"pod": "az"}), _spans(("s", [("get", {"pod": "az"})]))):
        broken = batch.with_payload(batch.payload.replace(b"az", b"a\xff"))
        later = batch.with_payload(batch.payload.replace(b"az", b"b\xff"))

        assert labels.process(broken, 0).batch is broken
        assert labels.process(later, 0).rewritten == {("pod", "label_limit"): 1}


def test_what_does_not_parse_is_refused() -> None:
    """As malformed, which it is for everybody behind, too."""
    broken_resource = b"\x0a\x05\x0a\x03\x0a\x09x"
    labels = _labels()
    for signal in (Signal.LOGS, Signal.TRACES):
        with pytest.raises(MalformedRequestError, match="does not parse"):
            labels.process(Batch(signal, broken_resource), 0)


VALUES = st.sampled_from(
    ["a", "b", "c", "1", "n/2", "{number}", "__other__", "vip", "", 1, 2, True]
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["p", "q", "other"]), VALUES)
NAMES = st.sampled_from(["get", "put", "GET /1", "GET /2", "__other__", ""])
RULE = st.fixed_dictionaries(
    {"limit": st.integers(0, 3), "normalize": st.sampled_from([[], ["number"]])}
)
STEPS = st.lists(
    st.tuples(
        st.one_of(
            st.lists(ATTRIBUTES, max_size=3).map(lambda rows: _logs(*rows)),
            st.lists(
                st.tuples(
                    st.sampled_from(["s", "t"]),
                    st.lists(st.tuples(NAMES, ATTRIBUTES), max_size=4),
                ),
                max_size=3,
            ).flatmap(lambda rows: ATTRIBUTES.map(lambda more: _spans(*rows, resource=more))),
        ),
        st.sampled_from([0, 0, HOUR_NANO // 2, 2 * HOUR_NANO]),
    ),
    max_size=8,
)


class _Model:
    """The same over parsed requests: every text is looked at, and a list remembers every sight."""

    def __init__(self, section: dict[str, Any]) -> None:
        self._section = section
        self._seen: dict[tuple[str, ...], dict[str, int]] = {}
        self.rewritten: Counter[tuple[str, str]] = Counter()

    def process(self, batch: Batch, now: int) -> Any:
        """Return the request as it shall be."""
        self._quarter = now // (HOUR_NANO // 4)
        self.rewritten.clear()
        request: Any = REQUEST_TYPES[batch.signal].FromString(batch.payload)
        if batch.signal is Signal.LOGS:
            for container in request.resource_logs:
                rules = self._section["logs"]["labels"]
                self._pairs(container.resource.attributes, rules, "(logs)")
            return request
        for container in request.resource_spans:
            service = container.resource.attributes[0].value.string_value
            self._pairs(container.resource.attributes, self._section["traces"]["attributes"], "")
            for span in container.scope_spans[0].spans:
                rules = self._section["traces"]
                span.name = self._text("span.name", span.name, rules["span_names"], service)
                self._pairs(span.attributes, rules["attributes"], service)
        return request

    def _pairs(self, pairs: Any, rules: dict[str, Any], service: str) -> None:
        for pair in pairs:
            if pair.key not in rules:
                continue
            value = _values([pair])[pair.key]
            text = value if isinstance(value, str) else str(value).lower()
            result = self._text(pair.key, text, rules[pair.key], service)
            if result != text:
                pair.value.string_value = result

    def _text(self, label: str, text: str, rule: dict[str, Any], service: str) -> str:
        result = text
        if rule["normalize"]:
            for digit in "12":
                result = result.replace(digit, "{number}")
        is_free = result in ("", "__other__") or (label == "p" and result == "vip")
        if not is_free and not self._admit((label, service), result, rule["limit"]):
            self.rewritten[label, "label_limit"] += 1
            return "__other__"
        if result != text:
            self.rewritten[label, "normalized"] += 1
        return result

    def _admit(self, key: tuple[str, str], value: str, limit: int) -> bool:
        seen = self._seen.setdefault(key, {})
        for other in [other for other, last in seen.items() if self._quarter - last > 4]:
            del seen[other]
        if value not in seen and len(seen) >= limit:
            return False
        seen[value] = self._quarter
        return True


@pytest.mark.parametrize("encoder", ENCODERS)
@given(rules=st.tuples(RULE, RULE, RULE), steps=STEPS, random=st.randoms(use_true_random=False))
def test_texts_are_those_of_the_plain_model(
    encoder: str, rules: tuple[dict[str, Any], ...], steps: Any, random: Random
) -> None:
    """Every request and every count, whoever encoded it."""
    p, q, names = rules
    section = {
        "logs": {"labels": {"p": p}},
        "traces": {"span_names": names, "attributes": {"p": p, "q": q}},
        "protect": {"labels": {"p": ["vip"]}},
    }
    labels, model = _labels(**section), _Model(section)
    now = 0
    for step, passed in steps:
        now += passed
        batch = Batch(step.signal, ENCODERS[encoder](step.request, random))
        expected = model.process(step, now)

        limited = labels.process(batch, now)

        assert limited.rewritten == model.rewritten
        assert (limited.batch is batch) is (not model.rewritten)
        request: Any = limited.batch.request
        request.DiscardUnknownFields()
        assert request == expected
