"""Dashboards that somebody edited by hand are shown with what they should be."""

import shutil
from pathlib import Path

import pytest
from dashboards.__main__ import differences, main, write
from dashboards.catalog import FOLDER, PROVIDERS

ROOT = Path(__file__).resolve().parents[2]
EDITED = FOLDER / "veloz/veloz-trading.json"


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """Return a copy of what is generated."""
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    (tmp_path / PROVIDERS).parent.mkdir(parents=True)
    shutil.copy(ROOT / PROVIDERS, tmp_path / PROVIDERS)
    return tmp_path


def test_what_is_committed_is_what_is_generated() -> None:
    """`python -m dashboards` was run after the last change."""
    assert "".join(differences(ROOT)) == ""


def test_a_dashboard_edited_by_hand_is_shown_as_a_diff(checkout: Path) -> None:
    """With the line that somebody wrote, and the one that belongs there."""
    file = checkout / EDITED
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"title": "Order Rate"', '"title": "Orders"'), encoding="utf-8")

    diff = "".join(differences(checkout))

    assert f"--- {EDITED} (in the checkout)" in diff
    assert '-      "title": "Orders",' in diff
    assert '+      "title": "Order Rate",' in diff


def test_files_that_are_missing_or_stale_are_told_and_mended(checkout: Path) -> None:
    """A dashboard that was removed from the generator goes, one that was added comes."""
    (checkout / EDITED).unlink()
    stale = checkout / FOLDER / "veloz/old.json"
    stale.write_text("{}", encoding="utf-8")

    told = "".join(differences(checkout))
    write(checkout)

    assert f"+++ {EDITED} (as" in told
    assert "old.json: no dashboard of dashboards/catalog.py makes this file" in told
    assert not stale.exists()
    assert list(differences(checkout)) == []


def test_the_command_says_whether_something_is_out_of_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With an exit code for CI."""
    assert main(["--check"]) == 0
    assert main(["--what"]) == 2
    assert "usage: python -m dashboards" in capsys.readouterr().err
