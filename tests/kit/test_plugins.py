"""Processors from files: what a configuration may list, and how it is told what is wrong."""

import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from kit_records import logs, records_of
from tapeline.kit.plugins import PluginError, load_plugin
from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.registry import (
    ENTRY_POINT_GROUP,
    ProcessorContext,
    RegistryError,
    load_factory,
)
from tapeline.settings import build_chain, load_settings

DROP = """\
from tapeline.kit import LogRecord, processor


@processor(name="drop_heartbeats")
def drop_heartbeats(record: LogRecord) -> None:
    if record.body_text == "heartbeat":
        record.drop()
"""
CHAIN = "chain: {logs: [drop_heartbeats], traces: [], metrics: []}\n"


def written(folder: Path, config: str, **files: str) -> Path:
    """Write a configuration, and Python files beside it."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    path = folder / "gate.yaml"
    path.write_text(config, encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    """Return what is wrong with a configuration, without the name of its folder."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


def bodies_after(path: Path, *bodies: str) -> list[str]:
    """Return the log bodies that are left behind the chain of a configuration."""
    chain = build_chain(load_settings(path, {}), ProcessorContext(CollectorRegistry()))
    return [
        record.body.string_value
        for batch in chain.process(logs(*bodies), 1)
        for record in records_of(batch)
    ]


def test_a_file_that_the_configuration_lists_runs_in_the_chain(tmp_path: Path) -> None:
    """Its path is relative to the configuration."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "drop.py").write_text(DROP, encoding="utf-8")
    path = written(tmp_path, f"plugins: [below/drop.py]\n{CHAIN}")

    assert bodies_after(path, "a", "heartbeat", "b") == ["a", "b"]
    assert bodies_after(path, "heartbeat") == []


def test_a_section_of_a_plugin_is_validated_with_its_line(tmp_path: Path) -> None:
    """By the common keys, and by its own."""
    path = written(
        tmp_path, f"plugins: [p.py]\n{CHAIN}drop_heartbeats:\n  on_failur: drop\n", p=DROP
    )

    assert problems(path) == [
        "gate.yaml:4: unknown key 'on_failur' in 'drop_heartbeats'; did you mean 'on_failure'?"
    ]


def test_a_changed_file_is_taken_when_it_is_loaded_again(tmp_path: Path) -> None:
    """Whatever its time and size are: no cache of bytecode stands between."""
    path = written(tmp_path, f"plugins: [p.py]\n{CHAIN}", p=DROP)
    assert bodies_after(path, "heartbeat", "HEARTBEAT") == ["HEARTBEAT"]

    written(tmp_path, f"plugins: [p.py]\n{CHAIN}", p=DROP.replace('"heartbeat"', '"HEARTBEAT"'))
    assert bodies_after(path, "heartbeat", "HEARTBEAT") == ["heartbeat"]
    assert [each.name for each in tmp_path.iterdir() if each.name == "__pycache__"] == []


def test_dataclasses_and_later_annotations_work_in_a_plugin(tmp_path: Path) -> None:
    """Both look up their module by its name."""
    plugin = DROP.replace(
        "from tapeline",
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom tapeline",
        1,
    ).replace("record: LogRecord)", "record: LogRecord, settings: Settings)")
    plugin = plugin.replace('"heartbeat"', "settings.body").replace(
        "@processor", "@dataclass\nclass Settings:\n    body: str = 'ping'\n\n\n@processor"
    )
    path = written(tmp_path, f"plugins: [p.py]\n{CHAIN}", p=plugin)

    assert bodies_after(path, "heartbeat", "ping") == ["heartbeat"]


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ("import nowhere_to_be_found\n", "p.py:1: no module named 'nowhere_to_be_found': install"),
        ("import q\n", "p.py:1: no module named 'q'; q.py lies beside it, but a plugin is one"),
        ("x = 1\ny = = 2\n", "p.py:2: not valid Python: invalid syntax"),
        ("x = 1\n\ny = x / 0\n", "p.py:3: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "p.py:1: SystemExit: 3"),
        ("x = 1\n", "p.py: there is no processor in it; write @processor(name=...)"),
        (DROP.replace("record: LogRecord", ""), "p.py:4: drop_heartbeats: the function takes"),
        (DROP.replace("-> None", "-> bool"), "p.py:4: drop_heartbeats: it returns nothing"),
        (DROP.replace('"drop_heartbeats"', '"server"'), "p.py:4: 'server' is the name of a se"),
        (DROP.replace('"drop_heartbeats"', '"plugins"'), "p.py:4: 'plugins' is the name of a se"),
        (DROP.replace('"drop_heartbeats"', '"redaction"'), "p.py:4: an installed processor is nam"),
        (DROP + DROP.replace("def drop", "def other"), "p.py:11: a second processor named 'drop_"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_used_is_named_with_its_line(
    tmp_path: Path, plugin: str, said: str
) -> None:
    """And with that of the configuration that lists it."""
    (problem,) = problems(written(tmp_path, f"\nplugins: [p.py]\n{CHAIN}", p=plugin, q=""))

    assert problem.startswith(f"gate.yaml:2: plugins[0]: {said}")


def test_two_files_may_not_have_processors_of_one_name(tmp_path: Path) -> None:
    """Both places are named."""
    path = written(tmp_path, f"plugins:\n  - p.py\n  - q.py\n{CHAIN}", p=DROP, q=DROP)

    (problem,) = problems(path)
    assert problem == (
        "gate.yaml:3: plugins[1]: q.py:4: a second processor named 'drop_heartbeats'; the first one"
        " is at p.py:4: give one of them another name"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As is what can't be a file at all."""
    path = written(tmp_path, f"plugins: [gone.py]\n{CHAIN}")
    assert problems(path) == [
        "gate.yaml:1: plugins[0]: gone.py: can't be read: No such file or directory"
    ]
    os.mkfifo(tmp_path / "pipe.py")
    (problem,) = problems(written(tmp_path, f"plugins: [pipe.py]\n{CHAIN}"))
    assert "pipe.py is not a regular file" in problem
    for value in ("gone.py", "{a: b}", "[1]", '[""]', str([f"{n}.py" for n in range(101)])):
        path = written(tmp_path, f"plugins: {value}\nchain: {{logs: []}}\n")
        assert all(problem.startswith("gate.yaml:1: plugins") for problem in problems(path))


