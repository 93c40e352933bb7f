"""The same records in other words, and what they say by the slow way: the comparison's oracle."""

import json
from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any

from strategies import REQUEST_TYPES, disguise
from tapeline.otlp.json_lines import request_to_json
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch

ENCLOSING = {
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}
ATTRIBUTES = {"attributes", "metadata", "filteredAttributes", "values"}
UNORDERED = ATTRIBUTES | {
    "entityRefs", "idKeys", "descriptionKeys", "exemplars", "quantileValues",
}  # fmt: skip


def shuffled(signal: Signal, request: Any, random: Random) -> list[Batch]:
    """Return the same records in other batches, enclosed each by itself, all in another order."""
    outer, middle, inner = ENCLOSING[signal]
    found = []
    for resource in getattr(request, outer):
        for scope in getattr(resource, middle):
            for record in getattr(scope, inner):
                found += singles(signal, resource, scope, record)
    random.shuffle(found)
    batches = []
    while found:
        merged = REQUEST_TYPES[signal]()
        for _ in range(random.randint(1, 3)):
            if found:
                merged.MergeFrom(found.pop())
        mix(merged, random)
        batches.append(Batch(signal, disguise(merged, Random(random.random()))))  # noqa: S311 - repeatable
    return batches


def singles(signal: Signal, resource: Any, scope: Any, record: Any) -> list[Any]:
    """Return a request for the record, or one for each point of a metric."""
    outer, middle, inner = ENCLOSING[signal]
    kind: Any = record.WhichOneof("data") if signal is Signal.METRICS else None
    if signal is Signal.METRICS and kind is None:
        return []
    points = getattr(record, kind).data_points if kind else [None]
    built = []
    for point in points:
        request: Any = REQUEST_TYPES[signal]()
        new_resource = getattr(request, outer).add()
        new_resource.CopyFrom(resource)
        new_resource.ClearField(middle)
        new_scope = getattr(new_resource, middle).add()
        new_scope.CopyFrom(scope)
        new_scope.ClearField(inner)
        new = getattr(new_scope, inner).add()
        new.CopyFrom(record)
        if point is not None:
            del getattr(new, kind).data_points[:]
            getattr(new, kind).data_points.add().CopyFrom(point)
        built.append(request)
    return built


def mix(message: Any, random: Random) -> None:
    """Shuffle what has no order, all the way down."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                mix(inner, random)
        is_map = field.message_type is not None and field.message_type.name == "KeyValue"
        if field.is_repeated and (is_map or field.json_name in UNORDERED - {"values"}):
            items = list(value)
            copies = [item if isinstance(item, str) else deepcopy(item) for item in items]
            random.shuffle(copies)
            del value[:]
            value.extend(copies)


def plain(signal: Signal, request: Any) -> Counter[str]:
    """Return the records by the slow way: JSON, sorted where OTLP has no order, as text."""
    document = json.loads(request_to_json(signal, request.SerializeToString()))
    outer, middle, inner = ({"resource_logs": "resourceLogs", "scope_logs": "scopeLogs",
                             "log_records": "logRecords", "resource_spans": "resourceSpans",
                             "scope_spans": "scopeSpans", "resource_metrics": "resourceMetrics",
                             "scope_metrics": "scopeMetrics"}.get(name, name)
                            for name in ENCLOSING[signal])  # fmt: skip
    found: Counter[str] = Counter()
    for resource in document.get(outer, []):
        for scope in resource.pop(middle, []):
            for record in scope.pop(inner, []):
                for single in _points_of(record) if signal is Signal.METRICS else [record]:
                    parts = (resource, scope, single)
                    found[json.dumps([_normal(part) for part in parts], sort_keys=True)] += 1
    return found


def _points_of(metric: dict[str, Any]) -> list[dict[str, Any]]:
    kind = next((name for name in metric if isinstance(metric[name], dict)), None)
    if kind is None:
        return []
    points = metric[kind].pop("dataPoints", [])
    return [{"the metric": {kind: metric}, "kind": metric[kind], "p": point} for point in points]


def _normal(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        items = [_normal(item) for item in value]
        is_map = name == "values" and all(isinstance(v, dict) and "key" in v for v in value)
        if (name in UNORDERED - {"values"}) or (is_map and value):
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return items
    if isinstance(value, dict):
        made = {key: _normal(inner, key) for key, inner in value.items()}
        nothing = {
            key for key, inner in made.items()
            if inner == {} and key not in {"arrayValue", "kvlistValue"}
        }  # fmt: skip
        if "keyStrindex" in made or "key" in made:
            return {key: made[key] for key in made if key not in nothing}
        return {key: inner for key, inner in made.items() if key not in nothing}
    return value
