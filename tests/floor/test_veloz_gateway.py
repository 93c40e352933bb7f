"""VeloZ's gateway and engine in this process: what clients, an ill engine and a bug do to them."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from floor.lone_place import place_of
from tapeline.floor.faults import Faults, write_faults
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place
from tapeline.floor.veloz import engine as engine_module
from tapeline.floor.veloz import gateway_work
from tapeline.floor.veloz.audit import AuditLog
from tapeline.floor.veloz.engine import make_engine
from tapeline.floor.veloz.gateway import Gateway, make_app
from tapeline.floor.veloz.gateway_metrics import make_metrics
from tapeline.floor.veloz.gateway_work import Work
from tapeline.floor.veloz.orders import order_from

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "2"}


def answer_of_an_engine(request: httpx.Request) -> httpx.Response:
    """Fill orders; but the market is a bug, and commands of `ill` and `list` get no object."""
    if request.url.path == "/market":
        raise RuntimeError("a bug")
    if b'"ill"' in request.content:
        return httpx.Response(200, text="<html>")
    if b'"list"' in request.content:
        return httpx.Response(200, json=["filled"])
    return httpx.Response(200, json={"ok": True, "state": "filled", "order_id": "web-1"})


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    return place_of(tmp_path, "veloz-gateway")


@pytest.fixture(name="gateway")
def _gateway(place: Place) -> Iterator[Gateway]:
    """A gateway before an engine that is not there."""
    engine = httpx.AsyncClient(
        base_url="http://engine", transport=httpx.MockTransport(answer_of_an_engine)
    )
    with LineWriter(place.log_path) as lines:
        faults, log = Faults(place.fault_path), logging.getLogger("veloz-gateway")
        metrics = make_metrics(CollectorRegistry())
        yield Gateway(place, metrics, AuditLog(lines), faults, log, engine)


def ask(gateway: Gateway, method: str, path: str, **request: Any) -> httpx.Response:
    """Ask the gateway; an exception of a handler is the 500 that a server makes of it."""
    app: FastAPI = make_app(gateway, CollectorRegistry())

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, **request)

    return asyncio.run(answer())


def unreachable(gateway: Gateway) -> float:
    """How often the gateway has said that its engine can't be reached."""
    (family,) = gateway.metrics.state.errors.collect()
    return sum(
        each.value
        for each in family.samples
        if each.name.endswith("_total") and "engine_unreachable" in each.labels.values()
    )


@pytest.mark.parametrize("path", ["/api/order", "/api/auth/login"])
@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "\xff", "[" * 100_000])
def test_what_is_no_object_is_answered_with_400(gateway: Gateway, path: str, content: str) -> None:
    """Whoever sends it is told; it is no error of the gateway's."""
    answer = ask(gateway, "POST", path, content=content.encode("latin-1"))

    assert (answer.status_code, answer.json()["error"]) == (400, "not a JSON object")


@pytest.mark.parametrize("price", ["NaN", "-Infinity", "1e999", r'"\ud800"'])
def test_what_can_not_be_sent_on_is_answered_with_400(gateway: Gateway, price: str) -> None:
    """Python reads such JSON and writes none: the client's error, and no engine's that is away."""
    answer = ask(gateway, "POST", "/api/order", content=f'{{"price": {price}}}')

    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert unreachable(gateway) == 0


@pytest.mark.parametrize("key", ["symbol", "strategy"])
def test_no_depth_of_an_order_is_an_error_of_the_gateways(gateway: Gateway, key: str) -> None:
    """What can be read is perhaps too deep to be written, by some levels."""
    app = make_app(gateway, CollectorRegistry())

    async def answers() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            texts = (f'{{"{key}":{"[" * depth}{"]" * depth}}}' for depth in range(850, 1_050))
            return [(await client.post("/api/order", content=each)).status_code for each in texts]

    assert set(asyncio.run(answers())) == {200, 400}


