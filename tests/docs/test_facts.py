"""Tables and samples on the pages say what the code, the configuration and the files say."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from markdown_pages import ROOT, page
from tapeline.settings import Settings, config_schema, load_settings
from tapeline.stack.ports import Ports
from tapeline.transport.answers import ANSWERS, PASSED_THROUGH, Code, Event
from tapeline.transport.metrics import OVERSIZE_OR_GONE

ARCHITECTURE = page(ROOT / "docs" / "architecture.md")
COLLECTOR = page(ROOT / "docs" / "collector.md")
OPERATIONS = page(ROOT / "docs" / "operations.md")
GATE = ROOT / "config" / "gate.yaml"
SIGNALS = ROOT / "config" / "signals.yaml"
DOCTOR = ROOT / "processors" / "tapeline" / "doctor"
SECTIONS = ("server", "downstream", "admin", "record", "chain")
_CODE = re.compile(r"`([^`]+)`")
_OWN_METRIC = re.compile(r"\btapeline_[a-z_]+\b")
_EXAMPLE = re.compile(r"^\s*(?P<key>\w+): null\s+# or (?P<example>\{.*\})$", re.MULTILINE)
_FINDING = re.compile(r'Finding\(\s*"([a-z-]+)",\s*Severity\.(\w+),')


def schema_keys() -> Iterator[tuple[str, str]]:
    """Yield each section of the configuration with each of its keys."""
    schema = config_schema()
    for section, reference in schema["properties"].items():
        if "type" in reference:
            continue  # No section: a list of files.
        name = (reference.get("$ref") or reference["allOf"][0]["$ref"]).rpartition("/")[2]
        for key in schema["$defs"][name]["properties"]:
            yield section, key


def settings_of(folder: Path, text: str) -> Settings:
    """Load a configuration from its text, without any variable."""
    path = folder / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, {})


def test_the_reference_file_has_every_key() -> None:
    """config/gate.yaml says so of itself, and config/signals.yaml of its section."""
    written = yaml.safe_load(GATE.read_text(encoding="utf-8"))
    written["signals"] = yaml.safe_load(SIGNALS.read_text(encoding="utf-8"))["signals"]
    missing = [f"{section}.{key}" for section, key in schema_keys() if key not in written[section]]
    assert len(list(schema_keys())) > 20
    assert missing == []


def test_examples_in_the_reference_file_are_valid(tmp_path: Path) -> None:
    """What stands in a comment above a `null` can stand in its place."""
    lines = GATE.read_text(encoding="utf-8").splitlines()
    tried = 0
    for number, line in enumerate(lines):
        example = re.search(r"\{.*\}", lines[number - 1])
        if not line.endswith(": null") or example is None:
            continue
        changed = lines.copy()
        changed[number] = line.replace("null", example.group())
        settings_of(tmp_path, "\n".join(changed))
        tried += 1
    assert tried >= 5


def config_sample() -> str:
    """Return the configuration that the architecture shows."""
    (block,) = [b for b in ARCHITECTURE.blocks if b.language == "yaml"]
    return block.text


def test_the_architecture_shows_the_configuration_with_its_defaults(tmp_path: Path) -> None:
    """Every key of the transport's sections, and no value that is not the default."""
    shown, empty = settings_of(tmp_path, config_sample()), settings_of(tmp_path, "")
    for section in (*SECTIONS, "sections"):
        assert getattr(shown, section) == getattr(empty, section), section
    written = yaml.safe_load(config_sample())
    missing = [
        f"{section}.{key}"
        for section, key in schema_keys()
        if section in SECTIONS and key not in written[section]
    ]
    assert missing == []


def test_what_may_stand_for_null_in_the_architecture_is_valid(tmp_path: Path) -> None:
    """Quarantine, TLS and tokens, in both directions."""
    examples = list(_EXAMPLE.finditer(config_sample()))
    assert [match["key"] for match in examples] == ["quarantine", "tls", "auth", "tls", "auth"]
    for match in examples:
        begin, end = match.span()
        replaced = match.group().replace("null", match["example"], 1)
        settings_of(tmp_path, config_sample()[:begin] + replaced + config_sample()[end:])


