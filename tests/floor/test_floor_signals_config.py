"""The floor's signals show risk figures while one looks, and are else those that are shipped."""

from pathlib import Path

import yaml

from tapeline.floor.signals_config import floor_signals_config
from tapeline.signals.config import SignalsConfig

ROOT = Path(__file__).resolve().parents[2]


def test_accounts_begin_with_money_and_periods_are_short() -> None:
    """Without equity there are no returns, and without two periods no ratios."""
    shipped = yaml.safe_load((ROOT / "config/signals.yaml").read_text(encoding="utf-8"))
    floor = yaml.safe_load(floor_signals_config(ROOT))

    config = SignalsConfig.model_validate(
        {**floor["signals"], "state": "sqlite:///signals.db", "trace_url": None}
    )

    assert config.risk.period == 60
    assert set(config.accounts) == {"demo", "veloz"}
    assert all(account.starting_equity > 0 for account in config.accounts.values())
    for own in ("accounts", "risk"):
        shipped["signals"].pop(own)
        floor["signals"].pop(own)
    assert floor == shipped
