"""The archive of logs, from the real Loki: whole days, every line once, and proof of it."""

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from loki_rule_cases import Lines, push
from tapeline import cli
from tapeline.alerting import archive as module
from tapeline.alerting.archive import ArchiveError, archive_day, check, days_due
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack

pytestmark = pytest.mark.stack

ONE_DAY = timedelta(days=1)
_DAY_NS = 86_400 * 10**9
_TAKES_S = 120.0
"""These tests take less: near midnight, the day is awaited that they then are all of."""
COUNT = 12_345
"""More than two pages of Loki's answers."""


@pytest.fixture(name="today", scope="module")
def _today() -> date:
    """The day (UTC) that it is until all of these tests have run."""
    now = datetime.now(UTC)
    after = now + timedelta(seconds=_TAKES_S)
    if after.date() != now.date():
        time.sleep(_TAKES_S)
    return after.date()


@pytest.fixture(name="loki", scope="module")
def _loki(tmp_path_factory: pytest.TempPathFactory, today: date) -> Iterator[str]:
    """A Loki with orders of yesterday, and lines just outside of that day on both sides."""
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
    midnight_ns = int(midnight.timestamp()) * 10**9
    with Stack(
        tmp_path_factory.mktemp("archive") / "run", Ports.free(), servers=("loki",)
    ) as stack:
        url = stack.url("loki")
        for name in ("veloz", "b25"):
            stream = {"service_name": name, "log_class": "order"}
            push(url, [Lines(stream, ["the day before"])], midnight_ns - _DAY_NS)
            push(url, [Lines(stream, ["first"])], midnight_ns - _DAY_NS + 1)
            lines = [
                f'{{"order": {n}, "text": "übrig \\u0022{name}\\u0022"}}' for n in range(COUNT)
            ]
            push(url, [Lines(stream, lines, {"user_id": "u1"})], midnight_ns - _DAY_NS // 2)
            push(url, [Lines(stream, ["last"])], midnight_ns)
            push(url, [Lines(stream, ["today"])], midnight_ns + 1)
        push(url, [Lines({"service_name": "b25", "log_class": "auth"}, ["login"])], midnight_ns)
        yield url


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an archive."""
    reader = zstandard.ZstdDecompressor().stream_reader(path.read_bytes())
    return [json.loads(line) for line in io.TextIOWrapper(reader, encoding="utf-8")]


def test_a_day_is_archived_whole_and_once(loki: str, today: date, tmp_path: Path) -> None:
    """Every line of the day, in order, with labels and structured metadata, and no other line."""
    archived = archive_day(loki, "order", today - ONE_DAY, tmp_path)
    assert archived.path == tmp_path / "order" / f"{today - ONE_DAY}.jsonl.zst"
    assert archived.lines == check(archived.path) == 2 * (COUNT + 2)
    found = entries(archived.path)
    times = [int(entry["time_unix_nano"]) for entry in found]
    assert times == sorted(times)
    assert {entry["line"] for entry in found[:2]} == {"first"}
    assert {entry["line"] for entry in found[-2:]} == {"last"}
    orders = [entry for entry in found if entry["line"].startswith("{")]
    assert sorted(
        (e["labels"]["service_name"], json.loads(e["line"])["order"]) for e in orders
    ) == [(name, number) for name in ("b25", "veloz") for number in range(COUNT)]
    assert all(entry["labels"]["user_id"] == "u1" for entry in orders)
    assert json.loads(orders[0]["line"])["text"].startswith('übrig "')
    assert archived.size_bytes < sum(len(entry["line"]) for entry in found)
    assert oct(archived.path.stat().st_mode & 0o777) == "0o600"


def test_an_archive_is_made_once_and_checked_again(
    loki: str, today: date, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command can run every day; a changed file is found and not replaced."""
    command = ["archive", str(tmp_path), "--loki", loki, "--class", "auth", "order"]
    assert cli.main([*command, "--day", str(today - ONE_DAY)]) == 0
    assert capsys.readouterr().out.count("\narchived: ") + 1 == 2
    path = tmp_path / "auth" / f"{today - ONE_DAY}.jsonl.zst"
    assert [entry["line"] for entry in entries(path)] == ["login"]
    before = path.stat().st_mtime_ns
    assert cli.main([*command, "--days", "2"]) == 0
    assert capsys.readouterr().out.count("was archived: ") == 2
    assert path.stat().st_mtime_ns == before
    assert cli.main(["archive", str(tmp_path), "--verify"]) == 0
    assert "ok: " in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert cli.main(["archive", str(tmp_path), "--verify"]) == 1
    assert "its SHA-256 is not the one beside it" in capsys.readouterr().err
    assert cli.main([*command, "--days", "1"]) == 1
    empty = tmp_path / "nothing"
    assert cli.main(["archive", str(empty), "--verify"]) == 1


def test_a_day_without_lines_leaves_a_file_that_says_so(
    loki: str, today: date, tmp_path: Path
) -> None:
    """A day that nobody archived is told from one on which nothing was."""
    archived = archive_day(loki, "api_key", today - ONE_DAY, tmp_path)
    assert archived.lines == 0
    assert entries(archived.path) == []


def test_a_missing_line_is_noticed(
    loki: str, today: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Loki's count is another, the file is not kept."""
    real = module._page
    monkeypatch.setattr(module, "_page", lambda *given: real(*given)[1:])
    with pytest.raises(ArchiveError, match="Loki counts 1 lines and gave 0"):
        archive_day(loki, "auth", today - ONE_DAY, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_can_not_be_archived_is_said(
    loki: str, today: date, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Today, a Loki that is none, a wrong day or class: the others are archived all the same."""
    assert cli.main(["archive", str(tmp_path), "--loki", loki, "--day", str(today)]) == 1
    assert "is not over" in capsys.readouterr().err
    gone = ["archive", str(tmp_path), "--loki", "http://127.0.0.1:1", "--days", "1"]
    assert cli.main(gone) == 1
    assert capsys.readouterr().err.count("does not answer as Loki does") == 5
    odd = ["archive", str(tmp_path), "--loki", "http://127.0.0.1:1/a b", "--days", "1"]
    assert cli.main(odd) == 1
    assert capsys.readouterr().err.count("does not answer as Loki does") == 5
    (tmp_path / "file").touch()
    assert cli.main(["archive", str(tmp_path / "file"), "--loki", loki, "--days", "1"]) == 1
    assert capsys.readouterr().err.count("file/order: Not a directory") == 1
    assert cli.main(["archive", str(tmp_path), "--day", "yesterday"]) == 2
    assert cli.main(["archive", str(tmp_path), "--days", "0"]) == 2
    assert cli.main(["archive", str(tmp_path), "--class", 'a"} or {']) == 2
    assert not list(tmp_path.rglob("*.zst"))


def test_the_days_that_are_due() -> None:
    """Whole ones, oldest first, without today."""
    day = datetime(2026, 3, 2, tzinfo=UTC).date()
    assert [str(each) for each in days_due(day, 3)] == ["2026-02-27", "2026-02-28", "2026-03-01"]
