"""The whole configuration: defaults, the reference file, the schema, the chain that is built."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from tapeline.pipeline.loader import ConfigError
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory
from tapeline.settings import build_chain, config_schema, load_settings

GATE = Path(__file__).parents[2] / "config" / "gate.yaml"


def _write(folder: Path, text: str) -> Path:
    path = folder / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(_write(folder, text), {})
    return "\n".join(caught.value.problems).replace(f"{folder}/", "")


def test_the_reference_file_says_every_default(tmp_path: Path) -> None:
    """Loading config/gate.yaml and loading nothing give the same settings."""
    written = load_settings(GATE, {})
    empty = load_settings(_write(tmp_path, ""), {})

    for section in ("server", "downstream", "admin", "record", "chain", "sections"):
        assert getattr(written, section) == getattr(empty, section), section


def test_addresses_of_the_reference_file_come_from_the_environment() -> None:
    """Compose and the native stack run the same file."""
    settings = load_settings(GATE, {"TAPELINE_LISTEN": "0.0.0.0:1234"})

    assert settings.server.listen == "0.0.0.0:1234"


def test_a_chain_may_only_name_what_is_installed(tmp_path: Path) -> None:
    """A misspelt processor is named with its line and the nearest one."""
    problems = _problems(tmp_path, "chain:\n  logs: [redation]\n")

    assert problems == (
        "gate.yaml:2: chain.logs: no processor 'redation' is installed; did you mean 'redaction'?"
    )


def test_a_processor_stands_once_in_a_chain(tmp_path: Path) -> None:
    """Twice is a mistake, not twice the safety."""
    assert "stands here twice" in _problems(tmp_path, "chain: {logs: [redaction, redaction]}\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("redaction: {mode: enforced}\n", "gate.yaml:1: redaction.mode: "),
        ("redaction: {mod: enforce}\n", "unknown key 'mod' in 'redaction'; did you mean 'mode'?"),
        ("server: {listen: nowhere}\n", "gate.yaml:1: server.listen: "),
        ("downstream: {timeout: 8}\n", "gate.yaml:1: downstream.timeout: not a duration: 8"),
        ("chain: [redaction]\n", "gate.yaml:1: chain: "),
        ("chain: {logs: [{redaction: on}]}\n", "gate.yaml:1: chain.logs[0]: "),
        ("chain: {logs: [[redaction]]}\n", "gate.yaml:1: chain.logs[0]: "),
        ("chain: {logs: [null]}\n", "gate.yaml:1: chain.logs[0]: "),
        ("chains: {}\n", "unknown key 'chains'; did you mean 'chain'?"),
    ],
)
def test_a_mistake_in_any_section_is_named_with_its_line(
    tmp_path: Path, text: str, part: str
) -> None:
    """Fixed sections and processors' sections alike."""
    assert part in _problems(tmp_path, text)


def test_what_only_a_processor_can_find_wrong_is_named_with_its_section(tmp_path: Path) -> None:
    """A key file that is too short shows when the chain is built."""
    (tmp_path / "key").write_text("short", encoding="utf-8")
    settings = load_settings(
        _write(tmp_path, f"redaction:\n  mode: enforce\n  hmac_key_file: {tmp_path}/key\n"), {}
    )

    with pytest.raises(ConfigError, match=r"gate\.yaml:3: redaction: hmac_key_file: .*32"):
        build_chain(settings, ProcessorContext(CollectorRegistry()))


def test_one_processor_serves_all_the_signals_that_name_it(tmp_path: Path) -> None:
    """It is built once: one state, one set of metrics."""
    settings = load_settings(_write(tmp_path, ""), {})

    chain = build_chain(settings, ProcessorContext(CollectorRegistry()))

    assert [processor.name for processor in chain.processors] == ["redaction", "cardinality"]


def test_the_schema_accepts_the_reference_file_and_refuses_an_unknown_key() -> None:
    """What an editor checks is what the loader checks."""
    schema = config_schema()
    document = yaml.safe_load(GATE.read_text(encoding="utf-8"))

    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError, match="wokers"):
        jsonschema.validate({"server": {"wokers": 1}}, schema)


def test_whatever_a_processor_raises_when_it_is_built_is_named_with_its_section(
    tmp_path: Path,
) -> None:
    """A plugin's mistake is an error in its section, not a traceback."""

    def fail(_section: BaseModel, _context: ProcessorContext) -> Processor:
        raise KeyError("venue")

    settings = load_settings(_write(tmp_path, ""), {})
    broken = ProcessorFactory("redaction", BaseModel, fail)
    settings = replace(settings, factories={"redaction": broken})

    with pytest.raises(ConfigError, match=r"gate\.yaml:1: redaction: KeyError: 'venue'"):
        build_chain(settings, ProcessorContext(CollectorRegistry()))


@pytest.mark.parametrize("section", ["redaction", "cardinality"])
def test_what_protects_has_no_failure_policy(tmp_path: Path, section: str) -> None:
    """Only processors of the kit may drop or pass what they failed on; redaction never does."""
    problems = _problems(tmp_path, f"{section}: {{on_failure: pass}}\n")

    assert f"unknown key 'on_failure' in '{section}'" in problems
