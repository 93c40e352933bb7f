"""What the README of signals shows is valid, and does what it says."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from markdown_pages import page
from tapeline.pipeline.loader import read_document
from tapeline.signals import intake, mapping_paths, mapping_times, reading
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import SignalsSettings, settings_of
from tapeline.signals.decimals import NumberFault
from tapeline.signals.events import Execution, Trace
from tapeline.signals.mapping_config import MappingConfig, MatchConfig
from tapeline.signals.mappings import MappingFault
from trading_requests import batch, log

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "processors" / "tapeline" / "signals"
README = page(FOLDER / "README.md")
EXAMPLES = sorted(
    path for path in (FOLDER / "testdata").glob("*.yaml") if ".expected." not in path.name
)


def example(name: str) -> SignalsSettings:
    """Load an example as the gate would, from the repository's root."""
    document = read_document(FOLDER / "testdata" / name)
    assert list(document.data) == ["signals"]
    return settings_of(SignalsConfig.model_validate(document.data["signals"]))


def test_every_example_is_in_the_readme() -> None:
    """Word by word; and the page shows no other configuration."""
    shown = {}
    for block in README.blocks:
        if block.language == "yaml":
            name = re.fullmatch(r"# testdata/(\S+)", block.lines[0])
            assert name is not None, f"line {block.line} names no file"
            shown[name[1]] = "".join(f"{line}\n" for line in block.lines[1:])

    assert shown == {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES}


def test_the_desk_has_its_instruments_and_rates() -> None:
    """Bitcoin reaches the account's dollars by two pairs."""
    engine = example("desk.yaml").engine

    assert engine.instruments["ES"].multiplier == 50
    assert engine.instruments["XBTUSD"].currency("USD") == "BTC"
    assert engine.instruments["POWER-DE"].allows_negative_prices
    assert engine.accounts["desk-1"].starting_equity == 250_000
    assert [(pair.base, pair.quote) for pair in engine.pairs] == [
        ("BTC", "USDT"),
        ("USDT", "USD"),
        ("EUR", "USD"),
    ]


def test_the_mapping_makes_the_execution_of_a_log() -> None:
    """With the sign as side, cents as price, and the trace that the body names."""
    settings = example("mapping.yaml")
    body = {
        "ts": 1_771_840_800_250,
        "message": "order filled",
        "trace_id": "ab" * 16,
        "order_id": 7,
        "fill": {"id": "f-9", "symbol": "es", "signed_quantity": -3, "price_cents": 512_325},
    }
    request = log(body=json.dumps(body), resource={"service.name": "order-gateway"})

    taken = intake.Intake(settings.engine.instruments, settings.mappings).read(batch(request), None)

    assert taken.events == [
        Execution(
            1_771_840_800_250_000_000, "desk-1", "", "ES", "f-9", "trade", "", -1, Decimal(3),
            Decimal("5123.25"), "7", trace=Trace(b"\xab" * 16),
        )
    ]  # fmt: skip


def test_the_ready_mappings_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder that the gate runs in; the table has all of them."""
    monkeypatch.chdir(ROOT)
    names = [mapping.name for mapping in example("ready.yaml").mappings]
    listed = {row[0].strip("`") for row in README.table("file")}

    assert any(name.startswith("veloz") for name in names)
    assert any(name.startswith("b25") for name in names)
    assert listed == {f"config/mappings/{p.name}" for p in (ROOT / "config/mappings").iterdir()}


def test_the_tables_are_those_of_the_code() -> None:
    """Every reason of a refusal, every function, every key of a mapping."""
    reasons = {
        str(reason)
        for faults in (
            intake.IntakeFault,
            reading.EventFault,
            NumberFault,
            mapping_times.TimeFault,
            MappingFault,
        )
        for reason in faults
    }
    code = re.compile(r"`([^`]+)`")
    shown = [name for row in README.table("reason") for name in code.findall(row[0])]
    functions = [name for row in README.table("function") for name in code.findall(row[0])]
    keys = {name for row in README.table("key") for name in code.findall(row[0])}

    assert sorted(shown) == sorted(reasons)
    assert {name.partition("(")[0] for name in functions} == set(mapping_paths.FUNCTIONS)
    match = {name.removeprefix("match").removeprefix(".") for name in keys if "." in name}
    assert match == set(MatchConfig.model_fields)
    assert {name for name in keys if "." not in name} == (
        set(MappingConfig.model_fields) - {"name", "match"}
    )
