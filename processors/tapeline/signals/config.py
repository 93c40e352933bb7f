"""The `signals` section of the configuration."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from tapeline.pipeline.durations import Duration
from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.decimals import NumberFault, number
from tapeline.signals.engine_settings import EngineSettings, Limits
from tapeline.signals.instruments import Account, Instrument, Instruments
from tapeline.signals.mapping_config import MAX_MAPPINGS, MappingConfig
from tapeline.signals.reading import MAX_TEXT_LENGTH

__all__ = [
    "AccountConfig",
    "InstrumentConfig",
    "InstrumentFile",
    "LimitsConfig",
    "PairConfig",
    "RiskConfig",
    "SignalsConfig",
    "engine_settings",
]

MAX_INSTRUMENTS: Final = 20_000
"""The loader takes 100,000 values of a file."""
MAX_ACCOUNTS: Final = 10_000
MAX_PAIRS: Final = 1000
MAX_HORIZONS: Final = 20
MAX_FILES: Final = 100
_SECOND_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400.0
_TRACE_URL: Final = re.compile(r"https?://[!#-&(-;=?-~]{1,2000}")
"""Any ASCII that is printed, but for quotes and brackets of HTML."""
_NUMBER_WORDS: Final = {
    NumberFault.NOT_A_NUMBER: "is no number",
    NumberFault.NOT_FINITE: "is not finite",
    NumberFault.TOO_MANY_DIGITS: "has more than 34 digits",
    NumberFault.OUT_OF_RANGE: "is 1e24 or more, or too near to 0",
}


def _number(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    result = number(value)
    if isinstance(result, NumberFault):
        raise ValueError(f"{_NUMBER_WORDS[result]}; write it in digits, as 0.001")  # noqa: TRY004 - pydantic reads ValueErrors
    return result


def _state(url: str) -> str:
    if "\0" in url:
        raise ValueError("has a zero byte in it")
    # As other programs spell them; here they would be names of files.
    if url.startswith("sqlite:///") and (":memory:" in url or "?" in url):
        raise ValueError("takes no parameters: write sqlite:///PATH, or memory for no file at all")
    if url == "memory" or url.startswith(("postgresql://", "postgres://")):
        return url
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return url
    raise ValueError("must be sqlite:///PATH, postgresql://… or memory")


def _whole(seconds: float) -> float:
    if not seconds * _SECOND_NS >= 1:
        raise ValueError("is shorter than a nanosecond")
    return seconds


def _or_a_file(schema: dict[str, Any]) -> None:
    """Let a schema take a file's name, too."""
    own = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, own]


def _trace_url(url: str) -> str:
    """Make sure that a trace's address is one, and has a place for the id."""
    if not _TRACE_URL.fullmatch(url):
        raise ValueError("begins with http:// or https:// and has neither blanks nor quotes")
    if url.count("{trace_id}") != 1 or "{" in url.replace("{trace_id}", ""):
        raise ValueError("has {trace_id} once, and no other braces")
    return url


Exact = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": ["string", "number"]})]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
Currency = Annotated[str, Field(min_length=1, max_length=32)]
Horizon = Annotated[Duration, Field(gt=0, le=_DAY_S), AfterValidator(_whole)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]


class InstrumentConfig(BaseModel):
    """How quantity and price of an instrument make money."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # linear: worth quantity · multiplier · price, in the quote currency. inverse: quantity ·
    # multiplier / price, in the settlement currency.
    kind: Literal["linear", "inverse"] = "linear"

    # What one contract is of the underlying; above 0.
    multiplier: Exact = Decimal(1)

    # What is bought and sold, as the BTC of BTCUSDT. null: unknown.
    base_currency: Currency | None = None

    # What prices are in, as the USDT of BTCUSDT. null: unknown.
    quote_currency: Currency | None = None

    # What profit is paid in, where no quote currency says so. null: the account's base currency.
    settlement_currency: Currency | None = None

    # Whether prices may be 0 or less, as those of power and spreads. Never of inverse ones.
    negative_prices: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.instrument()
        return self

    def instrument(self) -> Instrument:
        """Return it as the engine has it; raises ValueError where it makes no sense."""
        return Instrument(
            is_inverse=self.kind == "inverse",
            multiplier=self.multiplier,
            base_currency=self.base_currency or "",
            quote_currency=self.quote_currency or "",
            settlement_currency=self.settlement_currency or "",
            allows_negative_prices=self.negative_prices,
        )


class InstrumentFile(BaseModel):
    """A file of instruments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # In the form of signals.instruments.
    instruments: dict[Text, InstrumentConfig] = Field(max_length=MAX_INSTRUMENTS)


class AccountConfig(BaseModel):
    """What an account is counted in, and what it began with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The currency of its portfolio and risk figures.
    base_currency: Currency = "USD"

    # Equity before the first event, in that currency.
    starting_equity: Exact = Decimal(0)


class PairConfig(BaseModel):
    """An instrument whose price converts one currency into another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # One unit of `base` costs its price in `quote`.
    instrument: Text
    base: Currency
    quote: Currency

    # The venue whose quotes count. null: those without a venue.
    venue: Text | None = None

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if self.base == self.quote:
            raise ValueError(f"has {self.base} on both sides")
        return self


