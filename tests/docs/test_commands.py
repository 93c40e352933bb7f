"""What pages show in a console is what happens: cheap commands are run, and their output compared.

Those that need running servers, or minutes, are held to their parts: hops, fixes, masks.
"""

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from markdown_pages import ROOT, Command, page, pages
from tapeline import __version__
from tapeline.demo.credentials import credentials
from tapeline.demo.proof import HEADER
from tapeline.doctor.findings import Finding, Severity
from tapeline.doctor.hops import Addresses, hops_of
from tapeline.otlp.json_lines import request_from_json, request_to_json
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.form import Form
from tapeline.pipeline.registry import ProcessorContext
from tapeline.settings import build_chain, load_settings

README = page(ROOT / "README.md")
GATE = ROOT / "config" / "gate.yaml"
CHEAP_PROGRAMS = (
    "tapeline check",
    "tapeline diff",
    "tapeline explain",
    "tapeline process",
    "tapeline test",
    "python",
)
RUN = tuple(f".venv/bin/{command}" for command in CHEAP_PROGRAMS)
SHOWN = [(read.name, command) for read in pages() for command in read.commands()]
CHEAP = [(name, command) for name, command in SHOWN if any(run in command.text for run in RUN)]


def matches(shown: tuple[str, ...], printed: str) -> bool:
    """Tell whether what a page shows is what was printed; an `…` stands for anything."""
    patterns = [line.replace("[", "[[]").replace("…", "*") for line in shown if line]
    lines = [line for line in printed.splitlines() if line]
    return len(patterns) == len(lines) and all(map(fnmatch.fnmatchcase, lines, patterns))


def test_the_comparison_is_not_blind() -> None:
    """Another line, one more, one less, or another order is not what was shown."""
    shown = ("a [b] …", "c")
    assert matches(shown, "a [b] anything\nc\n")
    assert not matches(shown, "a b anything\nc\n")
    assert not matches(shown, "a [b] x\n")
    assert not matches(shown, "c\na [b] x\n")


def test_there_are_commands_to_run() -> None:
    """Of the README and of three more pages, most of them with the output that they have."""
    assert len({name for name, _ in CHEAP}) >= 3
    assert sum(bool(command.output) for _, command in CHEAP) >= 5


@pytest.mark.parametrize(("name", "command"), CHEAP, ids=[f"{n}:{c.line}" for n, c in CHEAP])
def test_a_command_prints_what_the_page_shows(name: str, command: Command) -> None:
    """From the repository's root, with the environment that runs this test as .venv."""
    line = command.text.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("TAPELINE_")}
    run = subprocess.run(
        ["/bin/bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert "Traceback" not in run.stderr
    assert matches(command.output, run.stdout), f"{name}:{command.line}: it prints {run.stdout}"


def test_the_doctor_of_the_readme_walks_the_hops_that_there_are() -> None:
    """Each hop with its default address, in order, and the finding of the one that fails."""
    hops = hops_of(Addresses("127.0.0.1:4319", "127.0.0.1:8090", "127.0.0.1:14317"))
    failing = next(hop for hop in hops if hop.name == "Loki")
    expected = [f"tapeline {__version__} ({Form.PURE})"]  # an editable install
    expected += [
        f"{'FAIL' if hop is failing else 'ok':<5} {hop.name:<20} {hop.address}" for hop in hops
    ]
    problem = "does not answer ([Errno 111] Connection refused)"
    place = f"{failing.name} ({failing.address})"
    expected.append(Finding("hop", Severity.ERROR, place, problem, failing.fix).as_line())

    (command,) = [shown for shown in README.commands() if "tapeline doctor" in shown.text]
    assert [line for line in command.output if line] == expected


def redacted(record: dict[str, object]) -> dict[str, Any]:
    """Return what the gate's chain makes of one log record."""
    line = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    signal, payload = request_from_json(line.encode())
    chain = build_chain(load_settings(GATE, {}), ProcessorContext(CollectorRegistry(), live=False))
    (batch,) = chain.process(Batch(signal, payload), 0)
    request = json.loads(request_to_json(signal, batch.payload))
    found: dict[str, Any] = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    return found


def test_the_readme_shows_what_the_demo_leaks_and_what_becomes_of_it() -> None:
    """The credentials of the demo's seed, and the masks of the chain that the gate runs."""
    text = README.path.read_text(encoding="utf-8")
    secrets = credentials(1)
    body = f"feed login failed: user=strategy password={secrets.log_password}"
    token = f"Bearer {secrets.bearer_token}"
    attribute = {"key": HEADER, "value": {"stringValue": token}}
    after = redacted({"body": {"stringValue": body}, "attributes": [attribute]})

    assert f"    sent    {body}\n" in text
    assert f"    Loki    {after['body']['stringValue']}\n" in text
    cut = next(line for line in text.splitlines() if line.startswith(f"    sent    {HEADER}"))
    assert cut.endswith("…")
    assert f"    sent    {HEADER} = {token}".startswith(cut.removesuffix("…"))
    (left,) = after["attributes"]
    assert f"    Jaeger  {HEADER} = {left['value']['stringValue']}\n" in text
