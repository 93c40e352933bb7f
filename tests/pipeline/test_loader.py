"""YAML into models: positions, references, and errors that a user can act on."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from tapeline.pipeline.addresses import parse_address
from tapeline.pipeline.durations import Duration
from tapeline.pipeline.loader import (
    MAX_NODES,
    ConfigError,
    Document,
    read_document,
    suggestion,
    validate_document,
)


class Inner(BaseModel):
    """A section."""

    model_config = ConfigDict(extra="forbid")
    listen: str = "here"
    workers: int = 1
    names: list[int] = []


class Outer(BaseModel):
    """A file."""

    model_config = ConfigDict(extra="forbid")
    server: Inner = Inner()
    other: dict[str, Inner] = {}


def _write(folder: Path, text: str) -> Path:
    path = folder / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(folder: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate_document(read_document(_write(folder, text), environment or {}), Outer)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_misspelt_key_is_named_with_its_line_and_the_nearest_known_one(tmp_path: Path) -> None:
    """The user sees where, what, and the likely meaning."""
    problems = _problems(tmp_path, "server:\n  listen: a\n  wokers: 2\n")

    assert problems == ["gate.yaml:3: unknown key 'wokers' in 'server'; did you mean 'workers'?"]


def test_a_key_that_resembles_nothing_lists_what_is_known(tmp_path: Path) -> None:
    """Where no key is near, all are listed."""
    problems = _problems(tmp_path, "zzz: {}\n")

    assert problems == ["gate.yaml:1: unknown key 'zzz'; known here: other, server"]


def test_a_key_inside_a_mapping_of_models_is_checked_like_any_other(tmp_path: Path) -> None:
    """Suggestions follow the model through dictionaries."""
    problems = _problems(tmp_path, "other:\n  a:\n    lisen: x\n")

    assert problems == ["gate.yaml:3: unknown key 'lisen' in 'other.a'; did you mean 'listen'?"]


def test_a_wrong_value_is_named_with_its_line_and_what_was_given(tmp_path: Path) -> None:
    """Every problem is reported, each with its own line."""
    problems = _problems(tmp_path, "server:\n  workers: many\n  names: [1, x]\n")

    assert problems[0].startswith("gate.yaml:2: server.workers: ")
    assert problems[0].endswith("(got 'many')")
    assert problems[1].startswith("gate.yaml:3: server.names[1]: ")


def test_credentials_in_a_wrong_address_are_not_repeated(tmp_path: Path) -> None:
    """A scheme that is misspelt must not bring the password into a log."""
    word = "hunter2" + "-" * 3
    problems = _problems(tmp_path, f"server:\n  workers: 'postgressql://me:{word}@host/db'\n")

    assert problems[0].startswith("gate.yaml:2: server.workers: ")
    assert word not in problems[0]


def test_a_value_from_the_environment_is_never_repeated_in_an_error(tmp_path: Path) -> None:
    """It may be a secret that landed in the wrong variable."""
    problems = _problems(tmp_path, "server:\n  workers: ${env:KEY}\n", {"KEY": "s3cr3t-value"})

    assert problems[0].startswith("gate.yaml:2: server.workers: ")
    assert "s3cr3t" not in problems[0]


def test_a_value_from_the_environment_is_not_in_a_validators_message_either() -> None:
    """Validators like to quote what they were given."""

    class Sections(BaseModel):
        endpoint: str
        timeout: Duration

        @field_validator("endpoint")
        @classmethod
        def _is_address(cls, value: str) -> str:
            return str(parse_address(value))

    data = {"endpoint": "s3cr3t", "timeout": "s3cr3t"}
    paths = frozenset({("endpoint",), ("timeout",)})

    with pytest.raises(ConfigError) as caught:
        validate_document(Document("gate.yaml", data, {}, paths), Sections)

    assert "s3cr3t" not in str(caught.value)
    endpoint, timeout = caught.value.problems
    assert endpoint.startswith("gate.yaml:1: endpoint: not an address: the given value; write ")
    assert timeout.startswith("gate.yaml:1: timeout: not a duration: the given value; write ")


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    """The parser's own words come with file and line."""
    problems = _problems(tmp_path, "server:\n  listen: [a\n")

    assert len(problems) == 1
    assert problems[0].startswith("gate.yaml:3: not valid YAML: ")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("server: {}\nserver: {}\n", "gate.yaml:2: 'server' stands here twice"),
        ("- a\n", "gate.yaml:1: expected sections"),
        ("? [a]\n: b\n", "gate.yaml:1: a key must be a plain name"),
        ("a: ${env:NOT_SET}\n", "gate.yaml:1: the environment variable NOT_SET is not set"),
        ("a: ${file:absent}\n", "gate.yaml:1: can't read the file absent"),
        ('a: "${file:\\0}"\n', "gate.yaml:1: can't read the file \\x00"),
        ("a: ${file:/dev/zero}\n", "gate.yaml:1: can't read the file /dev/zero: "),
        ("a: !!bool maybe\n", "gate.yaml:1: 'maybe' is not a valid value"),
        ("a: !!int ''\n", "gate.yaml:1: '' is not a valid value"),
        ("a: !!timestamp x\n", "gate.yaml:1: 'x' is not a valid value"),
        (f"a: {'[' * 9999}\n", "gate.yaml: nests too deep"),
    ],
)
def test_what_can_not_be_read_is_named_with_its_line(tmp_path: Path, text: str, part: str) -> None:
    """Structure errors are found before validation."""
    assert any(problem.startswith(part) for problem in _problems(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path and the reason, not a traceback."""
    with pytest.raises(ConfigError, match=r"absent\.yaml: can't be read: No such file"):
        read_document(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", ["/dev/zero", "a\0b"])
def test_what_has_no_end_or_no_name_is_refused(name: str) -> None:
    """A device says that its size is 0; what it gives would fill the memory."""
    with pytest.raises(ConfigError, match=r"at most \d+|that is no file name"):
        read_document(Path(name))


def test_references_expand_as_in_the_collector(tmp_path: Path) -> None:
    """A lone reference takes the type of its value; within text it stays text; $$ is a dollar."""
    (tmp_path / "name.txt").write_text("from a file\n", encoding="utf-8")
    text = (
        "lone: ${env:PORT}\n"
        "quoted: '${env:PORT}'\n"
        "within: 'a:${env:PORT}'\n"
        "default: ${env:UNSET:-8s}\n"
        "empty: '${env:UNSET:-}'\n"
        "short: ${PORT}\n"
        "file: ${file:name.txt}\n"
        "dollar: $${env:PORT} costs $5\n"
    )

    document = read_document(_write(tmp_path, text), {"PORT": "4319"})

    assert document.data == {
        "lone": 4319,
        "quoted": 4319,
        "within": "a:4319",
        "default": "8s",
        "empty": "",
        "short": 4319,
        "file": "from a file",
        "dollar": "${env:PORT} costs $5",
    }


def test_an_expanded_value_is_data_and_never_structure(tmp_path: Path) -> None:
    """A variable can't smuggle sections into the configuration."""
    document = read_document(
        _write(tmp_path, "server: {listen: '${env:X}'}\n"), {"X": "{workers: 9}"}
    )

    assert document.data == {"server": {"listen": "{workers: 9}"}}


def test_aliases_that_would_expand_without_bound_are_refused(tmp_path: Path) -> None:
    """Nine levels of nine aliases would be 387 million values."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    with pytest.raises(ConfigError, match=f"more than {MAX_NODES} values"):
        read_document(_write(tmp_path, "\n".join(lines)))


def test_merge_keys_work_as_in_the_collector(tmp_path: Path) -> None:
    """`<<` takes over what it names; keys beside it win."""
    text = "a: &a {listen: x, workers: 1}\nserver: {<<: *a, workers: 2}\n"

    assert read_document(_write(tmp_path, text)).data["server"] == {"listen": "x", "workers": 2}


def test_suggestion_is_empty_where_nothing_is_known() -> None:
    """No list of nothing."""
    assert suggestion("a", []) == ""
