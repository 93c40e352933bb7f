"""The LogQL of the runbooks and of the documents' queries is LogQL: the real Loki reads it."""

import json
import urllib.error
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from backends import fetch
from rule_checks import fences
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack

pytestmark = pytest.mark.stack
RUNBOOKS = SOURCE_ROOT / "docs" / "runbooks"
QUERIES = SOURCE_ROOT / "config" / "loki" / "queries"


@pytest.fixture(name="loki", scope="module")
def _loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ports = Ports.free()
    with Stack(tmp_path_factory.mktemp("loki") / "run", ports, servers=("loki",)):
        yield f"http://{HOST}:{ports.loki}"


def refusal(loki: str, query: str) -> str | None:
    """Return why Loki can't read a query, or None where it can."""
    try:
        address = f"{loki}/loki/api/v1/format_query?{urllib.parse.urlencode({'query': query})}"
        answer = json.loads(fetch(address))
    except urllib.error.HTTPError as error:
        return error.read().decode()
    return None if answer["status"] == "success" else str(answer)


def _of_runbooks(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [query for kind, query in fences(text) if kind == "logql"]


def test_loki_refuses_what_is_no_logql(loki: str) -> None:
    """And reads what is."""
    assert "parse error" in (refusal(loki, "{a=}") or "")
    assert refusal(loki, '{a="b"} |= "c"') is None


def test_every_query_of_a_runbook_is_logql(loki: str) -> None:
    """Those in fences of logql."""
    found = [(path.name, query) for path in RUNBOOKS.glob("*.md") for query in _of_runbooks(path)]

    assert found
    refused = [(name, query, refusal(loki, query)) for name, query in found]
    assert [each for each in refused if each[2] is not None] == []


def test_every_query_of_the_documents_is_logql(loki: str) -> None:
    """Whatever the floor's logs hold."""
    found = [
        (path.name, each["name"], each["query"])
        for path in QUERIES.glob("*.yaml")
        for each in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]

    assert found
    refused = [(*each, refusal(loki, each[2])) for each in found]
    assert [each for each in refused if each[3] is not None] == []
