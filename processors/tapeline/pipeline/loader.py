"""YAML in, a validated model out; every error names the file and the line.

`${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` work in values as they do in the
collector: a value that is nothing but one reference takes the type of what it expands to, `$$` is
a literal dollar sign. Files are relative to the configuration file and lose one final newline.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["ConfigError", "Document", "read_document", "suggestion", "validate_document"]

# A password in an address, as in postgresql://user:password@host.
_CREDENTIALS: Final = re.compile(r"://[^@]*@")
MAX_CONFIG_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
"""Aliases make a small YAML file expand without bound ("billion laughs"); this is the bound."""

_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:(env|file):)?([^{}]*)\}")
_SHORT: Final = 3
"""Characters of a value that may stand in a message by chance; only in quotes it is the value."""
_TIME_TAG: Final = "tag:yaml.org,2002:timestamp"
_LITERAL_TAGS: Final = frozenset({"tag:yaml.org,2002:str"})

ModelType = TypeVar("ModelType", bound=BaseModel)
KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""


class ConfigError(ValueError):
    """A configuration that can't be used. Each of `problems` is one line for the user."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file: its data, and the line on which each key or item stands."""

    name: str
    data: dict[str, Any]
    lines: Mapping[KeyPath, int] = field(repr=False)
    expanded: frozenset[KeyPath] = field(repr=False)
    """Paths whose value came from the environment or a file; errors don't repeat such values."""

    def place(self, path: KeyPath) -> str:
        """Return `file:line` of a path, or of the nearest enclosing one that has a line."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read_document(
    path: Path,
    environment: Mapping[str, str] | None = None,
    *,
    unset_is_empty: bool = False,
    as_written: bool = False,
) -> Document:
    """Read a YAML file; raises ConfigError where it can't be read, parsed or expanded.

    `unset_is_empty` reads an unset variable as empty, as the collector does with its own files.
    `as_written` expands nothing, and leaves times the texts that they are.
    """
    text = _text_of(path)
    variables = os.environ if environment is None else environment
    reader = _Reader(str(path), path.parent, variables, unset_is_empty=unset_is_empty)
    return reader.read(text, as_written=as_written)


def _text_of(path: Path) -> str:
    name = _plain(str(path))
    try:
        # Not by its size: a device or a pipe says that it has none.
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError([f"{name}: a configuration has at most {MAX_CONFIG_BYTES} bytes"])
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError([f"{name}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{name}: is not UTF-8 (byte {error.start})"]) from error
    except ValueError as error:  # That is how Python refuses a name with a zero byte.
        raise ConfigError([f"{name}: can't be read: that is no file name"]) from error


class _Reader:
    """Turns YAML nodes into data while noting lines; one use per file."""

    def __init__(
        self, name: str, folder: Path, environment: Mapping[str, str], *, unset_is_empty: bool
    ) -> None:
        self._name = name
        self._folder = folder
        self._environment = environment
        self._unset_is_empty = unset_is_empty
        self._as_written = False
        self._lines: dict[KeyPath, int] = {}
        self._expanded: set[KeyPath] = set()
        self._problems: list[str] = []
        self._nodes_seen = 0

    def read(self, text: str, *, as_written: bool = False) -> Document:
        self._as_written = as_written
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            what = " ".join(filter(None, (error.context, error.problem)))
            raise ConfigError([f"{self._name}:{line}: not valid YAML: {what}"]) from error
        except yaml.YAMLError as error:
            raise ConfigError([f"{self._name}: not valid YAML: {error}"]) from error
        except RecursionError as error:
            raise ConfigError([f"{self._name}: nests too deep; simplify the file"]) from error
        data = {} if root is None else self._value(root, ())
        if data is None:
            data = {}
        if not isinstance(data, dict) and not self._problems:
            self._problems.append(f"{self._name}:1: expected sections (key: value) at the top")
        if self._problems:
            raise ConfigError(self._problems)
        # A section whose every line is commented out is an empty section.
        sections = {key: {} if value is None else value for key, value in data.items()}
        return Document(self._name, sections, self._lines, frozenset(self._expanded))

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._nodes_seen += 1
        if len(path) > MAX_DEPTH or self._nodes_seen > MAX_NODES:
            limit = f"{MAX_DEPTH} levels" if len(path) > MAX_DEPTH else f"{MAX_NODES} values"
            raise ConfigError([f"{self._place(node)}: more than {limit}; simplify the file"])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise TypeError(f"an unknown YAML node: {type(node).__name__}")
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._check_keys(node)
        yaml.SafeLoader("").flatten_mapping(node)  # Resolves `<<`, as the collector does.
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = getattr(key_node, "value", None)
            if not isinstance(key, str):
                continue
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            mapping[key] = self._value(value_node, (*path, key))
        return mapping

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if not isinstance(key, str):
                self._problems.append(f"{self._place(key_node)}: a key must be a plain name")
                continue
            if key in seen:
                self._problems.append(f"{self._place(key_node)}: {key!r} stands here twice")
            seen.add(key)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text: str = node.value
        if self._as_written and node.tag == _TIME_TAG:
            return text
        if self._as_written or "$" not in text:
            return self._resolve(node.tag, text, node)
        whole = _REFERENCE.fullmatch(text)
        if whole and whole.group(0) != "$$":
            value = self._reference(whole, path, node)
            # Quoted or not, a lone reference takes the type of what it expands to.
            return self._retype(value, node)
        return _REFERENCE.sub(lambda match: self._reference(match, path, node), text)

    def _reference(self, match: re.Match[str], path: KeyPath, node: yaml.Node) -> str:
        if match.group(0) == "$$":
            return "$"
        self._expanded.add(path)
        scheme, body = match.group(1) or "env", match.group(2)
        if scheme == "file":
            return self._read_file(body, node)
        name, separator, default = body.partition(":-")
        value = self._environment.get(name)
        if value is None and not separator and not self._unset_is_empty:
            self._problems.append(
                f"{self._place(node)}: the environment variable {name} is not set;"
                f" set it, or give a default: ${{env:{name}:-default}}"
            )
        return value if value is not None else default

    def _read_file(self, name: str, node: yaml.Node) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                content = file.read(MAX_CONFIG_BYTES + 1)
            if len(content) <= MAX_CONFIG_BYTES:
                return content.decode("utf-8").removesuffix("\n")
            reason = f"it holds more than {MAX_CONFIG_BYTES} bytes"
        except OSError as error:
            reason = error.strerror or str(error)
        except UnicodeDecodeError:
            reason = "it is not UTF-8"
        except ValueError:  # That is how Python refuses a name with a zero byte.
            reason = "that is no file name"
        self._problems.append(f"{self._place(node)}: can't read the file {_plain(name)}: {reason}")
        return ""

    def _retype(self, text: str, node: yaml.Node) -> Any:
        try:
            inner = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            return text  # A secret may look like broken YAML; then it is just a string.
        if not isinstance(inner, yaml.ScalarNode):
            return text
        return self._resolve(inner.tag, inner.value, node)

    def _resolve(self, tag: str, text: str, node: yaml.Node) -> Any:
        if tag in _LITERAL_TAGS:
            return text
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(yaml.ScalarNode(tag, text))
        # PyYAML's constructors raise what their code happens to stumble over.
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError):
            self._problems.append(f"{self._place(node)}: {text!r} is not a valid value")
            return None
        finally:
            loader.dispose()

    def _place(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"


def _plain(name: str) -> str:
    """Return a name that is safe to print: repr's spelling of what is not printable."""
    return name if name.isprintable() else repr(name)[1:-1]


