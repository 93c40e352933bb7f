"""The signals' configuration on the floor: config/signals.yaml, with what only a floor has.

Periods of returns are a minute instead of a day, so that Sharpe and value at risk show while one
looks.
"""

from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["floor_signals_config"]

_RISK_PERIOD: Final = "1m"


def floor_signals_config(source_root: Path) -> str:
    """Return the configuration's text."""
    path = source_root / "config" / "signals.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["signals"]["risk"]["period"] = _RISK_PERIOD
    return yaml.safe_dump(document, sort_keys=False)
