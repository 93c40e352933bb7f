"""Where streams go, against a plain model of the rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tapeline.cardinality.config import CardinalityConfig
from tapeline.cardinality.key_values import OVERFLOW_PAIR
from tapeline.cardinality.router import Action, Reason, ResourceView, Route, Router
from tapeline.cardinality.rules import Rules

UUID = "9f86d081-884c-4d65-9a2f-eaa0c55ad015"
Labels = dict[str, str | int | bool]


def _pair(name: str, value: str | int) -> bytes:
    any_value = AnyValue()
    kind = {str: "string_value", bool: "bool_value", int: "int_value"}[type(value)]
    setattr(any_value, kind, value)
    return KeyValue(key=name, value=any_value).SerializeToString()


def _pairs(labels: Labels) -> tuple[bytes, ...]:
    return tuple(_pair(name, value) for name, value in labels.items())


def _resource(labels: Labels) -> ResourceView:
    pairs = _pairs(labels)
    return ResourceView(
        Resource(attributes=map(KeyValue.FromString, pairs)).SerializeToString(), pairs
    )


def _backwards(pairs: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the attributes as a collector writes them: the value before the key."""
    turned = []
    for pair in pairs:
        key_bytes = 2 + pair[1]
        turned.append(pair[key_bytes:] + pair[:key_bytes])
    return tuple(turned)


def _read(pairs: tuple[bytes, ...]) -> Labels:
    read = {}
    for content in pairs:
        pair = KeyValue.FromString(content)
        read[pair.key] = getattr(pair.value, pair.value.WhichOneof("value") or "")
    return read


def _resource_of(route: Route) -> Labels | None:
    if route.resource is None:
        return None
    pairs = Resource.FromString(route.resource).attributes
    return _read(tuple(pair.SerializeToString() for pair in pairs))


GATEWAY = _resource({"service.name": "gateway", "service.instance.id": "a"})


def _router(max_label_values: int = 1000, /, **section: Any) -> Router:
    return Router(Rules(CardinalityConfig.model_validate(section)), max_label_values)


def _on(rule: dict[str, Any], **section: Any) -> Router:
    return _router(metrics=[{"match": "m", **rule}], **section)


def _route(
    router: Router, labels: Labels, resource: ResourceView = GATEWAY, generation: int = 1
) -> Route:
    return router.route("m", resource, _pairs(labels), generation)


def test_without_rules_a_stream_passes_as_it_is() -> None:
    """The very object, and nothing is remembered of it."""
    router = _router()
    pairs = _pairs({"x": UUID})

    route = router.route("m", GATEWAY, pairs, 1)

    assert route == Route(Action.PASS, pairs)
    assert route.pairs is pairs
    assert router.value_count == 0


@pytest.mark.parametrize("router", [_router(), _on({"normalize": {"x": ["uuid"]}})])
@pytest.mark.parametrize("name", ["otel.metric.overflow", "otel_metric_overflow"])
@pytest.mark.parametrize("value", [True, "true"])
def test_an_overflow_series_from_outside_is_folded(
    router: Router, name: str, value: str | int
) -> None:
    """Prometheus takes all these for the overflow series, which has one writer."""
    pair = _pair(name, value)
    for pairs in ((pair,), _backwards((pair,)), (_pair("x", ""), pair, _pair("y", ""))):
        route = router.route("m", GATEWAY, pairs, 1)

        assert (route.action, route.reason) == (Action.FOLD, Reason.IDENTITY)
        assert route.pairs == (OVERFLOW_PAIR,)


def test_with_a_further_label_it_is_no_overflow_series() -> None:
    """Nor is it with another value."""
    for router in (_router(), _on({"normalize": {"x": ["uuid"]}})):
        more: Labels = {"otel.metric.overflow": True, "y": "1"}

        assert _route(router, more).action is Action.PASS
        assert _route(router, {"otel.metric.overflow": "yes"}).action is Action.PASS


