"""A folder as plain data, for the snapshot, and back: the next point finds everything as it was.

Exemplars are not kept: they wait only from their point to the end of its batch.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.kinds import new_total
from tapeline.cardinality.folding.options import FoldOptions
from tapeline.cardinality.folding.outputs import (
    GaugeFold,
    MetricIdentity,
    Output,
    OutputIdentity,
    Producer,
)

__all__ = ["dump_folder", "load_folder"]

_FOLDER_FIELDS: Final = (
    "global_floor_unix_nano",
    "evictions",
    "lost_up_to_unix_nano",
    "earliest_start_unix_nano",
    "first_forgotten_part",
)
_OUTPUT_FIELDS: Final = (
    "key",
    "start_unix_nano",
    "floor_unix_nano",
    "last_emitted_unix_nano",
    "newest_unix_nano",
    "generation",
    "is_dirty",
    "is_gone",
    "streams",
)


def dump_folder(folder: Folder) -> dict[str, Any]:
    """Return a folder as numbers, texts, bytes, lists and dictionaries."""
    gone = [
        output for output in folder.output_table.items() if output is not None and output.is_gone
    ]
    return {
        "epoch": folder.epoch_unix_nano,
        "fields": [getattr(folder, name) for name in _FOLDER_FIELDS],
        "streams": folder.streams.dump(),
        "forgotten": folder.forgotten.dump(),
        "outputs": [_dump_output(output) for output in (*folder.outputs.values(), *gone)],
        "output_numbers": len(folder.output_table.items()),
        "dirty": [output.key for output in folder.dirty if not output.is_gone],
        "producers": [
            None if producer is None else [producer.key, producer.streams]
            for producer in folder.producer_table.items()
        ],
    }


def load_folder(
    data: dict[str, Any], options: FoldOptions, producer_of: Callable[[int], Producer | None]
) -> Folder:
    """Return the folder that was dumped; `producer_of` has the producers by their keys.

    Raises ValueError, KeyError, TypeError or IndexError for data that no folder dumped, and
    KeyError where a producer with folded streams is not known.
    """
    folder = Folder(options, data["epoch"])
    for name, value in zip(_FOLDER_FIELDS, data["fields"], strict=True):
        setattr(folder, name, value)
    folder.streams.restore(data["streams"])
    folder.forgotten.restore(data["forgotten"])
    by_number: list[Output | None] = [None] * data["output_numbers"]
    for row in data["outputs"]:
        output = _load_output(row, options)
        if output.index >= 0:
            by_number[output.index] = output
        if not output.is_gone:
            folder.outputs[output.key] = output
    folder.output_table.restore(by_number)
    folder.dirty = [folder.outputs[key] for key in data["dirty"]]
    producers: list[Producer | None] = []
    for entry in data["producers"]:
        producer = None
        if entry is not None:
            producer = producer_of(entry[0])
            if producer is None:
                raise KeyError(f"producer {entry[0]} has folded streams, but is not known")
            producer.streams = entry[1]
        producers.append(producer)
    folder.producer_table.restore(producers)
    return folder


def _dump_output(output: Output) -> dict[str, Any]:
    identity = output.identity
    metric = identity.metric
    return {
        "fields": [getattr(output, name) for name in _OUTPUT_FIELDS],
        "index": output.index,
        "metric": [getattr(metric, field.name) for field in fields(metric)],
        "resource": [identity.resource, identity.resource_schema_url],
        "scope": [identity.scope, identity.scope_schema_url],
        "pairs": list(identity.pairs),
        "gauge": identity.gauge.value,
        "total": output.total.dump(),
    }


def _load_output(row: dict[str, Any], options: FoldOptions) -> Output:
    resource, resource_schema_url = row["resource"]
    scope, scope_schema_url = row["scope"]
    identity = OutputIdentity(
        resource,
        resource_schema_url,
        scope,
        scope_schema_url,
        MetricIdentity(*row["metric"]),
        tuple(row["pairs"]),
        GaugeFold(row["gauge"]),
    )
    total = new_total(identity, options.contributor_ns)
    total.restore(row["total"])
    output = Output(0, identity, total, 0)
    for name, value in zip(_OUTPUT_FIELDS, row["fields"], strict=True):
        setattr(output, name, value)
    output.index = row["index"]
    return output
