"""Processors from files that the configuration names: loaded anew each time, refused with a line.

A file is read, compiled and run here, not imported: so a reload takes what changed, nothing is
written beside it, and a file that does not work leaves nothing behind.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tapeline.pipeline.kept_files import open_regular
from tapeline.pipeline.registry import FACTORY_ATTRIBUTE, ProcessorFactory

__all__ = ["PluginError", "PluginProcessor", "load_plugin"]

MAX_PLUGIN_BYTES: Final = 1024 * 1024
_MODULE: Final = "tapeline_plugin_"


class PluginError(ValueError):
    """A file that can't be used; the message begins with the file and, where known, the line."""


@dataclass(frozen=True, slots=True)
class PluginProcessor:
    """A processor of a file. `place` is the file and the line of its definition."""

    factory: ProcessorFactory
    place: str

    @property
    def file(self) -> str:
        """The file alone."""
        return self.place.rpartition(":")[0]


def load_plugin(path: Path) -> Sequence[PluginProcessor]:
    """Return the processors that a file defines, in its order.

    Raises PluginError where it can't be read, where running it raises, where it has no processor,
    or two of one name.
    """
    source = _read(path)
    module = ModuleType(
        f"{_MODULE}{path.stem}_{sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    )
    module.__file__ = str(path)
    # Dataclasses and pydantic look up their module by its name, while the file runs and later.
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - that is what a plugin is for.
        found = _processors(path, module)
    except BaseException as error:
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before
        if isinstance(error, PluginError | KeyboardInterrupt):
            raise
        raise PluginError(_told(path, error)) from error
    return found


def _read(path: Path) -> bytes:
    try:
        # A pipe would be waited for, at a reload too.
        with os.fdopen(open_regular(path), "rb") as file:
            source = file.read(MAX_PLUGIN_BYTES + 1)
    except OSError as error:
        raise PluginError(f"{path}: can't be read: {error.strerror}") from error
    if len(source) > MAX_PLUGIN_BYTES:
        raise PluginError(f"{path}: more than {MAX_PLUGIN_BYTES} bytes; is that the right file?")
    return source


def _processors(path: Path, module: ModuleType) -> list[PluginProcessor]:
    found: dict[str, PluginProcessor] = {}
    for value in list(module.__dict__.values()):
        factory = value if isinstance(value, ProcessorFactory) else _carried(value)
        if factory is None:
            continue
        place = f"{path}:{_line(value)}"
        first = found.setdefault(factory.name, PluginProcessor(factory, place))
        if first.factory is not factory:
            raise PluginError(
                f"{place}: a second processor named {factory.name!r}; the first one is at"
                f" {first.place}: give one of them another name"
            )
    if not found:
        raise PluginError(
            f"{path}: there is no processor in it; write @processor(name=...) above a function that"
            " takes a record (from tapeline.kit import LogRecord, processor)"
        )
    return list(found.values())


def _carried(value: Any) -> ProcessorFactory | None:
    # The class's own attribute: a subclass of a processor is none by that.
    factory = vars(value).get(FACTORY_ATTRIBUTE) if hasattr(value, "__dict__") else None
    return factory if isinstance(factory, ProcessorFactory) else None


def _line(value: Any) -> int:
    methods = vars(value).values() if isinstance(value, type) else (value,)
    codes = [method.__code__ for method in methods if hasattr(method, "__code__")]
    return min((code.co_firstlineno for code in codes), default=1)


def _told(path: Path, error: BaseException) -> str:
    """Say what running a file raised, and at which of its lines."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno or 1}: not valid Python: {error.msg}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path) and frame.lineno
    ]
    place = f"{path}:{lines[-1] if lines else 1}"
    if isinstance(error, ModuleNotFoundError):
        return f"{place}: {_missing(path, error.name or '?')}"
    if isinstance(error, TypeError) and type(error) is not TypeError:
        return f"{place}: {error}"  # A DefinitionError says all by itself.
    return f"{place}: {type(error).__name__}: {error}"


def _missing(path: Path, name: str) -> str:
    beside = path.with_name(f"{name.partition('.')[0]}.py")
    if beside.exists():
        return (
            f"no module named {name!r}; {beside.name} lies beside it, but a plugin is one file: put"
            " both into one, or install them as a package"
        )
    return f"no module named {name!r}: install it into the environment that tapeline runs in"
