"""KTRDR's calls of its host services: what each outcome is counted as, and told."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tapeline.floor.ktrdr.hosts import OUTCOMES, HostError, Hosts
from tapeline.floor.ktrdr.metrics import make_api_metrics


def refuse(request: httpx.Request) -> httpx.Response:
    """Be no host at all."""
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("host", "outcome", "told"),
    [
        (lambda _: httpx.Response(500, text="out of order"), "failed", "answered 500: out of"),
        (lambda _: httpx.Response(200, text="<html>"), "failed", "answered 200: <html>"),
        (lambda _: httpx.Response(200, json=[1]), "failed", "answered 200: "),
        (refuse, "unreachable", "is unreachable: ConnectError: refused"),
        (lambda _: httpx.Response(200, json={"bars": 7}), "ok", None),
    ],
)
def test_an_answer_is_an_object_or_an_error(
    host: Callable[[httpx.Request], httpx.Response],
    outcome: str,
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted once by its outcome, and timed whatever it is."""
    registry = CollectorRegistry()
    hosts = Hosts(make_api_metrics(registry), ("ib",))
    client = httpx.AsyncClient(transport=httpx.MockTransport(host))
    monkeypatch.setattr(hosts, "_client", client)

    async def ask() -> dict[str, object]:
        return await hosts.post("ib", "http://ib/bars", {})

    if told is None:
        assert asyncio.run(ask()) == {"bars": 7}
    else:
        with pytest.raises(HostError, match=told):
            asyncio.run(ask())

    labels = {"host_service": "ib"}
    calls = {**labels, "outcome": outcome}
    assert registry.get_sample_value("ktrdr_host_calls_total", calls) == 1
    assert registry.get_sample_value("ktrdr_host_call_duration_seconds_count", labels) == 1


def test_every_outcome_begins_at_0() -> None:
    """So that the first call that did not happen is one for a rate."""
    registry = CollectorRegistry()

    Hosts(make_api_metrics(registry), ("ib", "training"))

    counts = {
        (host, outcome): registry.get_sample_value(
            "ktrdr_host_calls_total", {"host_service": host, "outcome": outcome}
        )
        for host in ("ib", "training")
        for outcome in OUTCOMES
    }
    assert set(counts.values()) == {0.0}
    assert len(counts) == len(OUTCOMES) * 2 == 6
