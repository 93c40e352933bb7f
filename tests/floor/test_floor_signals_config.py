"""The floor's signals show risk figures while one looks, and what the systems only log."""

from pathlib import Path

import yaml

from floor.tailed import tailed
from tapeline.floor.catalog import SYSTEMS
from tapeline.floor.signals_config import MAPPED, floor_signals_config
from tapeline.floor.veloz.events import ACCOUNT
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.events import Order
from tapeline.signals.instruments import Instruments
from tapeline.signals.intake import Intake

ROOT = Path(__file__).resolve().parents[2]
PY_RT_LINE = (
    '{"timestamp":"2026-02-23T10:00:00.5Z","level":"DEBUG","target":"execution_engine::router",'
    '"fields":{"message":"Submitting order","order_id":"1","symbol":"BTCUSDT"}}'
)
B25_LINE = (
    '{"timestamp":"2026-02-23T10:00:00.5Z","level":"info","message":"order sent",'
    '"status":"pending","order_id":"1","symbol":"BTCUSDT","exchange":"okx","side":"buy"}'
)


def floor_config() -> SignalsConfig:
    """Return the floor's signals section as the sidecar reads it."""
    floor = yaml.safe_load(floor_signals_config(ROOT))
    return SignalsConfig.model_validate(
        {**floor["signals"], "state": "sqlite:///signals.db", "trace_url": None}
    )


def test_periods_of_returns_are_short_and_the_rest_is_as_shipped() -> None:
    """Ratios need two periods, and nobody looks at a demo for two days."""
    shipped = yaml.safe_load((ROOT / "config/signals.yaml").read_text(encoding="utf-8"))
    floor = yaml.safe_load(floor_signals_config(ROOT))

    assert floor_config().risk.period == 60
    shipped["signals"]["risk"]["period"] = floor["signals"]["risk"]["period"]
    shipped["signals"]["mappings"] = floor["signals"]["mappings"]
    assert floor == shipped


def test_the_ready_mappings_are_there_and_only_the_account_is_added() -> None:
    """So what a floor shows is what a user of these files gets."""
    floor = yaml.safe_load(floor_signals_config(ROOT))["signals"]["mappings"]

    for each in floor:
        del each["fields"]["trading.account"]
    files = [ROOT / "config/mappings" / name for name in MAPPED.values()]
    assert floor == [
        mapping for path in files for mapping in yaml.safe_load(path.read_text("utf-8"))["mappings"]
    ]


def test_orders_of_one_id_in_two_systems_are_two_orders() -> None:
    """At the same moment, of the same instrument; VeloZ's account is a third one."""
    intake = Intake(Instruments(), settings_of(floor_config()).mappings)

    found = [
        event
        for service, line in (
            ("py-rt-execution-engine", PY_RT_LINE),
            ("b25-order-execution", B25_LINE),
        )
        for event in intake.read(tailed(service, line), None).events
        if isinstance(event, Order)
    ]

    assert [(each.account, each.id, each.state) for each in found] == [
        ("py_rt", "1", "submitted"),
        ("b25", "1", "submitted"),
    ]
    assert len({each.identity for each in found}) == 2
    assert set(MAPPED) < set(SYSTEMS) - {ACCOUNT}
