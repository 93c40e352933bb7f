"""The decorator: what a processor is called and takes, read from its signature, and checked."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from tapeline.kit.core import VIEWS
from tapeline.kit.processor import KitProcessor, Making
from tapeline.kit.record import Record
from tapeline.kit.sections import section_model, settings_from
from tapeline.otlp.signals import Signal
from tapeline.pipeline.registry import FACTORY_ATTRIBUTE, ProcessorFactory

__all__ = ["NAME", "DefinitionError", "processor"]

Definition = TypeVar("Definition", bound=Callable[..., Any])

MAX_CONTAINING: Final = 100
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RECORDS: Final = "LogRecord, Span or DataPoint"
_EXAMPLE: Final = "def {name}(record: LogRecord) -> None"


class DefinitionError(TypeError):
    """A processor is written in a way that can't work; the message says what to change."""


def processor(
    *,
    name: str,
    signals: str | Sequence[str] | None = None,
    containing: Sequence[str] = (),
    protects: bool = False,
) -> Callable[[Definition], Definition]:
    """Make a processor of a function that takes a record, or of a class with `process(record)`.

    `name` is what stands in the chain and is the processor's section of the configuration.
    `signals` may be left out where the record's annotation tells: LogRecord, Span, DataPoint, or
    several with `|`. `containing`: the function is called only for records whose own bytes hold
    one of these texts; the others cost nearly nothing. `protects`: without it something would leave
    that must not, so that a record on which it fails may never pass.

    A second parameter, or a parameter of the class, with a pydantic model or a dataclass as its
    annotation gets the settings. A class may have `tick(now_unix_nano, derive)`, called every
    second, and `close(now_unix_nano, derive)`. The function or class itself stays what it is.

    Raises DefinitionError where that can't work.
    """

    def register(definition: Definition) -> Definition:
        found = _read(definition, name, signals, containing)
        setattr(definition, FACTORY_ATTRIBUTE, _factory(found, protects=protects))
        return definition

    return register


@dataclass(frozen=True, slots=True)
class _Found:
    """What a definition says."""

    definition: Callable[..., Any]
    name: str
    signals: frozenset[Signal]
    settings: type[Any] | None
    containing: tuple[bytes, ...]


def _read(
    definition: Callable[..., Any],
    name: str,
    signals: str | Sequence[str] | None,
    containing: Sequence[str],
) -> _Found:
    if not NAME.fullmatch(name):
        raise DefinitionError(
            f"the name {name!r} can't be a key of the configuration: begin it with a letter, and"
            " use only a-z, 0-9 and _"
        )
    if isinstance(containing, str):
        containing = (containing,)
    if len(containing) > MAX_CONTAINING or not all(containing):
        raise DefinitionError(f"{name}: containing= takes 1 to {MAX_CONTAINING} texts, none empty")
    if isinstance(definition, type):
        takes, settings = _of_class(definition, name)
    else:
        takes, settings = _of_function(definition, name)
    return _Found(
        definition,
        name,
        _signals(name, takes, signals),
        settings,
        tuple(text.encode() for text in containing),
    )


def _of_function(function: Callable[..., Any], name: str) -> tuple[Any, type[Any] | None]:
    parameters, hints = _signature(function, name)
    if not 1 <= len(parameters) <= 2:  # noqa: PLR2004 - the record and the settings
        raise DefinitionError(
            f"{name}: the function takes a record, and settings where it has any, as in"
            f" `{_EXAMPLE.format(name=name)}`; it has {len(parameters)} parameters"
        )
    settings = hints.get(parameters[1]) if len(parameters) > 1 else None
    if len(parameters) > 1:
        _check_settings(name, parameters[1], settings)
    return hints.get(parameters[0]), settings


