"""The peers' redaction looks for the same, finds it, and finds nothing in the bench's load."""

import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from bench.patterns import KEY_PATTERNS, VALUE_PATTERNS
from bench.payloads import load_of

from tapeline.otlp.signals import Signal

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Value:
    """Stands for Rotel's AnyValue: reading gives the Python value, writing a string."""

    value: object

    @property
    def string_value(self) -> str:
        """What was set."""
        return str(self.value)

    @string_value.setter
    def string_value(self, text: str) -> None:
        self.value = text


@dataclass
class Attribute:
    """Stands for Rotel's KeyValue."""

    key: str
    value: Value = field(default_factory=lambda: Value(""))


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The processor file, loaded as Rotel loads it: by path, patterns in the environment."""
    patterns = json.dumps({"values": VALUE_PATTERNS, "keys": KEY_PATTERNS})
    monkeypatch.setenv("BENCH_PATTERNS", patterns)
    path = ROOT / "bench" / "rotel_redaction.py"
    spec = importlib.util.spec_from_file_location("rotel_redaction_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rotels_processor_masks_keys_and_values(processor: ModuleType) -> None:
    """A secret key's value, a secret in a value and one in a body go; the rest stays."""
    record = SimpleNamespace(
        body=Value("login with password" + "=hunter2 failed"),
        attributes=[
            Attribute("api_key", Value("abc")),
            Attribute("url", Value("https://user:" + "pw@host/")),
            Attribute("venue", Value("XNAS")),
            Attribute("count", Value(3)),
        ],
    )
    logs = SimpleNamespace(
        resource=SimpleNamespace(attributes=[Attribute("service.name", Value("engine"))]),
        scope_logs=[SimpleNamespace(log_records=[record])],
    )
    processor.process_logs(logs)

    assert record.body.value == "login with **** failed"
    assert [each.value.value for each in record.attributes] == ["****", "****host/", "XNAS", 3]
    assert logs.resource.attributes[0].value.value == "engine"


@pytest.mark.parametrize("signal", list(Signal))
def test_the_load_holds_nothing_to_redact(signal: Signal) -> None:
    """What is measured is the cost of looking: no pattern finds anything in what is sent."""
    text = load_of(signal).batches[0].decode("latin-1")

    assert [p for p in (*VALUE_PATTERNS, *KEY_PATTERNS) if re.search(p, text)] == []