@pytest.mark.parametrize(
    ("policy", "action", "expected"),
    [
        ("overflow", Action.FOLD, {"otel.metric.overflow": True}),
        ("replace_value", Action.FOLD, {"x": "__other__", "side": "buy"}),
        ("drop_label", Action.FOLD, {"side": "buy"}),
        ("drop_series", Action.DROP, {"x": "2", "side": "buy"}),
    ],
)
def test_beyond_a_label_s_limit_its_policy_decides(
    policy: str, action: Action, expected: Labels
) -> None:
    """Admitted values pass on, and what was taken away is told for exemplars."""
    router = _on({"labels": {"x": {"limit": 1, "policy": policy}}})
    assert _route(router, {"x": "1", "side": "buy"}).action is Action.PASS

    route = _route(router, {"x": "2", "side": "buy"})

    assert (route.action, route.reason, route.label) == (action, Reason.LABEL_LIMIT, "x")
    assert _read(route.pairs) == expected
    assert route.resource is None
    if policy in ("replace_value", "drop_label"):
        assert _read(route.removed) == {"x": "2"}
    if policy == "overflow":
        assert _read(route.removed) == {"x": "2", "side": "buy"}
    assert _route(router, {"x": "1", "side": "sell"}).action is Action.PASS


def test_a_limit_of_zero_takes_the_label_out_of_all() -> None:
    """Series without the label have the output's identity from the first."""
    router = _on({"labels": {"x": {"limit": 0, "policy": "drop_label"}}})

    dropped = _route(router, {"x": "1", "side": "buy"})
    without = _route(router, {"side": "buy"})

    assert _read(dropped.pairs) == _read(without.pairs) == {"side": "buy"}
    assert (without.action, without.reason, without.removed) == (Action.FOLD, Reason.IDENTITY, ())


def test_ids_are_rewritten_before_values_are_counted() -> None:
    """A thousand orders are one value. Integers become text."""
    router = _on(
        {"normalize": {"route": ["number"]}, "labels": {"route": {"limit": 1}}},
    )

    routes = [_route(router, {"route": f"/orders/{number}"}) for number in range(1000)]
    bare = _route(router, {"route": 17})

    assert {(route.action, route.reason) for route in routes} == {(Action.FOLD, Reason.NORMALIZED)}
    assert {route.pairs for route in routes} == {_pairs({"route": "/orders/{number}"})}
    assert _read(routes[7].removed) == {"route": "/orders/7"}
    assert router.counts("m") == {("route", False): (1, 1)}
    assert bare.reason == Reason.LABEL_LIMIT


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ({"labels": {"x": {"limit": 5, "policy": "replace_value"}}}, {"x": "__other__"}),
        ({"normalize": {"x": ["number"]}}, {"x": "/orders/{number}"}),
        ({"labels": {"x": {"limit": 5, "policy": "drop_label"}}}, {"y": "1"}),
        ({"resource": {"labels": {"y": {"limit": 5, "policy": "drop_label"}}}}, {"x": "1"}),
    ],
)
def test_what_looks_like_an_output_is_folded_from_the_first(
    rule: dict[str, Any], labels: Labels
) -> None:
    """So that an output has one writer."""
    route = _route(_on(rule), labels)

    assert (route.action, route.reason) == (Action.FOLD, Reason.IDENTITY)
    assert _read(route.pairs) == labels
    assert route.removed == ()


def test_other_takes_no_room_and_is_an_output_only_where_it_is_written() -> None:
    """Only replace_value writes it."""
    router = _on({"labels": {"x": {"limit": 1}}})

    assert _route(router, {"x": "__other__"}).action is Action.PASS
    assert router.value_count == 0


def test_an_empty_label_is_none() -> None:
    """As in Prometheus: it takes no room, and does not tell an output from another."""
    router = _on(
        {"labels": {"x": {"limit": 1, "policy": "drop_label"}, "y": {"limit": 0}}},
    )

    route = _route(router, {"side": "buy", "x": "", "y": ""})
    without = _route(router, {"side": "buy"})

    assert (route.action, route.reason) == (Action.FOLD, Reason.IDENTITY)
    assert route.pairs == without.pairs == _pairs({"side": "buy"})
    assert router.value_count == 0


def test_what_remains_may_be_the_overflow_series() -> None:
    """Then it has that one's spelling."""
    router = _on({"labels": {"x": {"limit": 0, "policy": "drop_label"}}})

    assert _route(router, {"x": "1", "otel_metric_overflow": "true"}).pairs == (OVERFLOW_PAIR,)


