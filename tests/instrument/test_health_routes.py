"""The health endpoints, asked through the app."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from tapeline.instrument import Check, health_routes
from tapeline.instrument import health as health_module


def ask(path: str, components: dict[str, Check], version: str | None = None) -> httpx.Response:
    """Ask an app with these components."""
    app = FastAPI()
    health_routes(app, components=components, version=version)

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path)

    return asyncio.run(request())


async def connected() -> str:
    """A check that waits."""
    await asyncio.sleep(0)
    return "connected"


def broken() -> bool:
    """A check that has an error itself."""
    raise ConnectionRefusedError("no database")


async def hangs() -> bool:
    """A check that never comes back."""
    await asyncio.sleep(60)
    return True


def test_health_and_liveness_say_that_the_process_answers() -> None:
    """Whatever its components are: a restart heals no database."""
    for path in ("/health", "/health/live"):
        answer = ask(path, {"database": lambda: False})
        assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_readiness_tells_every_component() -> None:
    """With uptime and version, as VeloZ's answer has them."""
    answer = ask("/health/ready", {"engine": lambda: True, "websocket": connected}, "1.0.0")

    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("uptime_seconds") >= 0
    assert found == {
        "ok": True,
        "components": {"engine": "healthy", "websocket": "connected"},
        "version": "1.0.0",
    }


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (lambda: False, "unhealthy"),
        (lambda: "disconnected", "disconnected"),
        (broken, "unhealthy"),
        (hangs, "timed out"),
    ],
)
def test_a_component_that_is_not_well_makes_it_503(
    check: Check, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose check raises, or does not come back; the others are told all the same."""
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT_S", 0.05)
    answer = ask("/health/ready", {"engine": lambda: True, "database": check})

    assert answer.status_code == 503
    assert answer.json()["ok"] is False
    assert answer.json()["components"] == {"engine": "healthy", "database": state}


def test_a_service_without_components_is_ready() -> None:
    """There is nothing to ask."""
    assert ask("/health/ready", {}).status_code == 200
