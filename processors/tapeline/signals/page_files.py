"""The page `/signals` with its style and scripts, which are files beside this one."""

from pathlib import Path
from typing import Final

from tapeline.pipeline.pages import Page
from tapeline.signals.page import body
from tapeline.signals.report_merge import merge_reports

__all__ = ["PAGE", "UPLOT"]

_FOLDER: Final = Path(__file__).parent
UPLOT: Final = _FOLDER / "vendor" / "uplot"
"""uPlot, MIT; its version and sums are in the README there."""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


PAGE: Final = Page(
    "Signals",
    merge_reports,
    body,
    style=_text(UPLOT / "uPlot.min.css") + _text(_FOLDER / "page.css"),
    scripts=(_text(UPLOT / "uPlot.iife.min.js"), _text(_FOLDER / "page.js")),
    is_live=True,
)
"""What the factory of the processor offers."""
