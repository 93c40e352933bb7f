"""`tapeline diff`: what changed between two recordings, for a person and for a program."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeline import cli
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import Compression, Format, encoder
from tapeline.recording import comparison
from tapeline.testing.given import batch_of


def _log(body: str, at: str = "0s", **fields: Any) -> Batch:
    resource = {"service.name": "orders"}
    return batch_of({"log": {"body": body, "at": at, "resource": resource} | fields})


def _write(path: Path, *batches: Batch, form: Format = Format.JSON) -> str:
    encode = encoder(form, Compression.NONE)
    path.write_bytes(b"".join(map(encode, batches)))
    return str(path)


@pytest.fixture
def before(tmp_path: Path) -> str:
    """A recording of three logs, a second apart."""
    logs = [_log(body, f"{at}s", attributes={"n": at}) for at, body in enumerate("abc")]
    return _write(tmp_path / "before.jsonl", *logs)


@pytest.fixture
def after(tmp_path: Path) -> str:
    """The first changed, the second as it was, the third gone, a span more; as protobuf."""
    return _write(
        tmp_path / "after.pb",
        batch_of({"span": {"name": "sent", "trace_id": "01" * 16, "span_id": "02" * 8}}),
        _log("b", "1s", attributes={"n": 1}),
        _log("a", "0s", attributes={"n": 7}),
        form=Format.PROTO,
    )


def test_what_changed_is_printed_and_is_the_exit_code(
    before: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed first, then removed and added, and the counts; no colours where none can be."""
    assert cli.main(["diff", before, after]) == 1

    assert capsys.readouterr().out.splitlines() == [
        '~ log orders "a" at 2026-01-01T00:00:00.000000000Z',
        "    attributes.n",
        "      - 0",
        "      + 7",
        '- log orders "c" at 2026-01-01T00:00:02.000000000Z',
        "+ span sent at 2026-01-01T00:00:00.000000000Z",
        "1 equal, 1 changed, 1 removed, 1 added",
    ]


def test_the_same_in_another_form_is_the_same(
    before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Order, batches and the form of the file make no difference."""
    logs = [_log(body, f"{at}s", attributes={"n": at}) for at, body in enumerate("abc")]
    other = _write(tmp_path / "other", *logs[::-1], form=Format.PROTO)

    assert cli.main(["diff", before, other]) == 0

    assert capsys.readouterr().out == "3 equal, 0 changed, 0 removed, 0 added\n"


def test_colours_are_those_of_a_terminal_that_wants_them(
    before: str, after: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FORCE_COLOR and NO_COLOR are heeded."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    cli.main(["diff", before, after])
    coloured = capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    cli.main(["diff", before, after])
    plain = capsys.readouterr().out

    assert '\x1b[31m- log orders "c"' in coloured
    assert "\x1b[32m+ span sent" in coloured
    assert "\x1b[31m" not in plain


def test_json_has_all_of_it(before: str, after: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With whole records, so that a program can go on with them."""
    assert cli.main(["diff", "--json", before, after]) == 1

    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["equal"], told["matched"]) == (False, 1, True)
    (change,) = told["changed"]
    assert change["fields"] == [{"path": "attributes.n", "before": 0, "after": 7}]
    assert change["after"]["resource"] == {"attributes": {"service.name": "orders"}}
    assert [record["body"] for record in told["removed"]] == ["c"]
    assert [record["signal"] for record in told["added"]] == ["traces"]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ([], 1),
        (["--ignore", "times"], 1),
        (["--ignore-field", "attributes.n"], 1),
        (["--ignore", "times,ids", "--ignore-field", "attributes.n"], 0),
        (["--ignore", "ids", "--ignore", "times", "--ignore-field", "attributes"], 0),
    ],
)
def test_what_is_ignored_makes_no_difference(flags: list[str], code: int, tmp_path: Path) -> None:
    """Groups with commas or one by one; single fields by their path."""
    one = _write(tmp_path / "one", _log("a", "0s", attributes={"n": 0}))
    other = _write(tmp_path / "other", _log("a", "5s", attributes={"n": 5}))

    assert cli.main(["diff", *flags, one, other]) == code


def test_doubles_within_the_tolerance_make_no_difference(tmp_path: Path) -> None:
    """As a part of the larger one."""
    one = _write(tmp_path / "one", batch_of({"metric": {"name": "m", "value": 1.0}}))
    other = _write(tmp_path / "other", batch_of({"metric": {"name": "m", "value": 1.001}}))

    assert cli.main(["diff", one, other]) == 1
    assert cli.main(["diff", "--tolerance", "0.01", one, other]) == 0