def _of_class(definition: type[Any], name: str) -> tuple[Any, type[Any] | None]:
    process = inspect.getattr_static(definition, "process", None)
    if not inspect.isfunction(process):
        raise DefinitionError(f"{name}: the class needs a method `process(self, record)`")
    parameters, hints = _signature(process, f"{name}: process")
    if len(parameters) != 2:  # noqa: PLR2004 - self and the record
        raise DefinitionError(f"{name}: write `def process(self, record: LogRecord) -> None`")
    for occasion in ("tick", "close"):
        method = getattr(definition, occasion, None)
        if method is not None and len(_signature(method, f"{name}: {occasion}")[0]) != 3:  # noqa: PLR2004
            raise DefinitionError(
                f"{name}: write `def {occasion}(self, now_unix_nano: int, derive: Derive) -> None`"
            )
    takes = hints.get(parameters[1])
    initial = inspect.getattr_static(definition, "__init__")
    if not inspect.isfunction(initial):
        return takes, None  # object's own
    given, hints = _signature(initial, f"{name}: __init__")
    if len(given) > 2:  # noqa: PLR2004 - self and the settings
        raise DefinitionError(f"{name}: the class itself takes nothing but its settings")
    settings = hints.get(given[1]) if len(given) > 1 else None
    if len(given) > 1:
        _check_settings(name, given[1], settings)
    return takes, settings


def _signature(function: Callable[..., Any], name: str) -> tuple[list[str], Mapping[str, Any]]:
    """Return the names that a function must be given, and the types it says; checks its kind."""
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(
            f"{name}: an async function or one with `yield` does nothing when it is called; write"
            " a plain `def`"
        )
    try:
        parameters = inspect.signature(function).parameters.values()
        hints = get_type_hints(function)
    except (NameError, TypeError, ValueError) as error:
        raise DefinitionError(f"{name}: its annotations can't be read: {error}") from error
    if hints.get("return", type(None)) is not type(None):
        raise DefinitionError(
            f"{name}: it returns nothing (`-> None`): change the record, or call `record.drop()`"
        )
    for each in parameters:
        if each.kind is not each.POSITIONAL_OR_KEYWORD:
            raise DefinitionError(f"{name}: write {each.name!r} as a plain parameter")
    return [each.name for each in parameters], hints


def _check_settings(name: str, parameter: str, settings: object) -> None:
    is_model = isinstance(settings, type) and (
        issubclass(settings, BaseModel) or dataclasses.is_dataclass(settings)
    )
    if not is_model:
        raise DefinitionError(
            f"{name}: the annotation of {parameter!r} must be a pydantic model or a dataclass,"
            " whose fields are the keys of the processor's section"
        )


def _signals(name: str, takes: Any, given: str | Sequence[str] | None) -> frozenset[Signal]:
    """Return which signals a processor takes, by its annotation, its `signals=`, or both."""
    views = get_args(takes) if get_origin(takes) in (Union, UnionType) else (takes,)
    by_view = {view: signal for signal, view in VIEWS.items()}
    every = takes is None or takes is Any or takes is Record
    if not every and not all(view in by_view for view in views):
        raise DefinitionError(
            f"{name}: the record's annotation must be {_RECORDS}, or several by |"
        )
    told = frozenset(by_view[view] for view in views) if not every else None
    if given is None:
        if told is None:
            raise DefinitionError(
                f"{name}: say which records it takes by an annotation, {_RECORDS}:"
                f" `{_EXAMPLE.format(name=name)}`"
            )
        return told
    names = (given,) if isinstance(given, str) else tuple(given)
    unknown = [each for each in names if each not in {signal.value for signal in Signal}]
    if unknown or not names:
        raise DefinitionError(f"{name}: signals= takes logs, traces and metrics, not {unknown}")
    asked = frozenset(Signal(each) for each in names)
    if told is not None and told != asked:
        raise DefinitionError(
            f"{name}: signals={sorted(asked)} and the record's annotation differ; leave one out"
        )
    return asked


def _factory(found: _Found, *, protects: bool) -> ProcessorFactory:
    model = section_model(found.name, found.settings, protects=protects)

    def build(section: Any, context: Any) -> KitProcessor:
        arguments = () if found.settings is None else (settings_from(found.settings, section),)
        making = Making(found.name, found.signals, found.containing, found.definition, arguments)
        return KitProcessor(making, section, context)

    return ProcessorFactory(found.name, model, build, signals=found.signals)
