"""Which processors there are: the built-in ones, and those that installed packages register.

A package registers one by an entry point in the group `tapeline.processors`, whose object is a
`ProcessorFactory`, or carries one (a function of the processor kit). The entry point's name must be
the factory's name: it is what stands in the `chain` section, and the key of the processor's own
section of the configuration.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from tapeline.otlp.signals import Signal
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Processor

__all__ = [
    "ENTRY_POINT_GROUP",
    "FACTORY_ATTRIBUTE",
    "ProcessorContext",
    "ProcessorFactory",
    "RegistryError",
    "discover",
    "load_factory",
]

ENTRY_POINT_GROUP: Final = "tapeline.processors"
FACTORY_ATTRIBUTE: Final = "__tapeline_factory__"
"""Where a function or class carries the factory that was made of it."""


class RegistryError(ValueError):
    """A processor is registered wrongly; the message names the package and what to change."""


@dataclass(frozen=True, slots=True)
class ProcessorContext:
    """What a processor may know of its surroundings.

    `registry` takes its own metrics. `worker_index` counts from 0, up to `worker_count`. `live` is
    False in `tapeline process`, where output must be a function of the input alone.
    """

    registry: CollectorRegistry
    worker_index: int = 0
    worker_count: int = 1
    live: bool = True


@dataclass(frozen=True, slots=True)
class ProcessorFactory:
    """How to make a processor: its name, the model of its config section, and a constructor.

    `build` is called once for each chain, at start and at every reload; what it raises stops the
    start, or the reload. The admin server shows a `page` of what the processor reports
    (`tapeline.pipeline.processor.Reporting`) under `/` and its name. `signals` are those that it
    can take: in the chain of another one its name is a mistake.
    """

    name: str
    config_model: type[BaseModel]
    build: Callable[[Any, ProcessorContext], Processor]
    page: Page | None = None
    signals: frozenset[Signal] = frozenset(Signal)


def discover(installed: Iterable[EntryPoint] | None = None) -> Mapping[str, EntryPoint]:
    """Return every registered processor by name, without importing any of them.

    Raises RegistryError where two packages claim a name.
    """
    points = entry_points(group=ENTRY_POINT_GROUP) if installed is None else installed
    by_name: dict[str, EntryPoint] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        if point.name in by_name:
            raise RegistryError(
                f"two installed packages register a processor named {point.name!r}:"
                f" {_source(by_name[point.name])} and {_source(point)}; uninstall one of them"
            )
        by_name[point.name] = point
    return by_name


def load_factory(point: EntryPoint) -> ProcessorFactory:
    """Import a processor's factory.

    Raises RegistryError where the import fails, or where the object is something else than a
    ProcessorFactory of that name.
    """
    try:
        loaded = point.load()
    except Exception as error:  # A plugin may raise anything while it is imported.
        raise RegistryError(
            f"the processor {point.name!r} of {_source(point)} does not import: {error}"
        ) from error
    loaded = getattr(loaded, FACTORY_ATTRIBUTE, loaded)
    if not isinstance(loaded, ProcessorFactory):
        raise RegistryError(
            f"{_source(point)} must name a tapeline.pipeline.registry.ProcessorFactory, or what"
            f" tapeline.kit.processor decorates, but it is of type {type(loaded).__name__}"
        )
    if loaded.name != point.name:
        raise RegistryError(
            f"{_source(point)} is registered as {point.name!r} but calls itself {loaded.name!r}:"
            " make the two equal"
        )
    return loaded


def _source(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else "an unknown package"
    return f"{package} ({point.value})"