def test_a_refused_series_takes_no_room() -> None:
    """Where one label decides, values of the others are not admitted by that."""
    router = _on({"labels": {"a": {"limit": 2}, "b": {"limit": 1}}})
    _route(router, {"a": "1", "b": "1"})

    assert _route(router, {"a": "2", "b": "2"}).action is Action.FOLD
    assert router.counts("m") == {("a", False): (1, 2), ("b", False): (1, 1)}
    assert _route(router, {"a": "3", "b": "1"}).action is Action.PASS


def test_undo_takes_back_what_the_last_route_admitted() -> None:
    """And nothing that was there before."""
    router = _on({"labels": {"a": {"limit": 5}, "b": {"limit": 5}}})
    _route(router, {"a": "1", "b": "1"})
    _route(router, {"a": "1", "b": "2"})

    router.undo()
    router.undo()

    assert router.counts("m") == {("a", False): (1, 5), ("b", False): (1, 5)}


def test_a_protected_value_carries_its_series_past_every_limit() -> None:
    """It counts against none, and the series' ids are rewritten all the same."""
    router = _on(
        {
            "labels": {"venue": {"limit": 0}, "x": {"limit": 0, "policy": "drop_series"}},
            "normalize": {"order": ["number"], "venue": ["uuid"]},
        },
        protect={"labels": {"venue": ["binance", "7", "{uuid}"]}},
    )

    passed = _route(router, {"venue": "binance", "x": "1"})
    seven = _route(router, {"venue": 7, "x": "1"})
    rewritten = _route(router, {"venue": UUID, "x": "1", "order": "9"})

    assert (passed.action, passed.is_protected) == (Action.PASS, True)
    assert seven.action is Action.PASS
    assert (rewritten.action, rewritten.is_protected) == (Action.FOLD, True)
    assert _read(rewritten.pairs) == {"venue": "{uuid}", "x": "1", "order": "{number}"}
    assert router.value_count == 0
    assert _route(router, {"venue": "x", "x": "1"}).action is Action.DROP


def test_a_protected_metric_passes() -> None:
    """Its route says that no limit on series may refuse it."""
    router = _router(protect={"metrics": "m"})

    assert _route(router, {"x": UUID}) == Route(Action.PASS, _pairs({"x": UUID}), is_protected=True)


def test_resource_attributes_count_where_a_rule_says_so() -> None:
    """The output then has a resource of its own."""
    instance = {"labels": {"service.instance.id": {"limit": 1, "policy": "replace_value"}}}
    router = _on({"resource": {**instance, "normalize": {"host": ["hex"]}}})
    first: Labels = {"service.name": "gateway", "service.instance.id": "a"}
    other: Labels = {**first, "service.instance.id": "b", "host": "ip-0af31fff0101"}

    assert _route(router, {"x": "1"}, _resource(first)).action is Action.PASS
    route = _route(router, {"x": "1"}, _resource(other))

    assert route.action is Action.FOLD
    assert _resource_of(route) == {**other, "service.instance.id": "__other__", "host": "ip-{hex}"}
    assert _read(route.pairs) == {"x": "1"}
    assert _read(route.removed) == {"service.instance.id": "b", "host": "ip-0af31fff0101"}


def test_overflow_by_a_resource_attribute_leaves_the_service_name() -> None:
    """A resource with the value that is one too many would be one more series."""
    router = _on({"resource": {"labels": {"service.instance.id": {"limit": 0}}}})

    route = _route(router, {"x": "1"})

    assert (route.action, route.label) == (Action.FOLD, "service.instance.id")
    assert _resource_of(route) == {"service.name": "gateway"}
    assert route.pairs == (OVERFLOW_PAIR,)
    assert _read(route.removed) == {"x": "1", "service.instance.id": "a"}


