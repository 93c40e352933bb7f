"""The stock processor that the bench measures takes all of the rules that it is given."""

import subprocess
from pathlib import Path

import pytest
import yaml
from bench.stock_rules import stock_values
from bench.subjects import REDACTION_SUBJECTS, STOCK

from tapeline.redaction.pack import load_pack


@pytest.mark.stack
def test_the_collector_accepts_a_pattern_for_each_rule(tmp_path: Path) -> None:
    """As many as the default pack has in force, none of which Go's regular expressions refuse."""
    program, _, path = REDACTION_SUBJECTS[STOCK].prepare(4317, 4318, tmp_path).arguments
    given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))

    done = subprocess.run(
        [program, "validate", "--config", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    blocked = given["processors"]["redaction"]["blocked_values"]
    assert blocked == list(stock_values())
    assert len(blocked) == len(load_pack().ids) > 100


@pytest.mark.stack
def test_a_pattern_that_go_does_not_know_would_be_noticed(tmp_path: Path) -> None:
    """The check above can fail: look-around is refused."""
    program, _, path = REDACTION_SUBJECTS[STOCK].prepare(4317, 4318, tmp_path).arguments
    document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    document["processors"]["redaction"]["blocked_values"].append("(?<=a)b")
    Path(path).write_text(yaml.safe_dump(document), encoding="utf-8")

    done = subprocess.run(
        [program, "validate", "--config", path], capture_output=True, timeout=60, check=False
    )

    assert done.returncode != 0
