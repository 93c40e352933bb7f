"""Mappings as the configuration spells them, checked and compiled where they stand. Pure."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from tapeline.otlp.signals import Signal
from tapeline.pipeline.loader import suggestion
from tapeline.signals.mapping_paths import MAX_STEPS, compile_expression, compile_time
from tapeline.signals.mappings import Condition, EventMapping, as_text
from tapeline.signals.reading import EVENT_NAMES
from tapeline.signals.records import EVENT_ATTRIBUTES

__all__ = ["MAX_MAPPINGS", "MappingConfig", "MappingFile", "MatchConfig", "attributes_of_event"]

MAX_MAPPINGS: Final = 500
MAX_CONDITIONS: Final = 50
MAX_NAMES: Final = 100
_SPAN_EVENTS_ONLY: Final = "`span` is for events of spans: signal: traces with an event_name"

_TRADED: Final = ("trading.account", "trading.strategy", "trading.sequence")
_QUOTED: Final = ("trading.instrument", "trading.venue", "trading.sequence")
_FURTHER: Final[dict[str, tuple[str, ...]]] = {
    "trading.order": (*_TRADED, *_QUOTED, "trading.side"),
    "trading.execution": (*_TRADED, *_QUOTED, "trading.side", "trading.order.id"),
    "trading.quote": _QUOTED,
    "trading.mark": _QUOTED,
    "trading.cash": _TRADED,
}


def attributes_of_event(event: str) -> frozenset[str]:
    """Return the attributes that an event is read from."""
    own = (name for name in EVENT_ATTRIBUTES if name.startswith(f"{event}."))
    return frozenset((*own, *_FURTHER[event]))


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | int | float) else value


def _key(key: str) -> str:
    if key.count(".") >= MAX_STEPS:
        raise ValueError(f"has more than {MAX_STEPS} parts")
    return key


def _expression(text: str) -> str:
    compile_expression(text)
    return text


def _time(text: str) -> str:
    compile_time(text)
    return text


def _event(name: str) -> str:
    if name not in EVENT_NAMES:
        raise ValueError(f"is no event{suggestion(name, sorted(EVENT_NAMES))}")
    return name


def _other_name(name: str) -> str:
    if name in EVENT_NAMES:
        raise ValueError("is an event by itself, and no mapping is asked about those; take it out")
    return name


_ONE_OR_A_LIST: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]
    }
)
Key = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_key)]
Scalar = Annotated[str, Field(min_length=1, max_length=1024)] | int | float | bool
Wanted = Annotated[
    tuple[Scalar, ...],
    Field(min_length=1, max_length=MAX_NAMES),
    BeforeValidator(_listed),
    _ONE_OR_A_LIST,
]
RecordName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_other_name)]
Names = Annotated[
    tuple[RecordName, ...],
    Field(max_length=MAX_NAMES),
    BeforeValidator(_listed),
    _ONE_OR_A_LIST,
]
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...],
    Field(max_length=MAX_NAMES),
    BeforeValidator(_listed),
    _ONE_OR_A_LIST,
]
Conditions = Annotated[dict[Key, Wanted], Field(max_length=MAX_CONDITIONS)]
ExpressionText = Annotated[str, AfterValidator(_expression)]
TimeText = Annotated[str, AfterValidator(_time)]


class MatchConfig(BaseModel):
    """Which records a mapping is for: those for which all conditions hold.

    A condition is a key and its value, or a list of values of which one has to be there. Values are
    compared as texts, in upper and lower case as they are: `5`, `true`, `order filled`. An empty
    text counts as absent. YAML reads yes, no, on and off as true and false: put them in quotes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # logs: log records. traces: spans; with event_name, events of spans.
    signal: Literal["logs", "traces"]

    # Attributes of the resource, and of the scope, whose name is `name` here.
    resource: Conditions = {}
    scope: Conditions = {}

    # A log's event name, or a span event's name. One or a list.
    event_name: Names = ()

    # The span's name; of a span event, that of its span. One or a list.
    span_name: Names = ()

    # Attributes of the record.
    attributes: Conditions = {}

    # Attributes of a span event's span.
    span: Conditions = {}

    # A log's body, as a text: what stands there once a collector has parsed a line of JSON and
    # made its message the body. One or a list.
    body: Texts = ()

    # Values in a log's body, which is a mapping, or a text with JSON of one.
    body_json: Conditions = {}