@pytest.mark.parametrize(
    ("point", "resource"), [("drop_series", "overflow"), ("overflow", "drop_series")]
)
def test_dropping_outweighs_the_overflow(point: str, resource: str) -> None:
    """Whichever of the two decides."""
    router = _on(
        {
            "labels": {"x": {"limit": 0, "policy": point}},
            "resource": {"labels": {"service.name": {"limit": 0, "policy": resource}}},
        }
    )

    route = _route(router, {"x": "1"})

    assert route.action is Action.DROP
    assert route.label == ("x" if point == "drop_series" else "service.name")


def test_of_two_labels_the_weightier_policy_decides_in_any_order() -> None:
    """A stream is a set of attributes, and goes one way."""
    router = _on(
        {"labels": {"x": {"limit": 0, "policy": "drop_series"}, "y": {"limit": 0}}},
    )

    assert _route(router, {"x": "1", "y": "1"}).action is Action.DROP
    assert _route(router, {"y": "1", "x": "1"}).action is Action.DROP


def test_a_resource_that_looks_like_an_output_s_is_spelled_as_that() -> None:
    """An empty attribute does not tell two outputs apart."""
    router = _on({"resource": {"labels": {"host": {"limit": 0, "policy": "drop_label"}}}})
    bare: Labels = {"service.name": "gateway"}

    routes = [
        _route(router, {"x": "1"}, _resource({**bare, **more}))
        for more in ({}, {"host": ""}, {"host": "a"})
    ]

    assert [_resource_of(route) for route in routes] == [bare] * 3
    assert len({(route.resource, route.pairs) for route in routes}) == 1


def test_values_stay_while_their_streams_are_touched() -> None:
    """A stream is routed once; that it goes on keeps its value's place."""
    rule = {
        "labels": {"x": {"limit": 1}},
        "normalize": {"x": ["number"]},
        "resource": {"labels": {"service.instance.id": {"limit": 1}}},
    }
    touched, idle = _on(rule), _on(rule)
    for router in (touched, idle):
        _route(router, {"x": "a-1"})
    for generation in range(2, 12):
        touched.touch("m", GATEWAY, _pairs({"x": "a-1"}), generation)
        touched.touch("m", GATEWAY, _pairs({"x": "c"}), generation)
    other = _resource({"service.name": "gateway", "service.instance.id": "b"})

    refused = _route(touched, {"x": "b"}, generation=12)
    elsewhere = _route(touched, {"x": "a-2"}, other, generation=12)
    admitted = _route(idle, {"x": "b"}, other, generation=12)

    assert refused.reason == elsewhere.reason == Reason.LABEL_LIMIT
    assert admitted.action is Action.PASS


def test_idle_metrics_give_their_room_back() -> None:
    """One at each route, so that none waits for all of them; what is empty is forgotten."""
    router = _router(50, metrics=[{"match": "*", "labels": {"x": {"limit": 1}}}])
    for number in range(50):
        router.route(f"m{number}", GATEWAY, _pairs({"x": "1"}), 1)
    assert router.free_values == 0

    for number in range(60):
        router.route("late", GATEWAY, _pairs({"x": str(number)}), 9)

    assert router.free_values == 49
    assert router.counts("m0") == {}


def test_metrics_count_their_values_apart() -> None:
    """A noisy metric disturbs no other that the same rule matches."""
    router = _router(metrics=[{"match": "*", "labels": {"x": {"limit": 1}}}])

    assert router.route("a", GATEWAY, _pairs({"x": "1"}), 1).action is Action.PASS
    assert router.route("b", GATEWAY, _pairs({"x": "2"}), 1).action is Action.PASS
    assert router.route("a", GATEWAY, _pairs({"x": "2"}), 1).action is Action.FOLD


