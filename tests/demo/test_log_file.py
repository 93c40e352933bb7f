"""The log file loses no line when it rotates, and names the trace of each."""

import json
from pathlib import Path

import pytest

from tapeline.demo.log_file import RotatingLog, json_line, trace_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


def test_rotation_keeps_every_line_in_order(tmp_path: Path) -> None:
    """Read from the oldest file to the newest, the lines are the ones that were written."""
    path = tmp_path / "deep" / "service.log"
    lines = [f"line {number:04d}" for number in range(50)]

    with RotatingLog(path, size_bytes_max=200, keep=5) as log:
        for line in lines:
            log.write_line(line)

    files = [path.with_name(f"service.log.{number}") for number in range(5, 0, -1)]
    found = [each.read_text() for each in [*files, path] if each.exists()]
    assert "".join(found).splitlines() == lines
    assert all(len(text) <= 200 for text in found)
    assert len(found) > 2


def test_rotation_deletes_beyond_what_it_keeps(tmp_path: Path) -> None:
    """No more than `keep` old files are left."""
    path = tmp_path / "service.log"

    with RotatingLog(path, size_bytes_max=10, keep=2) as log:
        for number in range(20):
            log.write_line(f"line {number}")

    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "service.log",
        "service.log.1",
        "service.log.2",
    ]


def test_a_reader_that_holds_the_file_can_finish_it_after_rotation(tmp_path: Path) -> None:
    """Rotation renames: an open handle goes on reading the old file to its end."""
    path = tmp_path / "service.log"

    with RotatingLog(path, size_bytes_max=20, keep=2) as log:
        log.write_line("first line of old")
        with path.open() as reader:
            log.write_line("first line of new")
            assert reader.read() == "first line of old\n"
    assert path.read_text() == "first line of new\n"


def test_a_restart_appends_to_the_file(tmp_path: Path) -> None:
    """What an earlier run wrote stays."""
    path = tmp_path / "service.log"
    for number in range(2):
        with RotatingLog(path, size_bytes_max=1000, keep=1) as log:
            log.write_line(f"run {number}")

    assert path.read_text() == "run 0\nrun 1\n"


def test_a_line_names_its_trace() -> None:
    """The ids of a traceparent header stand in the JSON line that the collector parses."""
    trace = trace_of(f"00-{TRACE_ID}-{SPAN_ID}-01")
    line = json_line("2026-01-02T03:04:05Z", "INFO", "order filled", trace, {"price": "1.5"})

    assert json.loads(line) == {
        "timestamp": "2026-01-02T03:04:05Z",
        "level": "INFO",
        "service.name": "back-office",
        "message": "order filled",
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "fields": {"price": "1.5"},
    }


@pytest.mark.parametrize("header", ["", "00-abc-def-01", f"00-{TRACE_ID.upper()}-{SPAN_ID}-01"])
def test_an_invalid_header_gives_no_trace(header: str) -> None:
    """A line without a valid traceparent carries no ids at all."""
    assert trace_of(header) is None
    assert "trace_id" not in json.loads(json_line("t", "INFO", "m", trace_of(header), {}))