class MappingConfig(BaseModel):
    """How records with other names become events: the convention on the left, paths on the right.

    A path begins with body, attributes, scope, resource or, for span events, span; functions are
    lower, upper, abs, sign_to_side, scale(path, n), and const(text) for a fixed text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What it is called where refusals are counted.
    name: str = Field(min_length=1, max_length=64)

    match: MatchConfig

    # One of trading.order, trading.execution, trading.quote, trading.mark and trading.cash.
    event: Annotated[str, AfterValidator(_event)]

    # Where the event's time stands, in RFC 3339; as a number, epoch_s(path), epoch_ms, epoch_us or
    # epoch_ns. null: the record's own time.
    time: TimeText | None = None

    # Where ids stand in hexadecimal, if the record has none of its own.
    trace_id: ExpressionText | None = None
    span_id: ExpressionText | None = None

    # Attributes of the event. One without a field is looked up as in any record.
    fields: dict[str, ExpressionText] = Field(default={}, max_length=len(EVENT_ATTRIBUTES))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*_strange_fields(self), *_strange_matches(self), *_strange_paths(self)]
        if problems:
            raise ValidationError.from_exception_data("mapping", problems)
        return self

    def compiled(self) -> EventMapping:
        """Return the mapping in the form that is fast to apply."""
        match = self.match
        texts = self.expressions()
        return EventMapping(
            name=self.name,
            signal=Signal(match.signal),
            event=self.event,
            fields=tuple((name, compile_expression(text)) for name, text in self.fields.items()),
            time=None if self.time is None else compile_time(self.time),
            trace_id=None if self.trace_id is None else compile_expression(self.trace_id),
            span_id=None if self.span_id is None else compile_expression(self.span_id),
            resource=_conditions(match.resource),
            scope=_conditions(match.scope),
            event_names=frozenset(match.event_name),
            span_names=frozenset(match.span_name),
            attributes=_conditions(match.attributes),
            span=_conditions(match.span),
            bodies=frozenset(match.body),
            body=_conditions(match.body_json),
            reads_body=any("body" in text for text in texts.values()),
        )

    def expressions(self) -> dict[tuple[str, ...], str]:
        """Return all right sides by where they stand."""
        single = {("time",): self.time, ("trace_id",): self.trace_id, ("span_id",): self.span_id}
        return {
            **{path: text for path, text in single.items() if text is not None},
            **{("fields", name): text for name, text in self.fields.items()},
        }


def _conditions(conditions: dict[str, tuple[Scalar, ...]]) -> tuple[Condition, ...]:
    return tuple(
        Condition(key, frozenset(str(as_text(value)) for value in wanted))
        for key, wanted in conditions.items()
    )


def _strange_fields(mapping: MappingConfig) -> Iterator[InitErrorDetails]:
    known = attributes_of_event(mapping.event)
    for name in mapping.fields:
        if name not in known:
            message = f"is no attribute of {mapping.event}{suggestion(name, sorted(known))}"
            yield _problem(("fields", name), message, name)


def _strange_matches(mapping: MappingConfig) -> Iterator[InitErrorDetails]:
    match = mapping.match
    conditions = match.model_dump(exclude={"signal"})
    if not any(conditions.values()):
        yield _problem(("match",), f"matches all {match.signal}: add a condition", match.signal)
    if match.signal == "logs" and match.span_name:
        message = "logs have no span name; write signal: traces, or take it out"
        yield _problem(("match", "span_name"), message, list(match.span_name))
    if match.span and not _is_of_span_events(match):
        yield _problem(("match", "span"), _SPAN_EVENTS_ONLY, match.span)
    for name, asked in (("body", list(match.body)), ("body_json", match.body_json)):
        if match.signal == "traces" and asked:
            message = "spans have no body; write signal: logs, or take it out"
            yield _problem(("match", name), message, asked)


def _strange_paths(mapping: MappingConfig) -> Iterator[InitErrorDetails]:
    match = mapping.match
    for path, text in mapping.expressions().items():
        if match.signal == "traces" and _begins(text, "body"):
            yield _problem(path, "spans have no body", text)
        if not _is_of_span_events(match) and _begins(text, "span."):
            yield _problem(path, _SPAN_EVENTS_ONLY, text)


def _is_of_span_events(match: MatchConfig) -> bool:
    return match.signal == "traces" and bool(match.event_name)


def _begins(text: str, root: str) -> bool:
    """Say whether the path of an expression begins so; a constant has no path."""
    inner = text.rpartition("(")[2].strip()
    return inner.startswith(root) and not text.strip().startswith("const(")


def _problem(path: tuple[str, ...], message: str, given: object) -> InitErrorDetails:
    error = PydanticCustomError("value_error", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=path, input=given)


class MappingFile(BaseModel):
    """A file of mappings, as those in config/mappings/."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # In the form of signals.mappings.
    mappings: tuple[MappingConfig, ...] = Field(max_length=MAX_MAPPINGS)
