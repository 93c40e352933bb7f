"""The decorator: what it reads from a signature, and how it refuses what can't work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from kit_records import built, factory_of, logs, records_of
from tapeline.kit import DataPoint, DefinitionError, Derive, LogRecord, Record, Span, processor
from tapeline.otlp.signals import Signal


@dataclass(frozen=True)
class Venues:
    """Settings as a dataclass."""

    names: dict[str, str]
    default: str = "unknown"
    extra: tuple[str, ...] = field(default_factory=tuple)


class Limits(BaseModel):
    """Settings as a pydantic model."""

    price: float = Field(default=1.0, gt=0)


def test_the_annotation_tells_the_signals() -> None:
    """One kind of record, several, or any with `signals=`."""

    @processor(name="a")
    def of_logs(record: LogRecord) -> None:
        del record

    @processor(name="b")
    def of_two(record: LogRecord | Span) -> None:
        del record

    @processor(name="c")
    class OfPoints:
        def process(self, record: DataPoint) -> None:
            del record

    @processor(name="d", signals=["logs", "metrics"])
    def of_any(record: Record) -> None:
        del record

    @processor(name="e", signals="traces")
    def unannotated(record):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - as users write
        del record

    found = [factory_of(each).signals for each in (of_logs, of_two, OfPoints, of_any, unannotated)]
    assert found == [
        {Signal.LOGS},
        {Signal.LOGS, Signal.TRACES},
        {Signal.METRICS},
        {Signal.LOGS, Signal.METRICS},
        {Signal.TRACES},
    ]


def test_what_is_decorated_stays_what_it_is() -> None:
    """So that it can be called, and tested, by itself."""

    def plain(record: LogRecord) -> None:
        record.drop()

    assert processor(name="a")(plain) is plain


def test_settings_are_a_section_with_the_common_keys() -> None:
    """A dataclass arrives as itself, a model too; unknown keys are mistakes."""
    seen: list[object] = []

    @processor(name="a")
    def with_dataclass(record: LogRecord, settings: Venues) -> None:
        seen.append((record.body_text, settings))

    @processor(name="b")
    class WithModel:
        def __init__(self, limits: Limits) -> None:
            self.limits = limits

        def process(self, record: LogRecord) -> None:
            del record
            seen.append(self.limits.price)

    for definition, section in ((with_dataclass, {"names": {"x": "y"}}), (WithModel, {"price": 2})):
        built(definition, **section).process(logs("body"), 1)
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            factory_of(definition).config_model.model_validate({**section, "nmes": 1})

    assert seen == [("body", Venues({"x": "y"})), 2.0]
    with pytest.raises(ValidationError, match="Field required"):
        factory_of(with_dataclass).config_model.model_validate({})
    with pytest.raises(ValidationError, match="greater than 0"):
        factory_of(WithModel).config_model.model_validate({"price": 0})


def test_a_processor_that_protects_may_not_pass_what_it_failed_on() -> None:
    """The other policies keep its promise."""

    @processor(name="mask", protects=True)
    def mask(record: LogRecord) -> None:
        record.body = "***"

    model = factory_of(mask).config_model
    with pytest.raises(ValidationError, match="this processor protects"):
        model.model_validate({"on_failure": "pass"})
    for policy in ("refuse", "drop"):
        assert model.model_validate({"on_failure": policy}).model_dump()["on_failure"] == policy


def of_nothing() -> None:
    """Take no record."""


def of_three(record: LogRecord, settings: Limits, more: int) -> None:
    """Take too much."""
    del record, settings, more


def of_text(record: str) -> None:
    """Take what is no record."""
    del record


def unannotated(record):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - as users write
    """Say nothing of what it takes."""
    del record


def returning(record: LogRecord) -> bool:
    """Answer, where nobody listens."""
    return record.is_changed


async def asynchronous(record: LogRecord) -> None:
    """Do nothing when it is called."""
    del record


def yielding(record: LogRecord) -> Iterator[LogRecord]:
    """Do nothing when it is called, either."""
    yield record


def with_text_settings(record: LogRecord, settings: str) -> None:
    """Ask for settings that are no section."""
    del record, settings


def by_keyword(record: LogRecord, *, settings: Limits) -> None:
    """Take its settings by keyword only."""
    del record, settings


def of_unknown_type(record: "Recrod") -> None:  # type: ignore[name-defined] # noqa: F821 - the mistake
    """Name a type that there is none of."""
    del record


class WithoutProcess:
    """A class that can do nothing."""


class WithBadTick:
    """A class whose tick would fail."""

    def process(self, record: LogRecord) -> None:
        """Do nothing."""
        del record

    def tick(self) -> None:
        """Miss its arguments."""


class WithManyArguments:
    """A class that can't be made."""

    def __init__(self, one: Limits, two: Limits) -> None:
        del one, two

    def process(self, record: LogRecord) -> None:
        """Do nothing."""
        del record


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (of_nothing, r"`def x\(record: LogRecord\) -> None`; it has 0 parameters"),
        (of_three, "it has 3 parameters"),
        (of_text, "the record's annotation must be LogRecord, Span or DataPoint"),
        (unannotated, "say which records it takes by an annotation"),
        (returning, r"returns nothing \(`-> None`\): change the record, or call `record.drop\(\)`"),
        (asynchronous, "an async function or one with `yield` does nothing"),
        (yielding, "an async function or one with `yield` does nothing"),
        (with_text_settings, "the annotation of 'settings' must be a pydantic model"),
        (by_keyword, "write 'settings' as a plain parameter"),
        (of_unknown_type, "annotations can't be read: name 'Recrod' is not defined"),
        (WithoutProcess, r"needs a method `process\(self, record\)`"),
        (WithBadTick, r"`def tick\(self, now_unix_nano: int, derive: Derive\) -> None`"),
        (WithManyArguments, "takes nothing but its settings"),
    ],
)
def test_what_can_not_work_is_refused_when_it_is_defined(
    definition: Callable[..., Any], said: str
) -> None:
    """The message says what to write instead."""
    with pytest.raises(DefinitionError, match=said):
        processor(name="x")(definition)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "My-Filter"}, "can't be a key of the configuration"),
        ({"name": ""}, "can't be a key of the configuration"),
        ({"name": "x", "signals": "log"}, "signals= takes logs, traces and metrics"),
        ({"name": "x", "signals": []}, "signals= takes logs, traces and metrics"),
        ({"name": "x", "signals": "traces"}, "differ; leave one out"),
        ({"name": "x", "containing": ["a", ""]}, "none empty"),
        ({"name": "x", "containing": ["a"] * 101}, "1 to 100 texts"),
    ],
)
def test_options_that_can_not_be_are_refused(options: dict[str, Any], said: str) -> None:
    """So that a misspelt one does not mean something else."""

    def plain(record: LogRecord) -> None:
        del record

    with pytest.raises(DefinitionError, match=said):
        processor(**options)(plain)


def test_settings_may_not_take_a_common_key() -> None:
    """Nobody would know which is meant."""

    class Colliding(BaseModel):
        on_failure: str = ""

    def plain(record: LogRecord, settings: Colliding) -> None:
        del record, settings

    # The annotation is a name of this function, which `get_type_hints` does not see.
    plain.__annotations__["settings"] = Colliding
    with pytest.raises(TypeError, match="a field 'on_failure', but that key is common"):
        processor(name="x")(plain)


def test_a_class_keeps_state_from_record_to_record() -> None:
    """One object for each chain."""

    @processor(name="numbered")
    class Numbered:
        def __init__(self) -> None:
            self.count = 0

        def process(self, record: LogRecord) -> None:
            self.count += 1
            record.attributes["number"] = self.count

        def tick(self, now_unix_nano: int, derive: Derive) -> None:
            del now_unix_nano
            derive.gauge("numbered", self.count)

    step = built(Numbered)
    first, second = (step.process(logs("a", "b"), 1).batch for _ in range(2))
    assert first is not None
    assert second is not None
    numbers = [
        record.attributes[0].value.int_value
        for batch in (first, second)
        for record in records_of(batch)
    ]
    assert numbers == [1, 2, 3, 4]
