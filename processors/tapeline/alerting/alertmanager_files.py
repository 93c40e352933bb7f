"""Reads an Alertmanager configuration with all that it names, and says what is wrong with it."""

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from tapeline.alerting.alertmanager_lint import LintInput, Problem, lint
from tapeline.alerting.alertmanager_shape import shape_problems
from tapeline.alerting.inhibition_lint import AlertRule, alert_rules, lint_inhibition

__all__ = ["LintSources", "lint_files", "rules_in"]

_MAX_SECRET_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class LintSources:
    """What to look at. `secrets` stands in for the folders that the secret files name.

    `rule_folders` hold every alerting rule, Prometheus' and Loki's; without one, inhibition is not
    looked at.
    """

    configuration: Path
    rule_folders: tuple[Path, ...] = ()
    secrets: Path | None = None


def lint_files(sources: LintSources) -> tuple[Problem, ...]:
    """Return what is wrong; raises OSError where a file can't be read, ValueError for no YAML."""
    document = _read_yaml(sources.configuration)
    if not isinstance(document, dict):
        raise ValueError(f"{sources.configuration}: expected a mapping, as Alertmanager's file is")  # noqa: TRY004 - the file is wrong, not a type of this program
    misshapen = tuple(shape_problems(document))
    if misshapen:
        return misshapen
    texts: dict[str, str] = {}
    missing: list[str] = []
    for glob in document.get("templates") or ():
        found = _matching(sources.configuration.parent, str(glob))
        if not found:
            missing.append(str(glob))
        texts.update({path.name: path.read_text(encoding="utf-8") for path in found})
    given = LintInput(
        document, texts, tuple(missing), partial(_secret_problem, folder=sources.secrets)
    )
    problems = lint(given)
    if not sources.rule_folders:
        return problems
    return (*problems, *lint_inhibition(document, tuple(rules_in(sources.rule_folders))))


def rules_in(folders: Sequence[Path]) -> Iterator[AlertRule]:
    """Give every alerting rule of the YAML files below these folders."""
    for folder in folders:
        for path in sorted((*folder.rglob("*.yml"), *folder.rglob("*.yaml"))):
            yield from alert_rules(_read_yaml(path))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no YAML: {error}") from error


def _matching(base: Path, glob: str) -> list[Path]:
    """Return the files of a glob, relative to the configuration's folder as Alertmanager has it."""
    if glob.startswith("/"):
        return sorted(Path("/").glob(glob.removeprefix("/")))
    return sorted(base.glob(glob))


def _secret_problem(name: str, folder: Path | None) -> str | None:
    path = Path(name) if folder is None else folder / Path(name).name
    try:
        status = path.stat()
        text = path.read_bytes()[:_MAX_SECRET_BYTES]
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if not text.strip():
        return "is empty"
    if b"\n" in text.strip():
        return "has more than one line"
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return "can be read by everybody on this machine"
    return None
