"""The alert rules of a floor on which time runs faster: the committed ones, divided."""

from pathlib import Path
from typing import Final

from tapeline.alerting.time_scale import scaled_texts

__all__ = ["LOKI_FOLDER", "PROMETHEUS_FOLDER", "scaled_rule_files"]

# Below the run directory's `config`.
PROMETHEUS_FOLDER: Final = "rules"
LOKI_FOLDER: Final = "loki-rules"
_SOURCES: Final = (
    (PROMETHEUS_FOLDER, Path("config/prometheus/rules")),
    (LOKI_FOLDER, Path("config/loki/rules")),
)


def scaled_rule_files(source_root: Path, divisor: int) -> dict[str, str]:
    """Return each rule file's text by its path below `config`; raises TimeScaleError."""
    return {
        f"{folder}/{path}": text
        for folder, source in _SOURCES
        for path, text in scaled_texts(source_root / source, divisor)
    }
