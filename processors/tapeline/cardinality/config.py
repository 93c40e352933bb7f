"""The `cardinality` section of the configuration."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from tapeline.cardinality.globs import check_glob, covers
from tapeline.cardinality.normalise import (
    MAX_PATTERNS,
    Named,
    Normaliser,
    OwnPattern,
    compile_pattern,
)
from tapeline.pipeline.durations import Duration

__all__ = [
    "OTHER",
    "OVERFLOW_ATTRIBUTE",
    "SPAN_NAME",
    "CardinalityConfig",
    "GaugePolicy",
    "LabelConfig",
    "LabelPolicy",
    "LogsConfig",
    "Mode",
    "PatternConfig",
    "ProtectConfig",
    "ResourceRuleConfig",
    "RuleConfig",
    "SeriesPolicy",
    "SpanLabelConfig",
    "SummaryPolicy",
    "TenantsConfig",
    "TracesConfig",
    "normaliser_of",
]

OTHER: Final = "__other__"
"""What stands in place of a value beyond a limit."""
SPAN_NAME: Final = "span.name"
"""The label of span names, as span metrics name that dimension."""
OVERFLOW_ATTRIBUTE: Final = "otel.metric.overflow"
"""OpenTelemetry specification, metrics SDK, "Cardinality limits": the only attribute, and true."""

MAX_RULES: Final = 500
MAX_NAMES: Final = 1000
MAX_LIMIT: Final = 10_000_000


class Mode(StrEnum):
    """What is done beyond a limit."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class SeriesPolicy(StrEnum):
    """What becomes of a series beyond a limit on series."""

    OVERFLOW = "overflow"
    DROP_SERIES = "drop_series"


class LabelPolicy(StrEnum):
    """What becomes of a series with a value beyond its label's limit."""

    OVERFLOW = "overflow"
    REPLACE_VALUE = "replace_value"
    DROP_LABEL = "drop_label"
    DROP_SERIES = "drop_series"


class GaugePolicy(StrEnum):
    """How gauges become one."""

    LAST = "last"
    MIN = "min"
    MAX = "max"
    SUM = "sum"


class SummaryPolicy(StrEnum):
    """What becomes of summaries beyond a limit: quantiles can't be merged."""

    PASS = "pass"  # noqa: S105 - a policy's name
    COUNT_SUM = "count_sum"


def _glob(pattern: str) -> str:
    check_glob(pattern)
    return pattern


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _not_empty(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError('matches nothing; name a metric, or write "*" for all of them')
    return patterns


def _attribute(name: str) -> str:
    if name == OVERFLOW_ATTRIBUTE:
        raise ValueError(f"{name} marks overflow series, so it can't be limited or rewritten")
    return name


def _span_attribute(name: str) -> str:
    if name == SPAN_NAME:
        raise ValueError(f"{SPAN_NAME} is the name of the span, which `span_names` limits")
    return name


Glob = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_glob)]
_ONE_OR_A_LIST: Final = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
Globs = Annotated[
    tuple[Glob, ...],
    Field(max_length=MAX_NAMES),
    BeforeValidator(_listed),
    AfterValidator(_not_empty),
    _ONE_OR_A_LIST,
]
AttributeName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_attribute)]
SpanAttribute = Annotated[AttributeName, AfterValidator(_span_attribute)]
Value = Annotated[str, Field(min_length=1, max_length=1024)]
TenantName = Annotated[str, Field(min_length=1, max_length=256)]
Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT)]
Positive = Annotated[int, Field(ge=1, le=MAX_LIMIT)]


