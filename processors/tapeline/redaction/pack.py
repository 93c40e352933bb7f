"""Loads the rules: the built-in families and what a configuration adds, changes or disables.

Every problem names the file, the line and the rule, and all problems are reported at once.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import re2
import yaml
from pydantic import TypeAdapter, ValidationError

from tapeline.redaction.rule import NameRule, Rule, ValueRule

__all__ = [
    "BUILT_IN_RULES",
    "MAX_RULES",
    "Pack",
    "PackError",
    "RuleSource",
    "built_in_ids",
    "check_override",
    "compile_pattern",
    "load_pack",
]

BUILT_IN_RULES: Final = Path(__file__).parent / "rules"
MAX_RULES: Final = 2_000
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_PROGRAM_BYTES: Final = 8 * 1024 * 1024
"""Memory that one compiled pattern may take: RE2 refuses what needs more."""

# libyaml's parser, which PyYAML's wheels carry, reads the rules an order of magnitude faster.
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RULE: Final[TypeAdapter[ValueRule | NameRule]] = TypeAdapter(Rule)


class PackError(ValueError):
    """Rules that can't be used. Each of `problems` is one line for the user."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A rule as it was written, and where: `place` is `file:line`, `lines` is that of each key."""

    data: Mapping[str, Any]
    place: str
    lines: Mapping[str, str] = field(default_factory=dict)

    def place_of(self, key: object) -> str:
        """Return where a key of the rule stands, or else where the rule does."""
        return self.lines.get(str(key), self.place)


@dataclass(frozen=True, slots=True)
class Pack:
    """The rules in force."""

    value_rules: tuple[ValueRule, ...]
    name_rules: tuple[NameRule, ...]
    fingerprint: str
    """SHA-256 of everything in the rules: names this version of the policy."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of every rule, value rules first."""
        return (*(rule.id for rule in self.value_rules), *(rule.id for rule in self.name_rules))


def load_pack(
    folder: Path = BUILT_IN_RULES,
    overrides: Iterable[RuleSource] = (),
    disable: Collection[str] = (),
    enable: Collection[str] = (),
) -> Pack:
    """Read the rules of a folder and apply a configuration's changes; raises PackError.

    An override with the id of a known rule replaces the fields that it gives; any other is a new
    rule. `enable` switches optional rules on, `disable` switches rules off.
    """
    problems: list[str] = []
    sources: dict[str, RuleSource] = {}
    if folder == BUILT_IN_RULES:
        sources.update(_built_in())
    else:
        _collect_folder(folder, sources, problems)
    _override(overrides, sources, problems)
    problems.extend(
        f"rule {name!r} is to be enabled or disabled, but there is none of this id"
        for name in sorted({*disable, *enable} - sources.keys())
    )
    if len(sources) > MAX_RULES:
        problems.append(f"{len(sources)} rules, but {MAX_RULES} are the most")
    built_in = _built_in()
    rules = [
        _valid_built_in()[name] if built_in.get(name) is source else _validated(source, problems)
        for name, source in sources.items()
    ]
    if problems:
        raise PackError(problems)
    in_force = [
        rule
        for rule in rules
        if rule is not None and rule.id not in disable and (not rule.optional or rule.id in enable)
    ]
    return Pack(
        tuple(rule for rule in in_force if isinstance(rule, ValueRule)),
        tuple(rule for rule in in_force if isinstance(rule, NameRule)),
        _fingerprint(in_force),
    )


def built_in_ids() -> frozenset[str]:
    """Return the id of every built-in rule, the optional ones included."""
    return frozenset(_built_in())


def check_override(data: Mapping[str, Any]) -> None:
    """Check one rule of a configuration by itself, filled up from the built-in one of its id.

    Raises PackError with everything that is wrong with it.
    """
    problems: list[str] = []
    known = _built_in().get(str(data.get("id")), RuleSource({}, ""))
    _validated(RuleSource({**known.data, **data}, "rule"), problems)
    if problems:
        raise PackError([problem.removeprefix("rule: ") for problem in problems])


@cache
def _built_in() -> Mapping[str, RuleSource]:
    problems: list[str] = []
    sources: dict[str, RuleSource] = {}
    _collect_folder(BUILT_IN_RULES, sources, problems)
    if problems:
        raise PackError(problems)
    return MappingProxyType(sources)


