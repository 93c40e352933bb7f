"""The `signals` section: what it takes, what it means, and what it refuses with its place."""

from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from tapeline.pipeline.loader import ConfigError, read_document, validate_document
from tapeline.signals.config import SignalsConfig, engine_settings
from tapeline.signals.config_files import settings_of
from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.instruments import Account, Instrument

REFERENCE = Path(__file__).parents[2] / "config" / "signals.yaml"
MAPPING = {
    "name": "fills",
    "match": {"signal": "logs", "body_json": {"message": "order filled"}},
    "event": "trading.execution",
    "time": "body.timestamp",
    "fields": {"trading.execution.id": "body.fill_id"},
}


def mapping(**changes: Any) -> dict[str, Any]:
    """Return a section with one mapping, changed."""
    return {"mappings": [MAPPING | changes]}


@pytest.mark.pure
def test_the_defaults_are_those_of_the_engine() -> None:
    """So of the convention; instruments have no equality, so they stay out of it."""
    found, expected = engine_settings(SignalsConfig(), {}), EngineSettings()

    for name in asdict(expected):
        if name != "instruments":
            assert getattr(found, name) == getattr(expected, name)


def test_the_reference_has_every_key_with_its_default() -> None:
    """And the JSON Schema takes it."""
    section = read_document(REFERENCE, {}).data["signals"]

    assert SignalsConfig.model_validate(section) == SignalsConfig()
    assert section.keys() == SignalsConfig.model_fields.keys()
    assert section["limits"].keys() == asdict(EngineSettings().limits).keys()
    assert section["limits"].keys() == SignalsConfig().limits.model_dump().keys()
    schema = SignalsConfig.model_json_schema()
    jsonschema.validate(section, schema)
    jsonschema.validate({"instruments": "instruments.yaml", "mappings": [MAPPING]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"instruments": {"X": {"kind": "quanto"}}}, schema)


def test_everything_arrives_in_the_settings() -> None:
    """Durations in nanoseconds, numbers to the last digit."""
    config = SignalsConfig.model_validate(
        {
            "max_lateness": "2s",
            "idle_timeout": "1m",
            "max_quote_age": "30s",
            "max_mark_age": "1h",
            "order_grace": "250ms",
            "horizons": ["5s", "1s"],
            "revision_window": "1d",
            "risk": {"period": "1h", "periods_per_year": 6500},
            "instruments": {
                "XBTUSD": {
                    "kind": "inverse",
                    "multiplier": "100.000000000000000000000000001",
                    "base_currency": "BTC",
                    "quote_currency": "USD",
                    "settlement_currency": "BTC",
                },
                "POWER": {"multiplier": 0.1, "negative_prices": True},
            },
            "accounts": {"desk": {"base_currency": "EUR", "starting_equity": "1000000.01"}},
            "pairs": [{"instrument": "EURUSD", "base": "EUR", "quote": "USD", "venue": "ebs"}],
            "limits": {"orders": 5},
        }
    )
    settings = settings_of(config).engine

    assert settings.max_lateness_ns == 2_000_000_000
    assert settings.idle_timeout_ns == settings.max_quote_age_ns * 2 == 60_000_000_000
    assert settings.max_mark_age_ns == settings.risk_period_ns == 3_600_000_000_000
    assert settings.order_grace_ns == 250_000_000
    assert settings.horizons_ns == (1_000_000_000, 5_000_000_000)
    assert settings.revision_window_ns == 86_400_000_000_000
    assert settings.periods_per_year == 6500
    assert settings.instruments["XBTUSD"] == Instrument(
        is_inverse=True,
        multiplier=Decimal("100.000000000000000000000000001"),
        base_currency="BTC",
        quote_currency="USD",
        settlement_currency="BTC",
    )
    assert settings.instruments["POWER"] == Instrument(
        multiplier=Decimal("0.1"), allows_negative_prices=True
    )
    assert settings.accounts == {"desk": Account("EUR", Decimal("1000000.01"))}
    assert settings.pairs == (CurrencyPair("EURUSD", "EUR", "USD", "ebs"),)
    assert settings.limits.orders == 5


