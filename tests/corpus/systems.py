"""The documented systems' shapes with a credential in each, where such a system would log one.

The records are those of `processors/tapeline/signals/testdata`, which follow the systems' own
documents; only the credential is added. The credentials are made up, and open nothing.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tapeline.otlp.json_lines import request_from_json
from tapeline.pipeline.batch import Batch

__all__ = ["FAKE_SECRETS", "SHAPES", "TESTDATA", "systems"]

TESTDATA: Final = Path(__file__).parents[2] / "processors" / "tapeline" / "signals" / "testdata"
_PASSWORD: Final = "Correct-Horse-7"
_TOKEN: Final = "Zq7-made-up-8Kd0wLmV4tR1s"
FAKE_SECRETS: Final = (_PASSWORD, _TOKEN)

# OTLP's JSON, as it is.
Json = dict[str, Any]


def systems() -> Iterator[Batch]:
    """Yield the batches of all shapes, one system after the other."""
    for name, plant in SHAPES.items():
        for line in (TESTDATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            request = json.loads(line)
            for record in _records(request):
                plant(record)
            yield Batch(*request_from_json(json.dumps(request).encode()))


def _records(request: Json) -> Iterator[Json]:
    for resource in request.get("resourceLogs", []):
        for scope in resource["scopeLogs"]:
            yield from scope["logRecords"]
    for resource in request.get("resourceSpans", []):
        for scope in resource["scopeSpans"]:
            yield from scope["spans"]


def _in_body(change: Callable[[Json], None]) -> Callable[[Json], None]:
    """Return what changes the JSON in a log record's body."""

    def plant(record: Json) -> None:
        text = record["body"]["stringValue"]
        if text.startswith("{"):  # One shape has a line that is no JSON, too.
            body = json.loads(text)
            change(body)
            record["body"]["stringValue"] = json.dumps(body)

    return plant


def _attribute(key: str, value: str) -> Callable[[Json], None]:
    """Return what adds an attribute to a record."""

    def plant(record: Json) -> None:
        record.setdefault("attributes", []).append({"key": key, "value": {"stringValue": value}})

    return plant


def _veloz(body: Json) -> None:
    body.setdefault("attributes", {})["api_secret"] = _TOKEN


def _py_rt(body: Json) -> None:
    body["fields"]["error"] = f"feed login failed: user=desk password={_PASSWORD}"


def _b25(body: Json) -> None:
    body["headers"] = {"Authorization": f"Bearer {_TOKEN}"}


def _ktrdr(body: Json) -> None:
    body["broker_url"] = f"amqp://desk:{_PASSWORD}@broker:5672/orders"


SHAPES: Final = {
    "b25": _in_body(_b25),
    "ktrdr-logs": _in_body(_ktrdr),
    "ktrdr-otlp": _attribute("ib.password", _PASSWORD),
    "ktrdr-spans": _attribute("http.url", f"http://ktrdr/api/v1/data?api_key={_TOKEN}"),
    "py-rt": _in_body(_py_rt),
    "veloz-logs": _in_body(_veloz),
    "veloz-spans": _attribute("http.request.header.authorization", f"Bearer {_TOKEN}"),
}
"""By the name of the recording: what plants a credential in a record of it."""