def test_an_engine_refuses_a_command_that_is_too_deep(place: Place) -> None:
    """It is asked by others than the gateway, too."""
    with LineWriter(place.log_path) as lines:
        registry = CollectorRegistry()
        app = engine_module.make_app(make_engine(place, registry, lines), registry)

        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
                return await client.post("/command", content="[" * 100_000)

        assert asyncio.run(answer()).status_code == 400


def test_a_text_that_is_no_utf_8_breaks_nothing(gateway: Gateway) -> None:
    """Half of a surrogate pair is valid JSON; the audit's API still answers with the entry."""
    login = ask(
        gateway, "POST", "/api/auth/login", content=rb'{"user":"\ud800","password":"\ud800"}'
    )
    assert login.status_code == 401

    found = ask(gateway, "GET", "/api/audit/logs?log_type=auth")
    assert found.status_code == 200
    assert [each["user_id"] for each in found.json()["logs"]] == ["?"]
    strange = order_from(ORDER | {"strategy": "\ud800" * 50}, "web-1")
    assert strange.strategy == "?" * 40


def test_an_engine_that_answers_with_something_else_is_an_error(gateway: Gateway) -> None:
    """As one that does not answer: counted, and 503 to the client."""
    for strategy in ("ill", "list"):
        content = ORDER | {"strategy": strategy}
        assert ask(gateway, "POST", "/api/order", json=content).status_code == 503
    assert unreachable(gateway) == 2
    assert ask(gateway, "POST", "/api/order", json=ORDER).status_code == 200
    gateway.engine = httpx.AsyncClient(
        base_url="http://engine", transport=httpx.MockTransport(lambda _: httpx.Response(200))
    )
    assert ask(gateway, "GET", "/api/market").status_code == 503


def test_a_handler_that_fails_is_in_the_access_log(gateway: Gateway) -> None:
    """An audit that leaves out what went wrong is none."""
    assert ask(gateway, "GET", "/api/market").status_code == 500

    (entry,) = (each for each in gateway.audit.entries if each["log_type"] == "access")
    details = entry["details"]
    assert isinstance(details, dict)
    assert (details["path"], details["status"]) == ("/api/market", 500)


def test_a_request_id_is_cut(gateway: Gateway) -> None:
    """In the answer as in the audit log."""
    answer = ask(gateway, "POST", "/api/order", json=ORDER, headers={"X-Request-ID": "x" * 5_000})

    assert answer.headers["x-request-id"] == "x" * 80
    assert {each["request_id"] for each in gateway.audit.entries} == {"x" * 80}


def test_a_bomb_that_is_forgotten_takes_no_memory(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number of series it begins anew."""
    write_faults(gateway.place.fault_path, ["cardinality_bomb"])
    monkeypatch.setattr(gateway_work, "BOMB_SERIES_MAX", 20)
    monkeypatch.setattr(gateway_work, "BOMB_S", 0.0)
    most = 0

    async def bomb() -> None:
        nonlocal most
        task = asyncio.create_task(Work(gateway)._bomb())
        for _ in range(200):
            await asyncio.sleep(0)
            (family,) = gateway.metrics.order_events.collect()
            most = max(most, len(family.samples))
        task.cancel()

    asyncio.run(bomb())
    assert 10 < most <= 40  # a counter may have a sample for its creation, too


@pytest.mark.parametrize("room", [0, 1])
def test_an_order_that_rests_is_canceled(
    place: Place, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where too many rest already: none stays open for ever."""
    monkeypatch.setattr(engine_module, "OPEN_ORDERS_MAX", room)
    registry = CollectorRegistry()
    with LineWriter(place.log_path) as lines:
        engine = make_engine(place, registry, lines)

        async def rest() -> int:
            engine._rest(order_from(ORDER, "web-1"), 0.01)
            at_once = len(engine.open_orders)
            await asyncio.gather(*engine.tasks)
            return at_once

        assert asyncio.run(rest()) == room

    assert engine.open_orders == {}
    assert registry.get_sample_value("veloz_cancels_total") == 1