def _compiles(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


class PatternConfig(BaseModel):
    """A pattern of your own, and the name of what it stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # RE2 syntax. It is searched for in the whole value, and must not match the empty text.
    pattern: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_compiles)]

    # The placeholder's name: `order` puts `{order}` in place of what matches.
    name: str = Field(alias="with", pattern=r"^[a-z][a-z_]{0,31}$")


def _kind(pattern: object) -> str:
    return "own" if isinstance(pattern, dict | PatternConfig) else "built_in"


Pattern = Annotated[
    Annotated[Named, Tag("built_in")] | Annotated[PatternConfig, Tag("own")],
    Discriminator(_kind),
]


def normaliser_of(patterns: tuple[Named | PatternConfig, ...]) -> Normaliser | None:
    """Return the normaliser of a label's patterns, None of none; raises ValueError."""
    if not patterns:
        return None
    return Normaliser(
        [
            OwnPattern(pattern.pattern, pattern.name)
            if isinstance(pattern, PatternConfig)
            else pattern
            for pattern in patterns
        ]
    )


def _fit_together(patterns: tuple[Named | PatternConfig, ...]) -> Any:
    normaliser_of(patterns)
    return patterns


Patterns = Annotated[
    tuple[Pattern, ...], Field(max_length=MAX_PATTERNS), AfterValidator(_fit_together)
]


class LabelConfig(BaseModel):
    """The limit on one label's values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Distinct values of each metric, over all its series. 0: no value is admitted, which with
    # drop_label takes the label out of every series.
    limit: Limit

    # overflow: the series goes to the metric's overflow series. replace_value: the value becomes
    # `__other__`. drop_label: the series goes on without the label. drop_series: it is dropped.
    policy: LabelPolicy = LabelPolicy.OVERFLOW


class ResourceRuleConfig(BaseModel):
    """Resource attributes that count as labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Limits by attribute. With `overflow` the series goes to the overflow series of a resource
    # with nothing but service.name.
    labels: dict[AttributeName, LabelConfig] = Field(default={}, max_length=MAX_NAMES)

    # Patterns by attribute, as those of the rule.
    normalize: dict[AttributeName, Patterns] = Field(default={}, max_length=MAX_NAMES)


class RuleConfig(BaseModel):
    """What holds for the metrics that a rule matches. Of all the rules the first that does counts.

    Whatever the pattern, every metric has limits of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Metric names, as services send them (before Prometheus puts `_` for `.`): one or a list, with
    # `*` for any text, `?` for any character and `[ab]` for one of some.
    match: Globs

    # Series of each metric. null: default_limit. 0: none, all go to the overflow series.
    limit: Limit | None = None

    # Beyond it. overflow: they become one series with otel.metric.overflow=true alone. drop_series:
    # they are dropped, and counted.
    policy: SeriesPolicy = SeriesPolicy.OVERFLOW

    # What series that become one show, where they are gauges: the last value, or the min, max or
    # sum of those seen within gauge_window.
    gauge: GaugePolicy = GaugePolicy.LAST

    # Summaries that would have to become one. count_sum: they are summed up, without their
    # quantiles. pass: they are left as they are beyond the limit too, which bounds nothing.
    summary: SummaryPolicy = SummaryPolicy.COUNT_SUM

    # Limits on values, by label (attribute of the data points).
    labels: dict[AttributeName, LabelConfig] = Field(default={}, max_length=MAX_NAMES)

    # What is rewritten before anything is counted, by label: patterns of your own, which go first,
    # {pattern: "ORD-[0-9]+", with: order}, and uuid, hex and number, in this order.
    normalize: dict[AttributeName, Patterns] = Field(default={}, max_length=MAX_NAMES)

    # The same for attributes of the resource.
    resource: ResourceRuleConfig = ResourceRuleConfig()


class ProtectConfig(BaseModel):
    """What always passes. It counts, but no limit refuses it, so keep it few."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Metrics by name, one or a list, in the form of a rule's `match`. Of the rule that matches such
    # a metric only `normalize` holds.
    metrics: Annotated[
        tuple[Glob, ...], Field(max_length=MAX_NAMES), BeforeValidator(_listed), _ONE_OR_A_LIST
    ] = ()

    # Values by label, in full: {venue: [binance, coinbase]}. No limit, on series or on a label,
    # refuses a series that has one. Other labels of it may then have any number of values:
    # normalize them where they may hold ids. Attributes of logs and spans pass by it, too.
    labels: dict[AttributeName, tuple[Value, ...]] = Field(default={}, max_length=MAX_NAMES)


class TenantsConfig(BaseModel):
    """Limits by the value of `tenant_by`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Series of each tenant that `limits` does not name, over all its metrics. null: no limit.
    default_limit: Limit | None = None

    # Series of a tenant, by its name.
    limits: dict[TenantName, Limit] = Field(default={}, max_length=MAX_NAMES)


class SpanLabelConfig(BaseModel):
    """The limit on a text that becomes an index entry or a label, and what is rewritten in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Distinct values. Those beyond become `__other__`. 0: all do.
    limit: Limit

    # Patterns, as those of a rule. Empty: nothing is rewritten.
    normalize: Patterns = ()


class LogsConfig(BaseModel):
    """Loki's index labels: resource attributes that its `otlp_config` promotes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # By attribute. The default has what config/loki/loki.yaml promotes: keep the two alike.
    labels: dict[AttributeName, SpanLabelConfig] = Field(
        default={
            "service.name": SpanLabelConfig(limit=1000),
            "service.namespace": SpanLabelConfig(limit=200),
            "deployment.environment.name": SpanLabelConfig(limit=100),
            "log.class": SpanLabelConfig(limit=100),
        },
        max_length=MAX_NAMES,
    )


class TracesConfig(BaseModel):
    """Names of spans, and what span metrics take as dimensions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Names of each service (service.name). null: they are not looked at.
    span_names: SpanLabelConfig | None = SpanLabelConfig(limit=2000)

    # Attributes by name, each with values of each service: what the `dimensions` of the collector's
    # span_metrics name. Like that one, it holds for the resource's too, over all services.
    attributes: dict[SpanAttribute, SpanLabelConfig] = Field(default={}, max_length=MAX_NAMES)


class CardinalityConfig(BaseModel):
    """How many series and label values there may be, and what happens beyond."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # `enforce` folds what is beyond a limit. `observe` counts it and changes nothing.
    mode: Mode = Mode.ENFORCE

    # Series of each metric that no rule gives another limit, over all its resources; those that
    # Tapeline itself makes are not counted. 0: none. 2000 is the default of OpenTelemetry's SDKs.
    default_limit: Limit = 2000

    # Series of all metrics together; each worker has its part of it.
    global_limit: Positive = 500_000

    # A series or value not seen for so long, up to a quarter longer, gives its place back.
    idle_ttl: Duration = Field(default=3600.0, ge=60)

    # How long a producer (a metric of a resource and scope) must have been seen before a series
    # that begins late adds its first value in full, though it says that it started before.
    warmup: Duration = Field(default=120.0, ge=0)

    # true: never add such a first value. Sums are then never too high, and lower after a start.
    strict: bool = False

    # Points that are further ahead of the clock are refused. 0: none may be ahead.
    future_tolerance: Duration = Field(default=300.0, ge=0)

    # How long a gauge's value counts for the min, max or sum of several.
    gauge_window: Duration = Field(default=300.0, gt=0)

    # Resources that series are kept apart by. What comes of further ones goes to the overflow
    # series of one resource with nothing but service.name.
    max_resources: Positive = 10_000

    # Series beyond limits whose last value is remembered, to add differences. Where there are
    # more, the ones idle for longest go.
    max_folded_streams: Positive = 200_000

    # Admitted values of all labels together. A label that would need more has no room.
    max_label_values: Positive = 200_000

    # The resource attribute that names whom series belong to.
    tenant_by: AttributeName = "service.name"

    # Limits on the series of each.
    tenants: TenantsConfig = TenantsConfig()

    # Rules by metric. The first that matches a metric's name counts, alone.
    metrics: tuple[RuleConfig, ...] = Field(default=(), max_length=MAX_RULES)

    # What always passes.
    protect: ProtectConfig = ProtectConfig()

    # Index labels of logs; names and attributes of spans.
    logs: LogsConfig = LogsConfig()
    traces: TracesConfig = TracesConfig()

    # A file that the state is kept in over restarts; worker i adds `.i` to its name. null: none,
    # so after a start every sum begins anew.
    state: Path | None = None

    # How often it is written, besides at shutdown.
    snapshot_period: Duration = Field(default=60.0, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*_unreachable(self), *_beyond_global_limit(self), *_never_protected(self)]
        if problems:
            raise ValidationError.from_exception_data("cardinality", problems)
        return self


def _unreachable(config: CardinalityConfig) -> Iterator[InitErrorDetails]:
    """Find patterns of which nothing is left when their turn comes."""
    before: list[tuple[str, str]] = []
    for number, rule in enumerate(config.metrics):
        rewrites = bool(rule.normalize or rule.resource.normalize)
        guards = () if rewrites else config.protect.metrics
        for place, pattern in enumerate(rule.match):
            earlier = next((pair for pair in before if covers(pair[1], pattern)), None)
            guard = next((guard for guard in guards if covers(guard, pattern)), None)
            path = ("metrics", number, "match", place)
            if earlier is not None:
                message = (
                    f"never applies: {earlier[0]} ({earlier[1]!r}) matches all of it first; put the"
                    " narrower rule before it, or take one of the two out"
                )
                yield _problem(path, message, pattern)
            elif guard is not None:
                message = (
                    f"never applies: protect.metrics has {guard!r}, and no limit holds for what is"
                    " protected; take one of the two out"
                )
                yield _problem(path, message, pattern)
        before.extend((f"metrics[{number}]", pattern) for pattern in rule.match)


def _beyond_global_limit(config: CardinalityConfig) -> Iterator[InitErrorDetails]:
    """Find limits that can't be reached."""
    rules = enumerate(config.metrics)
    limits: dict[tuple[str | int, ...], int | None] = {
        **{("metrics", number, "limit"): rule.limit for number, rule in rules},
        ("tenants", "default_limit"): config.tenants.default_limit,
        **{("tenants", "limits", name): own for name, own in config.tenants.limits.items()},
    }
    for path, limit in limits.items():
        if limit is not None and limit > config.global_limit:
            message = (
                f"can't be reached, since global_limit is {config.global_limit}: raise that one, or"
                " lower this one"
            )
            yield _problem(path, message, limit)


def _never_protected(config: CardinalityConfig) -> Iterator[InitErrorDetails]:
    """Find protected values that can't occur, or stand for what protection is from."""
    for label, values in config.protect.labels.items():
        for place, value in enumerate(values):
            path = ("protect", "labels", label, place)
            if value == OTHER:
                message = (
                    "stands for values beyond a limit, and protection is from that; take it out"
                )
                yield _problem(path, message, value)
            for number, rule in enumerate(config.metrics):
                normaliser = normaliser_of(rule.normalize.get(label, ()))
                result = value if normaliser is None else normaliser.rewrite(value)
                if result != value:
                    message = (
                        f"does not occur: normalize of metrics[{number}] makes {result!r} of it;"
                        " protect that, or take one of the two out"
                    )
                    yield _problem(path, message, value)


def _problem(path: tuple[str | int, ...], message: str, given: object) -> InitErrorDetails:
    # The braces of placeholders would be taken for a template's.
    error = PydanticCustomError("value_error", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=path, input=given)
