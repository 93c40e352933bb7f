"""The whole configuration of a sidecar: every section, validated together.

The sections of the processors come from the registry: a package that registers the processor
`spread_filter` gets a section `spread_filter:` with its own model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from tapeline.admin.config import AdminConfig
from tapeline.kit.configured import (
    MAX_PLUGINS,
    PLUGINS,
    check_in_use,
    check_signals,
    plugin_processors,
)
from tapeline.otlp.signals import Signal
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.loader import (
    ConfigError,
    Document,
    read_document,
    suggestion,
    validate_document,
)
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import (
    ProcessorContext,
    ProcessorFactory,
    RegistryError,
    discover,
    load_factory,
)
from tapeline.pipeline.watch import Mask, Watch
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.transport.config import DownstreamConfig, ServerConfig
from tapeline.transport.record_config import RecordConfig

__all__ = [
    "ChainConfig",
    "Settings",
    "build_chain",
    "check_record",
    "config_schema",
    "load_settings",
    "taken_names",
]

Model = TypeVar("Model", bound=BaseModel)


class ChainConfig(BaseModel):
    """Which processors run over each signal, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # An empty list passes the signal on with its framing checked and its values limited.
    logs: tuple[str, ...] = ("redaction", "cardinality")
    traces: tuple[str, ...] = ("redaction", "cardinality")
    metrics: tuple[str, ...] = ("redaction", "cardinality")

    def of(self, signal: Signal) -> tuple[str, ...]:
        """Return the processors' names of a signal."""
        names: dict[Signal, tuple[str, ...]] = {
            Signal.LOGS: self.logs,
            Signal.TRACES: self.traces,
            Signal.METRICS: self.metrics,
        }
        return names[signal]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name once, in the order of first use."""
        return tuple(dict.fromkeys(name for signal in Signal for name in self.of(signal)))


_REDACTION: Final = "redaction"

_FIXED_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "server": ServerConfig,
    "downstream": DownstreamConfig,
    "admin": AdminConfig,
    "chain": ChainConfig,
    "record": RecordConfig,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A validated configuration and the factories of the processors that its chain names."""

    document: Document
    server: ServerConfig
    downstream: DownstreamConfig
    admin: AdminConfig
    chain: ChainConfig
    record: RecordConfig
    factories: Mapping[str, ProcessorFactory]
    sections: Mapping[str, BaseModel]

    @property
    def source(self) -> str:
        """The file's name."""
        return self.document.name

    def refusal(self, section: str, problem: object) -> ConfigError:
        """Return the error of a section that only its processor could find.

        Where the problem begins with one of the section's keys and a colon, as in
        `key_file: can't be read`, it is placed at that key's line.
        """
        key = str(problem).partition(":")[0]
        place = self.document.place((section, key))
        return ConfigError([f"{place}: {section}: {line}" for line in str(problem).splitlines()])


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate a configuration file; raises ConfigError with every problem in it."""
    document = read_document(path, environment)
    factories = _factories_in_use(document, path.parent)
    model = _settings_model(factories)
    values = validate_document(document, model)
    check_signals(document, factories)
    sections = {name: getattr(values, name) for name in factories}
    settings = Settings(
        document=document,
        server=_section(values, "server", ServerConfig),
        downstream=_section(values, "downstream", DownstreamConfig),
        admin=_section(values, "admin", AdminConfig),
        chain=_section(values, "chain", ChainConfig),
        record=_section(values, "record", RecordConfig),
        factories=factories,
        sections=sections,
    )
    _check_tap(settings)
    check_record(settings, settings.record)
    return settings


def check_record(settings: Settings, record: RecordConfig) -> None:
    """Raise ConfigError where something would be recorded that no redaction has been over.

    `record` is the section in effect: at a reload, that of the start.
    """
    if record.folder is None or record.raw:
        return
    section = settings.sections.get(_REDACTION)
    problems: list[str] = []
    for signal in filter(record.records, Signal):
        problems += _what_is_unredacted(settings, signal)
        if _REDACTION in settings.chain.of(signal) and isinstance(section, RedactionConfig):
            problems += [
                f"the redaction lets the service {name!r} pass; name others in record.services"
                for name in _unredacted_services(section)
                if not record.services or name in record.services
            ]
    if problems:
        place = settings.document.place(("record", "folder"))
        told = "holds nothing that was not redacted, so it can't be on where"
        raise ConfigError(
            [f"{place}: record: {told} {problem}" for problem in dict.fromkeys(problems)]
        )


def _what_is_unredacted(settings: Settings, signal: Signal) -> Iterator[str]:
    """Yield why the chain of a signal lets secrets through, and what to do about it."""
    section = settings.sections.get(_REDACTION)
    if _REDACTION not in settings.chain.of(signal):
        yield f"chain.{signal} has no redaction; add it"
    elif isinstance(section, RedactionConfig) and section.mode_of(signal) is Mode.OBSERVE:
        yield f"the redaction only observes {signal}; let it enforce"


def _unredacted_services(section: RedactionConfig) -> tuple[str, ...]:
    observed = (
        name for name, override in section.services.items() if override.mode is Mode.OBSERVE
    )
    return (*section.allow.services, *observed)


def _check_tap(settings: Settings) -> None:
    """Raise ConfigError where the tap would look at what no redaction has been over."""
    if settings.admin.tap is None:
        return
    problems = [each for signal in Signal for each in _what_is_unredacted(settings, signal)]
    if problems:
        place = settings.document.place(("admin", "tap"))
        told = "shows nothing that was not redacted, so it can't be on where"
        raise ConfigError(
            [f"{place}: admin.tap: {told} {problem}, or leave the tap out" for problem in problems]
        )


def build_chain(settings: Settings, context: ProcessorContext, mask: Mask | None = None) -> Chain:
    """Make the processors and the chain; raises ConfigError naming the section at fault.

    With a `mask`, and where `admin.tap` is set, somebody may look behind the redaction.
    """
    processors: dict[str, Processor] = {}
    for name in settings.chain.names:
        factory = settings.factories[name]
        try:
            processors[name] = factory.build(settings.sections[name], context)
        except (ValueError, OSError) as error:
            raise settings.refusal(name, error) from error
        except Exception as error:  # A plugin's mistake: its message alone may say nothing.
            what = f"{type(error).__name__}: {error}"
            raise settings.refusal(name, what) from error
    return Chain(
        {signal: [processors[name] for name in settings.chain.of(signal)] for signal in Signal},
        max_value_bytes=settings.server.max_value_bytes,
        watch=_watch(settings, processors, mask),
    )


def _watch(
    settings: Settings, processors: Mapping[str, Processor], mask: Mask | None
) -> Watch | None:
    if settings.admin.tap is None or mask is None:
        return None
    # `load_settings` has seen to it that each signal has one.
    return Watch(dict.fromkeys(Signal, processors[_REDACTION]), mask)


def taken_names() -> frozenset[str]:
    """Return the names that a new processor can't have: of sections, and of what is installed."""
    return frozenset((*_FIXED_SECTIONS, PLUGINS, *discover()))


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of the whole configuration, installed processors included."""
    factories = {name: load_factory(point) for name, point in discover().items()}
    schema = _settings_model(factories).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _factories_in_use(document: Document, folder: Path) -> dict[str, ProcessorFactory]:
    """Load what the chain names or a section configures; of packages, nothing else is imported."""
    try:
        installed = discover()
        plugins = plugin_processors(document, folder, installed, {*_FIXED_SECTIONS, PLUGINS})
        available = {**installed, **plugins}
        named = _chain_names(document, available)
        check_in_use(document, plugins, named)
        configured = [name for name in document.data if name in available]
        in_use = dict.fromkeys((*named, *configured))
        return {
            name: plugins[name].factory if name in plugins else load_factory(installed[name])
            for name in in_use
        }
    except RegistryError as error:
        raise ConfigError([f"{document.name}: {error}"]) from error


def _chain_names(document: Document, available: Mapping[str, Any]) -> tuple[str, ...]:
    section = document.data.get("chain", {})
    if not isinstance(section, dict):
        return ()  # The model says what is wrong with it.
    defaults = ChainConfig()
    names: list[str] = []
    problems: list[str] = []
    for signal in Signal:
        listed = section.get(signal.value, defaults.of(signal))
        if not isinstance(listed, list | tuple):
            continue
        for position, name in enumerate(listed):
            if not isinstance(name, str):
                continue  # As above.
            place = document.place(("chain", signal.value, position))
            if name in listed[:position]:
                problems.append(f"{place}: chain.{signal}: {name!r} stands here twice")
            elif name not in available:
                hint = suggestion(name, list(available))
                problems.append(
                    f"{place}: chain.{signal}: no processor {name!r} is installed{hint}"
                )
            else:
                names.append(name)
    if problems:
        raise ConfigError(problems)
    return tuple(names)


def _settings_model(factories: Mapping[str, ProcessorFactory]) -> type[BaseModel]:
    for name in factories:
        if name in {*_FIXED_SECTIONS, PLUGINS}:
            raise ConfigError([f"a processor may not be named {name!r}: that is a section's name"])
    models = _FIXED_SECTIONS | {name: factory.config_model for name, factory in factories.items()}
    fields: dict[str, Any] = {
        # An absent section is validated like an empty one, so a required field is named.
        name: (model, Field(default_factory=partial(dict), validate_default=True))
        for name, model in models.items()
    }
    fields[PLUGINS] = (
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(
            default=(),
            max_length=MAX_PLUGINS,
            description="Python files with processors, relative to this file.",
        ),
    )
    return create_model(
        "TapelineConfiguration",
        __config__=ConfigDict(extra="forbid", frozen=True),
        **fields,
    )


def _section(values: BaseModel, name: str, kind: type[Model]) -> Model:
    section = getattr(values, name)
    if not isinstance(section, kind):
        raise TypeError(f"the section {name} is a {type(section).__name__}")
    return section
