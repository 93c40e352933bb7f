"""KTRDR's API: loads data and starts training, by way of the host services."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Final

from fastapi import HTTPException
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field

from tapeline.floor.ktrdr.ground import Ground, open_ground
from tapeline.floor.ktrdr.hosts import HostError, Hosts
from tapeline.floor.ktrdr.metrics import make_api_metrics
from tapeline.floor.ktrdr.orchestrator import HOSTS, Orchestrator
from tapeline.floor.place import place_from
from tapeline.floor.service import run_floor_service
from tapeline.instrument import add_error_context, add_span_attribute, span

__all__ = ["DataAcquisitionService", "LoadRequest", "StartTraining", "main", "make_routes"]

_IB_HOST: Final = "ktrdr-ib-host-service"
_TRAINING_HOST: Final = "ktrdr-training-host-service"
_BURST_SHARE: Final = 0.5
_LEAK_EVERY: Final = 2
_UNREACHABLE: Final = 503
_BAD_ANSWER: Final = 502


class LoadRequest(BaseModel):
    """What a user asks to be loaded."""

    operation_id: str = Field(max_length=100)
    symbol: str = Field(max_length=20)
    timeframe: str = Field(max_length=5)
    start_date: str = Field(max_length=30)
    end_date: str = Field(max_length=30)
    strategy: str = Field(default="", max_length=50)
    provider: str = Field(default="ib_host_service", max_length=50)


class StartTraining(BaseModel):
    """What a user asks to be trained."""

    model_config = ConfigDict(protected_namespaces=())  # `model_id` is the document's name.

    operation_id: str = Field(max_length=100)
    model_id: str = Field(max_length=100)
    strategy: str = Field(max_length=50)
    symbol: str = Field(max_length=20)
    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)


class DataAcquisitionService:
    """Gets data from its provider, within a span that says of what."""

    def __init__(self, ground: Ground, hosts: Hosts) -> None:
        self._ground = ground
        self._hosts = hosts
        self._downloads = 0

    async def download_data(self, request: LoadRequest) -> int:
        """Return how many bars came; raises HostError."""
        attributes = {
            "symbol": request.symbol,
            "timeframe": request.timeframe,
            "provider": request.provider,
        }
        url = f"{self._ground.place.peers[_IB_HOST]}/download_historical_data"
        self._downloads += 1
        with span("data.download", attributes):
            if self._ground.faults.active("leaked_credentials"):
                url += self._leak()
            try:
                answer = await self._hosts.post(
                    _IB_HOST, url, request.model_dump(exclude={"strategy", "provider"})
                )
            except HostError:
                add_error_context(symbol=request.symbol, strategy=request.strategy)
                raise
            return int(answer["bars"])

    def _leak(self) -> str:
        """Make a mistake that real services make with credentials; return what it adds to a URL."""
        secrets, log = self._ground.secrets, self._ground.log
        turn = self._downloads % (4 * _LEAK_EVERY)
        if turn == 0:
            log.warning("IB login failed: user=ktrdr password=%s", secrets.log_password)
        elif turn == _LEAK_EVERY:
            inner = json.dumps({"account": "DU1", "client_secret": secrets.nested_secret})
            add_span_attribute("http.request.body", json.dumps({"body": inner}))
            add_span_attribute("ib.api_key", secrets.api_key)
        elif turn == 2 * _LEAK_EVERY:
            url = f"postgresql://ktrdr:{secrets.database_password}@db.internal:5432/bars"
            log.warning("Cannot connect to %s", url, extra={"api_key": secrets.api_key})
            add_span_attribute(
                "http.request.header.authorization", f"Bearer {secrets.bearer_token}"
            )
        elif turn == 3 * _LEAK_EVERY:
            return f"?api_key={secrets.api_key}"
        return ""


def make_routes(ground: Ground, data: DataAcquisitionService, hosts: Hosts) -> None:
    """Give the app its routes."""

    def fail_in_a_burst(symbol: str) -> None:
        if ground.faults.active("error_burst") and ground.generator.random() < _BURST_SHARE:
            # Left to the framework: its span gets the exception with its stack trace.
            raise ValueError(f"Invalid symbol: {symbol}")

    @ground.app.post("/api/v1/data/load")
    async def load(request: LoadRequest) -> dict[str, int]:
        fail_in_a_burst(request.symbol)
        try:
            return {"bars": await data.download_data(request)}
        except HostError as error:
            raise _answer(error) from error

    @ground.app.post("/api/v1/training/start")
    async def train(request: StartTraining) -> dict[str, int]:
        fail_in_a_burst(request.symbol)
        url = f"{ground.place.peers[_TRAINING_HOST]}/train"
        try:
            answer = await hosts.post(_TRAINING_HOST, url, request.model_dump())
        except HostError as error:
            add_error_context(symbol=request.symbol, strategy=request.strategy)
            raise _answer(error) from error
        return {"epochs": int(answer["epochs"])}


def _answer(error: HostError) -> HTTPException:
    return HTTPException(_UNREACHABLE if error.status is None else _BAD_ANSWER, str(error))


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    registry = CollectorRegistry()
    with open_ground(place_from(arguments), registry) as ground:
        metrics = make_api_metrics(registry)
        hosts = Hosts(metrics, HOSTS)
        ground.expose({"orchestrator": lambda: "running"})
        make_routes(ground, DataAcquisitionService(ground, hosts), hosts)
        orchestrator = Orchestrator(ground, metrics)

        async def work() -> None:
            try:
                await asyncio.gather(orchestrator.run(), ground.flood())
            finally:
                await hosts.close()

        return run_floor_service(ground.app, ground.place, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