class RiskConfig(BaseModel):
    """The returns that risk figures are made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Periods are multiples of it since 1970-01-01 00:00 UTC.
    period: Duration = Field(default=_DAY_S, ge=1, le=366 * _DAY_S)

    # What Sharpe, Sortino and Calmar are scaled by. null: 365 days divided by the period.
    periods_per_year: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class LimitsConfig(BaseModel):
    """How much is kept at most, in each worker; what finds no room is counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Executions in the revision window.
    executions: Count = Limits().executions
    # Corrections and busts that wait for what they refer to.
    parked: Count = Limits().parked
    orders: Count = Limits().orders
    # By account, strategy and instrument.
    positions: Count = Limits().positions
    accounts: Count = Limits().accounts
    instruments: Count = Limits().instruments
    # Quotes that are remembered for moments to come.
    quotes: Count = Limits().quotes
    # Executions that wait for a horizon.
    waiting: Count = Limits().waiting
    # Events that wait for the watermark.
    pending: Count = Limits().pending
    # Histograms and sums.
    series: Count = Limits().series


class SignalsConfig(BaseModel):
    """Slippage, positions, P&L and risk out of trading events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Where the state is kept: sqlite:///PATH (worker i adds -i to the name), postgresql://…, or
    # memory, which no restart survives.
    state: Annotated[str, AfterValidator(_state)] = "sqlite:///signals.db"

    # How often figures are sent out.
    period: Duration = Field(default=5.0, ge=0.1, le=3600)

    # How much later than the latest event one may arrive and change nothing that was sampled.
    max_lateness: Duration = Field(default=5.0, ge=0, le=_DAY_S)

    # Without input for so long, time goes on by the clock.
    idle_timeout: Duration = Field(default=30.0, gt=0, le=_DAY_S)

    # The oldest quote that is still a price.
    max_quote_age: Duration = Field(default=60.0, gt=0)

    # The oldest mark that positions are valued at. null: any.
    max_mark_age: Annotated[Duration, Field(gt=0)] | None = None

    # How long after its close an order's shortfall is sampled.
    order_grace: Duration = Field(default=5.0, ge=0, le=_DAY_S)

    # When after an execution the market is looked at, for markouts and realised spreads.
    horizons: tuple[Horizon, ...] = Field(default=(1.0, 10.0, 60.0, 300.0), max_length=MAX_HORIZONS)

    # How long executions may be corrected or busted; so long they are kept.
    revision_window: Duration = Field(default=7 * _DAY_S, ge=60, le=366 * _DAY_S)

    risk: RiskConfig = RiskConfig()

    # Instruments by name, or the name of a file with such `instruments`. One that is not listed
    # takes the defaults, and is counted.
    instruments: dict[Text, InstrumentConfig] = Field(
        default={}, max_length=MAX_INSTRUMENTS, json_schema_extra=_or_a_file
    )

    # The same file under a name of its own, so that there may be both.
    instruments_file: Path | None = None

    # Accounts by name. One that is not listed takes the defaults.
    accounts: dict[Text, AccountConfig] = Field(default={}, max_length=MAX_ACCOUNTS)

    # Where rates between currencies come from. Of ways of one length that of the first ones counts.
    pairs: tuple[PairConfig, ...] = Field(default=(), max_length=MAX_PAIRS)

    # How records with other names become events. Each mapping that matches makes one.
    mappings: tuple[MappingConfig, ...] = Field(default=(), max_length=MAX_MAPPINGS)

    # Files with such `mappings`; those of config/mappings/ are ready to use.
    mapping_files: tuple[Path, ...] = Field(default=(), max_length=MAX_FILES)

    # Where a trace is shown, for the links of /signals, as http://127.0.0.1:16686/trace/{trace_id}.
    # null: ids without links.
    trace_url: Annotated[str, AfterValidator(_trace_url)] | None = None

    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="before")
    @classmethod
    def _names_a_file(cls, data: Any) -> Any:
        """Take `instruments: FILE` for `instruments_file: FILE`."""
        if not isinstance(data, dict) or not isinstance(data.get("instruments"), str):
            return data
        if data.get("instruments_file") is not None:
            raise ValueError("instruments and instruments_file both name a file; leave out one")
        rest = {key: value for key, value in data.items() if key != "instruments"}
        return {**rest, "instruments_file": data["instruments"]}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [mapping.name for mapping in self.mappings]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two mappings have the name {twice[0]!r}; give each its own")
        if len(set(self.horizons)) != len(self.horizons):
            raise ValueError("horizons: one stands there twice")
        return self


def engine_settings(
    config: SignalsConfig, instruments: dict[str, InstrumentConfig]
) -> EngineSettings:
    """Return what the engine needs of the section; `instruments` has those of files, too."""
    return EngineSettings(
        instruments=Instruments({name: each.instrument() for name, each in instruments.items()}),
        accounts={
            name: Account(each.base_currency, each.starting_equity)
            for name, each in config.accounts.items()
        },
        pairs=tuple(
            CurrencyPair(each.instrument, each.base, each.quote, each.venue or "")
            for each in config.pairs
        ),
        max_lateness_ns=_ns(config.max_lateness),
        idle_timeout_ns=_ns(config.idle_timeout),
        max_quote_age_ns=_ns(config.max_quote_age),
        max_mark_age_ns=None if config.max_mark_age is None else _ns(config.max_mark_age),
        order_grace_ns=_ns(config.order_grace),
        revision_window_ns=_ns(config.revision_window),
        horizons_ns=tuple(sorted(_ns(horizon) for horizon in config.horizons)),
        risk_period_ns=_ns(config.risk.period),
        periods_per_year=config.risk.periods_per_year,
        limits=Limits(**config.limits.model_dump()),
    )


def _ns(seconds: float) -> int:
    return round(seconds * _SECOND_NS)
