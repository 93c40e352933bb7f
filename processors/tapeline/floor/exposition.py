"""/metrics of a service: its registry, in the form that is asked for."""

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

__all__ = ["add_metrics"]


def add_metrics(app: FastAPI, registry: CollectorRegistry) -> None:
    """Answer GET /metrics; exemplars are in OpenMetrics only.

    The whole process goes without `_created` samples: scraped, each would be a gauge of its own.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # The package's own lack.

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    app.add_api_route("/metrics", metrics, methods=["GET"], response_model=None)
