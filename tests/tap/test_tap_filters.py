"""What a reader of the tap may ask for, and that a wrong question names no value."""

import pytest

from tapeline.otlp.signals import Signal
from tapeline.tap.filters import FilterError, TapFilter, parse_filter


def test_everything_may_be_left_out_or_empty() -> None:
    """A form sends what is empty as well."""
    assert parse_filter([]) == TapFilter()
    assert parse_filter([("service", ""), ("signal", ""), ("name", "")]) == TapFilter()
    assert TapFilter().wants_service("any")
    assert TapFilter().wants_name("any")


def test_a_filter_survives_its_own_query() -> None:
    """So a parent can ask its workers the same."""
    wanted = parse_filter([("signal", "traces"), ("service", "Desk"), ("name", "Place")])
    assert wanted == TapFilter("Desk", Signal.TRACES, "place")
    assert parse_filter(wanted.query().items()) == wanted


def test_services_are_whole_and_names_are_parts() -> None:
    """A service in its own spelling, a name in any."""
    wanted = TapFilter(service="Desk", name="place")
    assert wanted.wants_service("Desk")
    assert not wanted.wants_service("desk")
    assert not wanted.wants_service("Desk2")
    assert wanted.wants_name("", "an order was PLACED")
    assert not wanted.wants_name("order", "")


@pytest.mark.parametrize(
    "query",
    [
        [("signal", "zq-secret")],
        [("zq-secret", "x")],
        [("token", "zq-secret")],
        [("service", "zq-secret"), ("service", "b")],
        [("name", "zq-secret" * 30)],
    ],
)
def test_a_wrong_filter_is_refused_without_being_quoted(query: list[tuple[str, str]]) -> None:
    """Who puts a token into the address must not find it in an answer or a log."""
    with pytest.raises(FilterError) as refused:
        parse_filter(query)
    assert "zq-secret" not in str(refused.value)
