"""/metrics of the floor's services: what is scraped, in both forms."""

import asyncio

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from tapeline.floor.exposition import add_metrics


def scrape(accept: str) -> httpx.Response:
    """Return what a service with one counter answers to a scrape."""
    app, registry = FastAPI(), CollectorRegistry()
    Counter("orders_total", "Orders.", registry=registry).inc(2, exemplar={"trace_id": "ab"})
    add_metrics(app, registry)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/metrics", headers={"accept": accept})

    return asyncio.run(ask())


def test_exemplars_are_in_the_form_that_has_them() -> None:
    """OpenMetrics where the scraper takes it, Prometheus' own text for everybody else."""
    modern, plain = scrape("application/openmetrics-text; version=1.0.0"), scrape("*/*")

    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert 'orders_total 2.0 # {trace_id="ab"} 2.0' in modern.text
    assert plain.headers["content-type"].startswith("text/plain")
    assert "orders_total 2.0\n" in plain.text


def test_no_counter_brings_a_gauge_of_its_making() -> None:
    """Each `_created` would be a further series in Prometheus."""
    assert "_created" not in scrape("*/*").text
    assert "_created" not in scrape("application/openmetrics-text").text