def test_a_chain_of_another_signal_may_not_name_it(tmp_path: Path) -> None:
    """It would never be called there, and nobody would know."""
    path = written(tmp_path, "plugins: [p.py]\nchain:\n  traces: [drop_heartbeats]\n", p=DROP)

    assert problems(path) == [
        "gate.yaml:3: chain.traces: 'drop_heartbeats' takes logs only: take it out of this chain"
    ]


def test_a_file_that_no_chain_uses_is_a_mistake(tmp_path: Path) -> None:
    """What should protect would not; one of several processors in a chain is enough."""
    second = DROP.replace("drop_heartbeats", "other")
    path = written(tmp_path, "plugins: [p.py]\nother: {}\n", p=DROP + second)
    (problem,) = problems(path)
    assert problem == (
        "gate.yaml:1: plugins: p.py: no chain names drop_heartbeats or other: add it to chain.logs,"
        " or take the file out"
    )

    assert bodies_after(written(tmp_path, f"plugins: [p.py]\n{CHAIN}"), "heartbeat", "a") == ["a"]


def test_a_misspelt_name_finds_that_of_a_plugin(tmp_path: Path) -> None:
    """As with installed ones."""
    path = written(tmp_path, "plugins: [p.py]\nchain: {logs: [drop_heartbeat]}\n", p=DROP)

    assert "did you mean 'drop_heartbeats'?" in problems(path)[0]


def test_an_entry_point_may_name_what_is_decorated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a processor of the kit becomes a package as it is; its name must be the entry point's."""
    (tmp_path / "packaged_filter.py").write_text(DROP, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    value = "packaged_filter:drop_heartbeats"

    assert load_factory(EntryPoint("drop_heartbeats", value, ENTRY_POINT_GROUP)).name in value
    with pytest.raises(RegistryError, match="calls itself 'drop_heartbeats'"):
        load_factory(EntryPoint("other", value, ENTRY_POINT_GROUP))


def test_a_file_larger_than_a_program_is_refused(tmp_path: Path) -> None:
    """A recording that is listed by mistake is not compiled."""
    path = tmp_path / "p.py"
    path.write_bytes(b"#" * (1024 * 1024 + 1))

    with pytest.raises(PluginError, match="more than 1048576 bytes; is that the right file"):
        load_plugin(path)


def test_what_a_file_only_imports_is_not_its_processor_twice(tmp_path: Path) -> None:
    """A second name for the same processor is no second processor."""
    path = written(tmp_path, "", p=f"{DROP}\nagain = drop_heartbeats\n").with_name("p.py")

    assert [each.factory.name for each in load_plugin(path)] == ["drop_heartbeats"]
