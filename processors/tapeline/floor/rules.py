"""The alert rules of a floor on which time runs faster: the committed ones, divided."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from tapeline.alerting.time_scale import scaled_document

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
    return dict(_files(source_root, divisor))


def _files(source_root: Path, divisor: int) -> Iterator[tuple[str, str]]:
    for folder, source in _SOURCES:
        root = source_root / source
        for path in sorted([*root.rglob("*.yml"), *root.rglob("*.yaml")]):
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            text = yaml.safe_dump(scaled_document(document, divisor), sort_keys=False)
            yield f"{folder}/{path.relative_to(root)}", text