@pytest.mark.pure
def test_a_flood_of_metrics_shares_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound metrics are counted together, by rule."""
    monkeypatch.setattr("tapeline.cardinality.router.MAX_METRICS", 1)
    router = _router(metrics=[{"match": "*", "labels": {"x": {"limit": 1}}}])

    routes = [router.route(name, GATEWAY, _pairs({"x": name}), 1) for name in "abc"]

    assert [route.action for route in routes] == [Action.PASS, Action.PASS, Action.FOLD]


def test_a_dump_carries_admitted_values_over() -> None:
    """Labels that are no longer limited are left out."""
    rule = {
        "labels": {"x": {"limit": 1}, "y": {"limit": 3}},
        "resource": {"labels": {"service.instance.id": {"limit": 1}}},
    }
    before, after = _on(rule), _on({**rule, "labels": {"x": {"limit": 1}}})
    _route(before, {"x": "1", "y": "1"})

    after.load(before.dump())

    assert {*after.counts("m")} == {("x", False), ("service.instance.id", True)}
    assert _route(after, {"x": "1"}).action is Action.PASS
    assert _route(after, {"x": "2"}).action is Action.FOLD


NAMES = ["x", "y", "z"]
VALUES = st.sampled_from(["1", "2", "a", "__other__", "{number}", "n/7", "vip", ""])
POLICIES = st.sampled_from(["overflow", "replace_value", "drop_label", "drop_series"])
RULES = st.fixed_dictionaries(
    {
        "labels": st.dictionaries(
            st.sampled_from(NAMES),
            st.fixed_dictionaries({"limit": st.integers(0, 3), "policy": POLICIES}),
        ),
        "normalize": st.dictionaries(st.sampled_from(NAMES), st.just(["number"])),
    }
)


class _Model:
    """The rules for points' labels as one would write them down, over plain dictionaries."""

    def __init__(self, rule: dict[str, Any]) -> None:
        self._limits, self._normalize = rule["labels"], rule["normalize"]
        self._admitted: dict[str, set[str]] = {name: set() for name in NAMES}

    def route(self, labels: dict[str, str]) -> tuple[Action, dict[str, Any]]:
        present = {name: value for name, value in labels.items() if value}
        self._result: dict[str, Any] = dict(present)
        self._verdicts: set[str] = set()
        is_protected = "vip" in (present.get("x"), present.get("y"))
        before = {name: set(values) for name, values in self._admitted.items()}
        marks = [self._look(name, present[name], is_protected=is_protected) for name in present]
        if self._verdicts:
            self._admitted = before
            if "drop_series" in self._verdicts:
                return Action.DROP, dict(labels)
            return Action.FOLD, {"otel.metric.overflow": True}
        lacks_one = any(
            config["policy"] == "drop_label" and name not in present
            for name, config in self._limits.items()
        )
        if lacks_one or any(marks) or self._result != present:
            return Action.FOLD, self._result
        return Action.PASS, dict(labels)

    def _look(self, name: str, value: str, *, is_protected: bool) -> bool:
        """Apply what holds for one label; return whether the value looks like an output's."""
        if name in self._normalize:
            value = {"1": "{number}", "2": "{number}", "n/7": "n/{number}"}.get(value, value)
        self._result[name] = value
        config = self._limits.get(name)
        if config is not None:
            if value == "__other__":
                return bool(config["policy"] == "replace_value")
            if not is_protected:
                self._count(name, value, config)
        return name in self._normalize and "{number}" in value

    def _count(self, name: str, value: str, config: dict[str, Any]) -> None:
        if value in self._admitted[name] or len(self._admitted[name]) < config["limit"]:
            self._admitted[name].add(value)
        elif config["policy"] == "replace_value":
            self._result[name] = "__other__"
        elif config["policy"] == "drop_label":
            del self._result[name]
        else:
            self._verdicts.add(config["policy"])


@given(RULES, st.lists(st.dictionaries(st.sampled_from([*NAMES, "w"]), VALUES), max_size=20))
def test_routes_are_those_of_the_plain_model(
    rule: dict[str, Any], streams: list[dict[str, str]]
) -> None:
    """Every action and output, for any rule, any streams, and whoever wrote them."""
    router = _on(rule, protect={"labels": {"x": ["vip"], "y": ["vip"]}})
    turned = _on(rule, protect={"labels": {"x": ["vip"], "y": ["vip"]}})
    model = _Model(rule)
    for labels in streams:
        route = _route(router, {**labels})
        action, expected = model.route(labels)
        backwards = turned.route("m", GATEWAY, _backwards(_pairs({**labels}))[::-1], 1)

        assert backwards.action is action
        if action is Action.FOLD:
            assert backwards.pairs == route.pairs

        assert (route.action, _read(route.pairs)) == (action, expected)
        if route.action is Action.PASS:
            assert route.removed == ()
