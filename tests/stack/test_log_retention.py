"""Retention by class, in the real Loki: what is older than its class goes, what is younger stays.

The clock can't be turned forward, so lines come with old times. Loki runs with its own
configuration and a compactor that looks more often.
"""

import base64
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from backends import fetch
from loki_rule_cases import Lines, push
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.ports import Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides, Plan, topology
from waiting import eventually

pytestmark = pytest.mark.stack

DAYS = {"auth": 90, "order": 365, "api_key": 365, "error": 30, "access": 14, "": 7}
"""How long VeloZ's guide keeps each class; all else, seven days."""
PY_RT_DAYS = 30
"""How long py_rt's document keeps its logs, of any level."""
PY_RT = '{service_name=~"py-rt-.+"}'
_DAY_NS = 86_400 * 10**9
_OFTEN = (
    "-compactor.compaction-interval=2s",
    "-compactor.retention-delete-delay=1s",
    "-ingester.flush-on-shutdown=true",
)


def test_the_configuration_keeps_each_class_as_long_as_the_guide_says() -> None:
    """By index labels alone; the default is seven days, deletion is on. py_rt has a variable."""
    text = (SOURCE_ROOT / "config" / "loki" / "loki.yaml").read_text(encoding="utf-8")
    for variable, default in {"LOKI_RETENTION": "168h", "PY_RT_LOG_RETENTION": "720h"}.items():
        assert text.count(f"${{{variable}:-{default}}}") == 1, variable
        text = text.replace(f"${{{variable}:-{default}}}", default)
    loki = yaml.safe_load(text)
    limits = loki["limits_config"]
    kept = {rule["selector"]: rule["period"] for rule in limits["retention_stream"]}
    classes = {f'{{log_class="{name}"}}': f"{days * 24}h" for name, days in DAYS.items() if name}
    assert kept == classes | {PY_RT: f"{PY_RT_DAYS * 24}h"}
    priorities = {rule["selector"]: rule["priority"] for rule in limits["retention_stream"]}
    assert min(priorities[name] for name in classes) > priorities[PY_RT], "a class goes first"
    assert limits["retention_period"] == "168h"
    (labels,) = limits["otlp_config"]["resource_attributes"]["attributes_config"]
    assert labels["action"] == "index_label"
    assert "log.class" in labels["attributes"]
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["compactor"]["delete_request_store"] == "filesystem"


def stored_ages_days(run: Path, now_unix_nano: int) -> set[int]:
    """Return the age of each chunk in the store, from its name: begin:end:checksum in base 64."""
    names = [path.name for path in (run / "data/loki/chunks/fake").glob("*/*")]
    begins = [int(base64.b64decode(name).split(b":")[0], 16) for name in names]
    return {round((now_unix_nano - begin * 10**6) / _DAY_NS) for begin in begins}


def test_lines_go_when_their_class_is_due(tmp_path: Path) -> None:
    """Each class has a line a little younger than its limit and one a little older."""
    ports, run = Ports.free(), tmp_path / "run"
    (loki,) = topology(Plan(SOURCE_ROOT, run, ports, Overrides()), ("loki",))
    often = replace(loki, arguments=(*loki.arguments, *_OFTEN))
    # api_key and order are kept as long: other ages tell their lines apart.
    margins = {name: 3 if name == "api_key" else 1 for name in DAYS}
    young = {days - margins[name] for name, days in DAYS.items()} | {PY_RT_DAYS - 2}
    old = {days + margins[name] for name, days in DAYS.items()} | {PY_RT_DAYS + 2}
    now = time.time_ns()
    with Stack(run, ports, servers=(), overrides=Overrides(units=(often,))) as stack:
        url = stack.url("loki")
        for name, days in DAYS.items():
            for age in (days + margins[name], days - margins[name]):
                stream = {"service_name": f"age-{age}"} | ({"log_class": name} if name else {})
                push(url, [Lines(stream, [f"{name} {age}"])], now - age * _DAY_NS)
        for age in (PY_RT_DAYS + 2, PY_RT_DAYS - 2):
            push(url, [Lines({"service_name": f"py-rt-{age}"}, ["no class"])], now - age * _DAY_NS)
        fetch(f"{url}/flush", b"")
        eventually(lambda: stored_ages_days(run, now) == young | old)
        stack.restart("loki")  # which ships the index to the store, where the compactor works
        eventually(lambda: stored_ages_days(run, now) == young, timeout_s=150)
