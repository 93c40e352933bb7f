"""The form of a `*.test.yaml`: tests of a configuration, written beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tapeline.pipeline.durations import Duration
from tapeline.pipeline.loader import ConfigError, Document, read_document, validate_document
from tapeline.pipeline.time_text import unix_nano_from_iso
from tapeline.testing.matching import BadExpectationError, check_expectation

__all__ = [
    "SUFFIX",
    "Case",
    "CaseFile",
    "Expect",
    "GivenItem",
    "ReadFile",
    "file_schema",
    "read_cases",
]

SUFFIX: Final = ".test.yaml"
_MAX_CASES: Final = 10_000

KeyPath = tuple[str | int, ...]


def _moment(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-01-01T00:00:00Z")  # noqa: TRY004 - pydantic reports only these.
    return unix_nano_from_iso(value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenItem(_Part):
    """One thing that happens: a record, a recording, or time that passes. One key of these."""

    # Fields of the record, as goldens show them; at: 5s is a time since the start.
    log: dict[str, Any] | None = None
    span: dict[str, Any] | None = None
    # A metric with the fields of one point.
    metric: dict[str, Any] | None = None
    # A recording's file, from the test file's folder.
    recording: str | None = None
    # So long nothing comes; processors tick once a second.
    wait: Duration | None = None

    @model_validator(mode="after")
    def _has_one(self) -> "GivenItem":
        if len(self.model_fields_set) != 1:
            raise ValueError("must be one of log, span, metric, recording and wait")
        return self


class Expect(_Part):
    """What must come out; what is not said here must not, unless `others` allows it."""

    # Partial matches: each must be a record of its own. Operators: $regex, $absent, $any and so on.
    logs: list[dict[str, Any]] = Field(default_factory=list)
    spans: list[dict[str, Any]] = Field(default_factory=list)
    # Series: a metric's name, attributes, and the value that its points make.
    metrics: list[dict[str, Any]] = Field(default_factory=list)
    # Whether records may come out that nothing above matches.
    others: Literal["allowed", "refused"] = "refused"
    # How many records (of metrics: series) come out. An operator may stand for a number.
    counts: dict[Literal["logs", "spans", "metrics"], Any] = Field(default_factory=dict)
    # What processors counted: {'tapeline_redaction_hits_total{rule="password"}': 1}
    audit: dict[str, Any] = Field(default_factory=dict)
    # Parts of the reasons for which batches are refused, one each.
    refused: list[str] = Field(default_factory=list)
    # Texts that must not come out in any spelling; true: nothing that the built-in rules find.
    no_secret: bool | list[Annotated[str, Field(min_length=4)]] = False


class Case(_Part):
    """One test."""

    name: str = Field(min_length=1)
    given: list[GivenItem] = Field(min_length=1)
    expect: Expect


class CaseFile(_Part):
    """A file of tests."""

    # The configuration: a file, from the test file's folder, or its content. Without it, that of
    # the same name: gate.yaml of gate.test.yaml.
    config: str | dict[str, Any] | None = None
    # Variables that the configuration's ${env:NAME} see besides those of the environment.
    environment: dict[str, str] = Field(default_factory=dict)
    # What the clock shows at first.
    start: Annotated[int, BeforeValidator(_moment, json_schema_input_type=str)] = (
        1_767_225_600_000_000_000
    )
    # Attributes that the resources of all given records have, if they don't say otherwise.
    resource: dict[str, Any] = Field(default_factory=dict)
    tests: list[Case] = Field(min_length=1, max_length=_MAX_CASES)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file of tests with its lines."""

    path: Path
    document: Document
    content: CaseFile

    def place(self, *keys: str | int) -> str:
        """Return `file:line` of a key."""
        return self.document.place(keys)

    @property
    def config(self) -> Path | dict[str, Any]:
        """The configuration that is tested."""
        given = self.content.config
        if isinstance(given, dict):
            return given
        name = self.path.name.removesuffix(SUFFIX) + ".yaml" if given is None else given
        return self.path.parent / name


def read_cases(path: Path) -> ReadFile:
    """Read a file of tests; raises ConfigError with every problem in it, each with its line."""
    document = read_document(path, {}, as_written=True)
    content = validate_document(document, CaseFile)
    problems = []
    for number, case in enumerate(content.tests):
        for keys, expected in _expectations(case.expect):
            try:
                check_expectation(expected)
            except BadExpectationError as error:
                place = document.place(("tests", number, "expect", *keys, *error.path))
                problems.append(f"{place}: {error}")
    if problems:
        raise ConfigError(problems)
    return ReadFile(path, document, content)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of such a file."""
    schema = CaseFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _expectations(expect: Expect) -> list[tuple[KeyPath, Any]]:
    found: list[tuple[KeyPath, Any]] = []
    for section in ("logs", "spans", "metrics"):
        items: list[Any] = getattr(expect, section)
        found += [((section, number), item) for number, item in enumerate(items)]
    found += [(("counts", key), value) for key, value in expect.counts.items()]
    found += [(("audit", key), value) for key, value in expect.audit.items()]
    return found