@pytest.mark.parametrize(
    "section",
    [
        {"state": "signals.db"},
        {"state": "sqlite:///"},
        {"state": "mysql://db"},
        {"state": "sqlite:///a\0b.db"},
        {"state": "sqlite:///:memory:"},
        {"state": "sqlite:///signals.db?mode=ro"},
        {"period": 5},
        {"period": "0s"},
        {"max_lateness": "-1s"},
        {"horizons": ["0s"]},
        {"horizons": ["1s", "1000ms"]},
        {"horizons": ["2d"]},
        {"revision_window": "1s"},
        {"risk": {"period": "0s"}},
        {"risk": {"periods_per_year": 0}},
        {"risk": {"periods_per_year": ".inf"}},
        {"instruments": {"X": {"kind": "quanto"}}},
        {"instruments": {"X": {"multiplier": 0}}},
        {"instruments": {"X": {"multiplier": "9" * 400}}},
        {"instruments": {"X": {"multiplier": True}}},
        {"instruments": {"X": {"kind": "inverse", "negative_prices": True}}},
        {"instruments": {"": {}}},
        {"instruments": "a.yaml", "instruments_file": "b.yaml"},
        {"accounts": {"a": {"starting_equity": "NaN"}}},
        {"pairs": [{"instrument": "USDUSD", "base": "USD", "quote": "USD"}]},
        {"limits": {"orders": 0}},
        {"limits": {"order": 1}},
        {"mappings": [MAPPING, MAPPING]},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(section: dict[str, Any]) -> None:
    """Units, numbers, names and what contradicts itself."""
    with pytest.raises(ValidationError):
        SignalsConfig.model_validate(section)


@pytest.mark.parametrize(
    ("section", "path", "message"),
    [
        (mapping(event="trading.fill"), ("event",), "is no event; did you mean"),
        (
            mapping(fields={"trading.execution.prize": "body.p"}),
            ("fields", "trading.execution.prize"),
            "is no attribute of trading.execution; did you mean 'trading.execution.price'",
        ),
        (
            mapping(fields={"trading.quote.bid": "body.p"}),
            ("fields", "trading.quote.bid"),
            "is no attribute of trading.execution",
        ),
        (
            mapping(fields={"trading.side": "lowercase(body.side)"}),
            ("fields", "trading.side"),
            "'lowercase' is no function; known here: lower, upper, abs, sign_to_side, scale, const",
        ),
        (
            mapping(fields={"trading.side": "buy"}),
            ("fields", "trading.side"),
            "for a fixed text write const(buy)",
        ),
        (mapping(time="epoch(body.t)"), ("time",), "'epoch' is no format of times"),
        (mapping(time="bodi.t"), ("time",), "'bodi.t' is no path"),
        (mapping(trace_id="trace"), ("trace_id",), "'trace' is no path"),
        (mapping(match={"signal": "logs"}), ("match",), "matches all logs: add a condition"),
        (
            mapping(match={"signal": "metrics", "scope": {"name": "x"}}),
            ("match", "signal"),
            "Input should be 'logs' or 'traces'",
        ),
        (
            mapping(match={"signal": "logs", "span_name": "x"}),
            ("match", "span_name"),
            "logs have no span name",
        ),
        (
            mapping(match={"signal": "traces", "span_name": "x", "span": {"a": "b"}}),
            ("match", "span"),
            "`span` is for events of spans",
        ),
        (
            mapping(match={"signal": "logs", "scope": {".a" * 17: "b"}}),
            ("match", "scope", ".a" * 17, "[key]"),
            "has more than 16 parts",
        ),
        (
            mapping(match={"signal": "traces", "body_json": {"a": "b"}}),
            ("match", "body_json"),
            "spans have no body",
        ),
        (
            mapping(match={"signal": "traces", "body": "order filled"}),
            ("match", "body"),
            "spans have no body",
        ),
        (
            mapping(match={"signal": "traces", "span_name": "x"}),
            ("fields", "trading.execution.id"),
            "spans have no body",
        ),
        (
            mapping(fields={"trading.side": "lower( span.side)"}),
            ("fields", "trading.side"),
            "`span` is for events of spans",
        ),
        (
            mapping(match={"signal": "logs", "event_name": "trading.order"}),
            ("match", "event_name", 0),
            "is an event by itself",
        ),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_where_it_is_wrong(
    section: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """At the start, with what to write instead."""
    with pytest.raises(ValidationError) as caught:
        SignalsConfig.model_validate(section)

    details = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert message in details["mappings", 0, *path]


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    """Of the section, of a file of mappings, and of a file of instruments."""
    for text, model_keys in [
        ("mappings:\n- name: a\n  match: {signal: logs, scope: {name: x}}\n", "mapping_files"),
        ("instruments:\n  X:\n    multiplier: -1\n", "instruments"),
    ]:
        path = tmp_path / f"{model_keys}.yaml"
        path.write_text(text, encoding="utf-8")
        given: Any = [str(path)] if model_keys == "mapping_files" else str(path)
        with pytest.raises(ConfigError) as caught:
            settings_of(SignalsConfig.model_validate({model_keys: given}))
        line = 2
        assert caught.value.problems[0].startswith(f"{path}:{line}: ")


def test_a_wrong_path_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    """The line of the field, not that of the mapping."""
    path = tmp_path / "mappings.yaml"
    path.write_text(
        "mappings:\n- name: a\n  match: {signal: logs, scope: {name: x}}\n"
        "  event: trading.mark\n  fields:\n    trading.mark.price: body.p\n"
        "    trading.instrument: symbol\n",
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        settings_of(SignalsConfig(mapping_files=(path,)))

    (problem,) = caught.value.problems
    assert problem.startswith(
        f"{path}:7: mappings[0].fields.trading.instrument: 'symbol' is no path"
    )


def test_files_add_to_the_section(tmp_path: Path) -> None:
    """A name that both have is refused, since nobody could say which one counts."""
    path = tmp_path / "instruments.yaml"
    path.write_text("instruments: {X: {multiplier: 5}}\n", encoding="utf-8")
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text(yaml.safe_dump(mapping(name="in a file")), encoding="utf-8")
    section = {
        "instruments": {"Y": {}},
        "instruments_file": str(path),
        "mappings": [MAPPING],
        "mapping_files": [str(mappings)],
    }

    settings = settings_of(SignalsConfig.model_validate(section))

    assert "X" in settings.engine.instruments
    assert "Y" in settings.engine.instruments
    assert [each.name for each in settings.mappings] == ["fills", "in a file"]
    for twice in (
        section | {"instruments": {"X": {}}},
        section | {"mapping_files": [str(mappings), str(mappings)]},
    ):
        with pytest.raises(ConfigError, match="too"):
            settings_of(SignalsConfig.model_validate(twice))


def test_a_section_in_a_document_is_refused_with_its_line(tmp_path: Path) -> None:
    """As `tapeline check` prints it."""
    path = tmp_path / "signals.yaml"
    path.write_text("period: 5s\nhorizons: [1s]\nmax_latness: 1s\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        validate_document(read_document(path), SignalsConfig)

    assert caught.value.problems == [
        f"{path}:3: unknown key 'max_latness'; did you mean 'max_lateness'?"
    ]
