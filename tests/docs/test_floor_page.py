"""docs/floor.md says what there is."""

import re
from pathlib import Path

from tapeline.floor.catalog import SERVICES, SYSTEMS
from tapeline.floor.faults import SCENARIOS

PAGE = (Path(__file__).parents[2] / "docs" / "floor.md").read_text(encoding="utf-8")


def test_the_page_lists_every_scenario() -> None:
    """Each with the sentence that the code has."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))

    assert rows == {each.name: each.what for each in SCENARIOS.values()}


def test_the_page_links_every_system() -> None:
    """And counts the services."""
    assert set(re.findall(r"\(systems/(\w+)\.md\)", PAGE)) == set(SYSTEMS)
    assert len(SERVICES) == 17
    assert "Seventeen services" in PAGE
