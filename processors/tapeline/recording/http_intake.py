"""OTLP over HTTP: protobuf and JSON bodies, gzip too, handed to a gate.

Answers as OTLP says (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP Response"): the response message
or a google.rpc.Status, in the encoding of the request; 503 with Retry-After where it may be sent
again, 400 and 413 where that is of no use. A thread and loop of its own, as the admin server has.
"""

import asyncio
import json
import logging
import math
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final, TypeAlias

from aiohttp import web
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from tapeline.otlp.json_lines import MalformedLineError, request_from_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.addresses import Address, listen_on
from tapeline.transport.answers import ANSWERS, Answer, Code, Event, answer_malformed

__all__ = ["Export", "HttpIntake", "HttpListenError"]

logger = logging.getLogger(__name__)

Export: TypeAlias = Callable[[Signal, bytes], Answer]
"""Takes a request's bytes; returns what its sender is told."""

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_PATHS: Final = {f"/v1/{signal.value}": signal for signal in Signal}
_BACKLOG: Final = 128
_RECEIVE_TIMEOUT_S: Final = 30.0  # As server.receive_timeout of the gate.
_STOP_TIMEOUT_S: Final = 5.0
_MIB: Final = 1024 * 1024
# How the codes of the answer table are told over HTTP; any other is a failure of ours.
_STATUS: Final = {
    Code.OK: HTTPStatus.OK,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class HttpListenError(OSError):
    """The address can't be listened on; the message says which, and why."""


class HttpIntake:
    """An HTTP server for the three signals."""

    def __init__(
        self, address: Address, export: Export, *, max_message_mib: int, max_in_flight: int
    ) -> None:
        """Listen; raises HttpListenError. Requests are answered after `start`."""
        self._export = export
        self._max_bytes = max_message_mib * _MIB
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._draining = False
        self._listener = _listening(address)
        self._pool = ThreadPoolExecutor(max_in_flight, thread_name_prefix="tapeline-http")
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tapeline-http", daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return Address(host, port)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse what is new, finish what is in flight, and close the port."""
        self._draining = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(2 * _STOP_TIMEOUT_S)
        self._pool.shutdown(wait=False)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
            # Connections that were kept alive for a next request.
            rest = asyncio.all_tasks(self._loop)
            for task in rest:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        # The limit is of the body as it is decompressed.
        application = web.Application(client_max_size=self._max_bytes)
        for path in _PATHS:
            application.router.add_post(path, self._answer)
        runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_STOP_TIMEOUT_S
        )
        await runner.setup()
        site = web.SockSite(runner, self._listener, backlog=_BACKLOG)
        await site.start()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.content_type not in {_PROTOBUF, _JSON}:
            wrong = f"the content type must be {_PROTOBUF} or {_JSON}"
            told = Answer(Event.MALFORMED, Code.INVALID_ARGUMENT, wrong)
            return _told(told, _JSON, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if self._draining:
            return _told(ANSWERS[Event.DRAINING], request.content_type)
        if self._in_flight >= self._max_in_flight:
            return _told(ANSWERS[Event.OVERLOADED], request.content_type)
        self._in_flight += 1
        try:
            return await self._taken(request)
        finally:
            self._in_flight -= 1

    async def _taken(self, request: web.Request) -> web.Response:
        status = None
        try:
            async with asyncio.timeout(_RECEIVE_TIMEOUT_S):
                body = await request.read()
        except TimeoutError:
            # It holds one of few places, so it is not waited for.
            answer, status = ANSWERS[Event.NO_MESSAGE], HTTPStatus.REQUEST_TIMEOUT
        except web.HTTPRequestEntityTooLarge:
            answer = ANSWERS[Event.OVERSIZE]
        # A body that is not what its Content-Encoding says.
        except web.RequestPayloadError:
            answer = answer_malformed("the body can't be decompressed")
        else:
            answer = await self._judged(request, body)
        return _told(answer, request.content_type, status)

    async def _judged(self, request: web.Request, body: bytes) -> Answer:
        take = self._take_json if request.content_type == _JSON else self._export
        return await self._loop.run_in_executor(self._pool, take, _PATHS[request.path], body)

    def _take_json(self, signal: Signal, body: bytes) -> Answer:
        try:
            found, payload = request_from_json(body)
        except MalformedLineError as error:
            return answer_malformed(str(error))
        if found is not signal and payload:
            return answer_malformed(f"it is a request of {found}, and came to /v1/{signal}")
        return self._export(signal, payload)


def _told(answer: Answer, content_type: str, status: HTTPStatus | None = None) -> web.Response:
    status = status or _STATUS.get(answer.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(answer.retry_after_s))
    is_json = content_type == _JSON
    if answer.code is Code.OK:
        body = b"{}" if is_json else b""
    elif is_json:
        body = json.dumps({"code": int(answer.code), "message": answer.message}).encode()
    else:
        body = Status(code=int(answer.code), message=answer.message).SerializeToString()
    return web.Response(status=status, body=body, content_type=content_type, headers=headers)


def _listening(address: Address) -> socket.socket:
    try:
        return listen_on(address, _BACKLOG)
    except OSError as error:
        raise HttpListenError(f"{address}: {error.strerror}") from error
