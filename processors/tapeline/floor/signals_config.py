"""The signals' configuration on the floor: config/signals.yaml, with what only a floor has.

Periods of returns are a minute instead of a day, so that Sharpe and value at risk show while one
looks. Orders that the systems only log become events by the ready mappings, each system's in an
account of its own: ids of two systems may be the same.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

__all__ = ["MAPPED", "floor_signals_config"]

MAPPED: Final[Mapping[str, str]] = MappingProxyType({"py_rt": "py-rt.yaml", "b25": "b25.yaml"})
"""The file of config/mappings by system, whose name is the account. VeloZ sends the convention's
events itself, and KTRDR trades nothing."""

_RISK_PERIOD: Final = "1m"


def floor_signals_config(source_root: Path) -> str:
    """Return the configuration's text."""
    folder = source_root / "config"
    document = _document(folder / "signals.yaml")
    document["signals"]["risk"]["period"] = _RISK_PERIOD
    document["signals"]["mappings"] = [
        mapping | {"fields": {**mapping["fields"], "trading.account": f"const({system})"}}
        for system, name in MAPPED.items()
        for mapping in _document(folder / "mappings" / name)["mappings"]
    ]
    return yaml.safe_dump(document, sort_keys=False)


def _document(path: Path) -> dict[str, Any]:
    """Read a file; by way of JSON, so that nothing in it is shared and written as a reference."""
    document: dict[str, Any] = json.loads(
        json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
    )
    return document
