"""The floor's signals show risk figures while one looks, and are else those that are shipped."""

from pathlib import Path

import yaml

from tapeline.floor.signals_config import floor_signals_config
from tapeline.signals.config import SignalsConfig

ROOT = Path(__file__).resolve().parents[2]


def test_periods_of_returns_are_short_and_the_rest_is_as_shipped() -> None:
    """Ratios need two periods, and nobody looks at a demo for two days."""
    shipped = yaml.safe_load((ROOT / "config/signals.yaml").read_text(encoding="utf-8"))
    floor = yaml.safe_load(floor_signals_config(ROOT))

    config = SignalsConfig.model_validate(
        {**floor["signals"], "state": "sqlite:///signals.db", "trace_url": None}
    )

    assert config.risk.period == 60
    shipped["signals"]["risk"]["period"] = floor["signals"]["risk"]["period"]
    assert floor == shipped
