"""The processors of the files that a configuration lists under `plugins`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from tapeline.kit.plugins import PluginError, PluginProcessor, load_plugin
from tapeline.otlp.signals import Signal
from tapeline.pipeline.loader import ConfigError, Document
from tapeline.pipeline.registry import ProcessorFactory

__all__ = ["MAX_PLUGINS", "PLUGINS", "check_in_use", "check_signals", "plugin_processors"]

PLUGINS: Final = "plugins"
MAX_PLUGINS: Final = 100


def plugin_processors(
    document: Document, folder: Path, installed: Collection[str], sections: Collection[str]
) -> dict[str, PluginProcessor]:
    """Run each file, and return its processors by name.

    Paths are relative to `folder`. `installed` are the names of processors that packages have, and
    `sections` those of other sections. Raises ConfigError with a line for each file or name that
    can't be used.
    """
    listed = document.data.get(PLUGINS, ())
    if not isinstance(listed, list):
        return {}  # The model says what is wrong with it.
    found: dict[str, PluginProcessor] = {}
    problems: list[str] = []
    for position, text in enumerate(listed[:MAX_PLUGINS]):
        if not isinstance(text, str) or not text:
            continue  # As above.
        try:
            told = _add(load_plugin(folder / text), found, installed, sections)
        except PluginError as error:
            told = [str(error)]
        place = document.place((PLUGINS, position))
        problems += [f"{place}: plugins[{position}]: {each}" for each in told]
    if problems:
        raise ConfigError(problems)
    return found


def _add(
    processors: Collection[PluginProcessor],
    found: dict[str, PluginProcessor],
    installed: Collection[str],
    sections: Collection[str],
) -> list[str]:
    problems = []
    for each in processors:
        name = each.factory.name
        if name in found:
            problems.append(
                f"{each.place}: a second processor named {name!r}; the first one is at"
                f" {found[name].place}: give one of them another name"
            )
        elif name in installed:
            problems.append(
                f"{each.place}: an installed processor is named {name!r} too: give this one"
                " another name"
            )
        elif name in sections:
            problems.append(
                f"{each.place}: {name!r} is the name of a section of the configuration: give the"
                " processor another name"
            )
        found.setdefault(name, each)
    return problems


def check_in_use(
    document: Document, plugins: Mapping[str, PluginProcessor], named: Collection[str]
) -> None:
    """Raise ConfigError for a file of which no chain names a processor.

    One that should protect something would protect nothing, and nobody would know.
    """
    by_file: dict[str, list[str]] = {}
    for name, each in plugins.items():
        by_file.setdefault(each.file, []).append(name)
    problems = [
        f"{document.place((PLUGINS,))}: plugins: {file}: no chain names {' or '.join(names)}: add"
        f" it to chain.{min(plugins[names[0]].factory.signals)}, or take the file out"
        for file, names in by_file.items()
        if not set(names).intersection(named)
    ]
    if problems:
        raise ConfigError(problems)


def check_signals(document: Document, factories: Mapping[str, ProcessorFactory]) -> None:
    """Raise ConfigError where a chain names a processor that can't take its signal."""
    chain: Any = document.data.get("chain", {})
    problems = []
    for signal in Signal:
        for position, name in enumerate(chain.get(signal.value, ())):
            takes = factories[name].signals
            if signal not in takes:
                place = document.place(("chain", signal.value, position))
                problems.append(
                    f"{place}: chain.{signal}: {name!r} takes {' and '.join(sorted(takes))} only:"
                    " take it out of this chain"
                )
    if problems:
        raise ConfigError(problems)