@cache
def _valid_built_in() -> Mapping[str, ValueRule | NameRule]:
    """Return the built-in rules, checked once: that takes a third of a second."""
    problems: list[str] = []
    checked = {name: _validated(source, problems) for name, source in _built_in().items()}
    if problems:
        raise PackError(problems)
    return MappingProxyType({name: rule for name, rule in checked.items() if rule is not None})


def compile_pattern(pattern: str) -> re2._Regexp:
    """Compile a pattern with RE2, which takes time linear in the text whatever the pattern is.

    Raises ValueError where RE2 refuses it. Texts are bytes of ASCII.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        return re2.compile(pattern.encode("ascii"), options)
    except UnicodeEncodeError as error:
        raise ValueError(f"pattern {pattern!r} must be ASCII; write {error.reason}") from error
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(
            f"pattern {pattern!r} is refused: {text}; look-around and backreferences can't be"
            " searched for in linear time"
        ) from error


def _fingerprint(rules: Iterable[ValueRule | NameRule]) -> str:
    content = "\n".join(sorted(rule.model_dump_json() for rule in rules))
    return hashlib.sha256(content.encode()).hexdigest()


def _collect_folder(folder: Path, sources: dict[str, RuleSource], problems: list[str]) -> None:
    for path in sorted(folder.glob("*.yaml")):
        _collect(_read(path, problems), sources, problems)


def _collect(
    found: Iterable[RuleSource], sources: dict[str, RuleSource], problems: list[str]
) -> None:
    for source in found:
        name = str(source.data.get("id"))
        if name in sources:
            problems.append(
                f"{source.place}: rule {name!r} is already defined at {sources[name].place}"
            )
        else:
            sources[name] = source


def _override(
    overrides: Iterable[RuleSource], sources: dict[str, RuleSource], problems: list[str]
) -> None:
    seen: dict[str, str] = {}
    for change in overrides:
        name = str(change.data.get("id"))
        if name in seen:
            problems.append(f"{change.place}: rule {name!r} is already given at {seen[name]}")
            continue
        seen[name] = change.place
        known = sources.get(name, RuleSource({}, change.place))
        sources[name] = RuleSource(
            {**known.data, **change.data}, change.place, {**known.lines, **change.lines}
        )


def _validated(source: RuleSource, problems: list[str]) -> ValueRule | NameRule | None:
    kind = "value" if "pattern" in source.data else "name"
    name = source.data.get("id")
    try:
        rule = _RULE.validate_python({"kind": kind, **source.data})
        if isinstance(rule, ValueRule):
            for pattern in (rule.pattern, *rule.require, *rule.allow):
                compile_pattern(pattern)
        elif rule.form is not None:
            compile_pattern(rule.form)
        rule.samples()
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            path = [part for part in detail["loc"] if part not in {"value", "name"}]
            key = ".".join(map(str, path))
            place = source.place_of(path[0] if path else "")
            problems.append(f"{place}: rule {name!r}: {key}: {detail['msg']}")
        return None
    except ValueError as error:
        problems.append(f"{source.place_of('pattern')}: rule {name!r}: {error}")
        return None
    return rule


def _read(path: Path, problems: list[str]) -> list[RuleSource]:
    """Return the rules of a file, which is a YAML list of them."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            problems.append(f"{path.name}: more than {MAX_FILE_BYTES} bytes")
            return []
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        problems.append(f"{path}: can't be read: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        problems.append(f"{path}: is not UTF-8 (byte {error.start})")
        return []
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(f"{path.name}:{line}: not valid YAML: {error.problem}")
        return []
    if not isinstance(root, yaml.SequenceNode):
        problems.append(f"{path.name}:1: expected a list of rules")
        return []
    return [
        source for node in root.value if (source := _source(path.name, node, problems)) is not None
    ]


def _source(file: str, node: yaml.Node, problems: list[str]) -> RuleSource | None:
    place = f"{file}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        problems.append(f"{place}: expected a rule: `id`, `description` and so on")
        return None
    lines: dict[str, str] = {}
    for key, _ in node.value:
        if key.value in lines:
            problems.append(
                f"{file}:{key.start_mark.line + 1}: {key.value!r} is already given at"
                f" {lines[key.value]}"
            )
        lines[key.value] = f"{file}:{key.start_mark.line + 1}"
    try:
        data = yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.YAMLError as error:
        problems.append(f"{place}: not valid YAML: {error}")
        return None
    return RuleSource(data, place, lines)