def test_the_folders_of_the_architecture_are_the_tree() -> None:
    """What is listed exists, and each folder of the package is listed."""
    block = next(b for b in ARCHITECTURE.blocks if "pyproject.toml" in b.text)
    listed: dict[str, list[str]] = {"": [], "processors/tapeline/": []}
    for line in block.lines:
        parent = "processors/tapeline/" if line.startswith(" ") else ""
        names = re.split(r" {3,}", line.strip())[0].split()
        listed[parent] += [name.rstrip("/") for name in names]
    for parent, names in listed.items():
        assert [name for name in names if not (ROOT / parent / name).exists()] == []
    package = ROOT / "processors" / "tapeline"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert folders <= set(listed["processors/tapeline/"])


def codes_in(cell: str) -> set[str]:
    """Return the gRPC codes that a cell names."""
    return {word for word in re.findall(r"\b[A-Z_]{4,}\b", cell) if word in Code.__members__}


def test_the_answer_table_is_the_one_that_runs() -> None:
    """What passes, what becomes a retry, and which events carry RetryInfo."""
    rows = {row[0]: row for row in ARCHITECTURE.table("what happened")}
    (final,) = [row for what, row in rows.items() if "refuses the data for good" in what]
    (retried,) = [row for what, row in rows.items() if "anything else" in what]
    assert codes_in(final[0]) == {code.name for code in PASSED_THROUGH}
    others = set(Code) - PASSED_THROUGH - {Code.OK, Code.UNAVAILABLE}
    assert codes_in(retried[0]) == {code.name for code in others}
    (waiting,) = [row for what, row in rows.items() if what.startswith("overloaded")]
    assert waiting[1] == "UNAVAILABLE with RetryInfo"
    for event in (Event.OVERLOADED, Event.STARTING, Event.DRAINING, Event.DOWNSTREAM_UNAVAILABLE):
        assert ANSWERS[event].code is Code.UNAVAILABLE
        assert ANSWERS[event].retry_after_s is not None


def test_every_reason_of_a_refusal_is_explained() -> None:
    """With what its sender hears: to come back, or not."""
    told: dict[str, str] = {}
    for names, hears, _ in OPERATIONS.table("reason"):
        told |= dict.fromkeys(_CODE.findall(names), hears)
    silent = {Event.ACKNOWLEDGED, Event.EMPTY}
    assert set(told) == {event.value for event in Event if event not in silent} | {OVERSIZE_OR_GONE}
    for event, answer in ANSWERS.items():
        if event not in silent:
            assert told[event.value].startswith("retry") is (answer.retry_after_s is not None)


def test_the_ports_are_the_stacks() -> None:
    """Each with its name and number, in the order of --port-base; and those of compose."""
    rows = OPERATIONS.table("port")
    assert [(int(port), name.strip("`")) for port, name, *_ in rows] == [
        (port, name) for name, port in asdict(Ports()).items()
    ]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    published = {
        mapping.rpartition(":")[2]
        for service in compose["services"].values()
        for mapping in service.get("ports", ())
    }
    (sentence,) = [line for _, line in OPERATIONS.prose if line.startswith("In containers only")]
    assert set(re.findall(r"\d{4,5}", sentence)) == published


def test_every_own_metric_that_is_named_exists() -> None:
    """In the metadata of the transport or of a processor."""
    known: set[str] = set()
    for path in (ROOT / "processors" / "tapeline").glob("*/metadata.yaml"):
        metrics: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["metrics"]
        known |= set(metrics)
    named = {
        name
        for read in (OPERATIONS, COLLECTOR, ARCHITECTURE, page(ROOT / "docs" / "limits.md"))
        for _, content, _ in read.code()
        for name in _OWN_METRIC.findall(content)
    } - {"tapeline_", "tapeline_signals_"}
    assert len(named) > 15
    assert named <= known


def test_every_rule_of_the_collector_check_is_explained() -> None:
    """With its severity; hops are explained where they are walked."""
    rules: dict[str, str] = {}
    for path in DOCTOR.glob("*.py"):
        for name, severity in _FINDING.findall(path.read_text(encoding="utf-8")):
            rules[name] = severity.lower()
    del rules["hop"]
    rows = COLLECTOR.table("rule")
    assert {row[0].strip("`"): row[1] for row in rows} == rules


def test_the_readme_names_the_versions_that_are_asked_for() -> None:
    """Python's by pyproject.toml, Go's by the highest `go` line of the native modules."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (python,) = re.findall(r'requires-python = ">=([\d.]+)"', pyproject)
    versions = {
        tuple(map(int, version.split(".")))
        for path in (ROOT / "collector" / "native").glob("*/go.mod")
        for version in re.findall(r"^go ([\d.]+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python ≥ {python}," in text
    assert f"Go ≥ {'.'.join(map(str, max(versions)))} " in text