def test_a_dash_is_standard_input(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that diff ends a pipe of process."""
    content = io.BytesIO(Path(before).read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))

    assert cli.main(["diff", "-", before]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-", "-"], "one of the two"),
        (["a", "b", "--tolerance", "nan"], "--tolerance takes"),
        (["a", "b", "--tolerance=-1"], "--tolerance takes"),
        (["a", "b", "--limit=-1"], "--limit takes"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than compared to nothing, or by no measure."""
    assert cli.main(["diff", *arguments]) == 2

    assert told in capsys.readouterr().err


def test_a_full_disk_behind_the_output_is_no_difference(before: str, after: str) -> None:
    """Exit code 2 and one line: 1 would say that they were compared."""
    program = "import sys; from tapeline.cli import main; sys.exit(main(sys.argv[1:]))"
    for flags in ([], ["--json"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-c", program, "diff", before, after, *flags],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )

        assert done.returncode == 2
        assert done.stderr == (
            "tapeline: what it has to say can't be written: No space left on device\n"
        )


def test_a_damaged_recording_is_compared_as_far_as_it_is_whole(
    before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place is told, and the exit code is that of a file that can't be used."""
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(Path(before).read_bytes() + b'{"resourceLogs": [\n')

    assert cli.main(["diff", before, str(cut)]) == 2

    printed = capsys.readouterr()
    assert printed.out == "3 equal, 0 changed, 0 removed, 0 added\n"
    assert f"{cut}: message 4, at byte {Path(before).stat().st_size}: " in printed.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{before}", "gone.jsonl"], "gone.jsonl: can't be read: No such file"),
        (["{before}", "."], ".: can't be read: Is a directory"),
        (["--ignore", "tims", "{before}", "{before}"], "nothing to ignore is named 'tims'"),
    ],
)
def test_what_can_not_be_compared_is_told(
    arguments: list[str], problem: str, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    assert cli.main(["diff", *(word.format(before=before) for word in arguments)]) == 2

    assert problem in capsys.readouterr().err


def test_too_many_records_are_refused(
    before: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do."""
    monkeypatch.setattr(comparison, "MAX_RECORDS", 2)

    assert cli.main(["diff", before, before]) == 2

    assert "compare parts of the recordings" in capsys.readouterr().err


def test_more_than_the_limit_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads no thousand lines."""
    one = _write(tmp_path / "one", *(_log(f"{number}" * 9, f"{number}s") for number in range(9)))
    empty = _write(tmp_path / "empty")

    assert cli.main(["diff", "--limit", "2", one, empty]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line[:1] for line in lines] == ["-", "-", "…", "0"]
    assert lines[2] == "… and 7 more"


def test_long_values_are_shown_from_where_they_begin_to_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what can't be seen is escaped."""
    one = _write(tmp_path / "one", _log("x" * 5000 + "left\u202e", attributes={"k": "v"}))
    other = _write(tmp_path / "other", _log("x" * 5000 + "right", attributes={"k": "v"}))

    cli.main(["diff", one, other])

    before_line, after_line = capsys.readouterr().out.splitlines()[2:4]
    assert before_line.endswith('left\\u202e"')
    assert after_line.endswith('right"')
    assert len(after_line) < 200


def test_metrics_are_told_by_series_and_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A point of a number shows it."""
    metric = {"name": "fills", "type": "sum", "attributes": {"venue": "X"}}
    one = _write(tmp_path / "one", batch_of({"metric": metric | {"value": 3}}))
    other = _write(tmp_path / "other", batch_of({"metric": metric | {"value": 4}}))

    cli.main(["diff", one, other])

    assert capsys.readouterr().out.splitlines()[:4] == [
        '~ point fills {venue: "X"} = 3 at 2026-01-01T00:00:00.000000000Z',
        "    value",
        "      - 3",
        "      + 4",
    ]


def test_a_sparse_message_may_be_told_its_signal(tmp_path: Path) -> None:
    """As in process and replay."""
    empty = Batch(Signal.TRACES, b"\x0a\x02\x12\x00")
    one = _write(tmp_path / "one", empty, form=Format.PROTO)

    assert cli.main(["diff", one, one]) == 2
    assert cli.main(["diff", "--assume-signal", "traces", one, one]) == 0