def validate_document(document: Document, model: type[ModelType]) -> ModelType:
    """Return the model; raises ConfigError with a line for each thing that is wrong."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError([_describe(detail, document, model) for detail in details]) from error


def _describe(detail: ErrorDetails, document: Document, model: type[BaseModel]) -> str:
    path = detail["loc"]
    dotted = _dotted(path)
    place = document.place(path)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        where = f" in {_dotted(path[:-1])!r}" if len(path) > 1 else ""
        return f"{place}: unknown key {str(path[-1])!r}{where}{suggestion(str(path[-1]), known)}"
    message = detail["msg"].removeprefix("Value error, ")
    given = detail.get("input")
    expanded = _expanded_within(document, path)
    for value in expanded:
        message = message.replace(repr(value), "the given value")
        if len(str(value)) > _SHORT:
            message = message.replace(str(value), "the given value")
    is_credential = isinstance(given, str) and _CREDENTIALS.search(given) is not None
    is_told = not (detail["type"] == "missing" or expanded or is_credential)
    if not is_told or isinstance(given, dict | list):
        return f"{place}: {dotted}: {message}"
    return f"{place}: {dotted}: {message} (got {given!r})"


def _expanded_within(document: Document, path: KeyPath) -> list[Any]:
    """Return the values at or below a path that came from the environment or a file.

    One may be a secret that landed in the wrong variable, and validators quote what they get.
    """
    values = []
    for expanded in document.expanded:
        if expanded[: len(path)] != path:
            continue
        value: Any = document.data
        for part in expanded:
            value = value[part]
        values.append(value)
    return values


def suggestion(given: str, known: list[str]) -> str:
    """Return `; did you mean 'x'?`, or the known names where none is near."""
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the file"


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _model_within(fields[part].annotation)
    fields = getattr(current, "model_fields", {})
    return [info.alias or name for name, info in fields.items()]


def _model_within(annotation: Any) -> Any:
    """Return the model inside `X | None`, `list[X]`, `dict[str, X]`; None where there is none."""
    candidates = [annotation]
    for _ in range(MAX_DEPTH):
        if not candidates:
            return None
        candidate = candidates.pop(0)
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        candidates.extend(get_args(candidate))
    return None
