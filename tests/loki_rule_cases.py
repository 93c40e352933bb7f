"""Log alerts on both sides of their threshold: cases beside the rules, lines into the real Loki.

`config/loki/tests/<system>.yaml` has one entry for each alert of `config/loki/rules/fake/`:

    - alert: VelozErrorLogs
      stream: {service_name: veloz-gateway}      # index labels
      line: '{"level": "ERROR", "message": "x"}'
      metadata: {level: ERROR}                   # structured metadata, may be left out
      silent_with: 10                            # so many such lines in the window are too few
      fires_with: 11                             # and so many are enough
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tapeline.stack.binaries import SOURCE_ROOT

__all__ = ["RULES", "LogAlertCase", "cases", "push", "quick_rules", "rule_names"]

RULES = SOURCE_ROOT / "config" / "loki" / "rules"
_TESTS = SOURCE_ROOT / "config" / "loki" / "tests"
_PUSHED_AT_ONCE = 5000
_ATTEMPTS = 5


@dataclass(frozen=True)
class LogAlertCase:
    """How many of which lines make an alert fire, and how many do not."""

    alert: str
    stream: Mapping[str, str]
    line: str
    silent_with: int
    fires_with: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    def lines(self, begin: int, end: int) -> "Lines":
        """Return the lines number `begin` to `end`, each told from the others by its time."""
        return Lines(self.stream, [self.line] * (end - begin), self.metadata)


@dataclass(frozen=True)
class Lines:
    """Lines of one stream."""

    stream: Mapping[str, str]
    lines: Sequence[str]
    metadata: Mapping[str, str] = field(default_factory=dict)


def cases() -> tuple[LogAlertCase, ...]:
    """Return every case that is written down."""
    return tuple(
        LogAlertCase(**entry)
        for path in sorted(_TESTS.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def rule_names(folder: Path = RULES) -> list[str]:
    """Return the name of every alert of a folder of Loki's rules."""
    return [rule["alert"] for group in _groups(folder) for rule in group["rules"]]


def quick_rules(folder: Path, source: Path = RULES) -> Path:
    """Write the rules with the same expressions, evaluated every second and without `for`."""
    made = folder / "fake"
    made.mkdir(parents=True)
    groups = []
    for group in _groups(source):
        rules = [
            {name: value for name, value in rule.items() if name != "for"}
            for rule in group["rules"]
        ]
        groups.append({"name": group["name"], "interval": "1s", "rules": rules})
    text = yaml.safe_dump({"groups": groups}, sort_keys=False)
    (made / "all.yaml").write_text(text, encoding="utf-8")
    return folder


def _groups(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.glob("*/*.yaml")):
        yield from yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]


def push(loki_url: str, batches: Sequence[Lines], at_unix_nano: int | None = None) -> None:
    """Push lines, a nanosecond apart, the last of them now or at the given time."""
    at = time.time_ns() if at_unix_nano is None else at_unix_nano
    for batch in batches:
        values = [
            [str(at - len(batch.lines) + number), line, dict(batch.metadata)]
            for number, line in enumerate(batch.lines)
        ]
        for begin in range(0, len(values), _PUSHED_AT_ONCE):
            part = values[begin : begin + _PUSHED_AT_ONCE]
            _post(loki_url, {"streams": [{"stream": dict(batch.stream), "values": part}]})


def _post(loki_url: str, body: object) -> None:
    """Push once; a Loki that is too busy is asked again: what comes twice counts once."""
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        f"{loki_url}/loki/api/v1/push",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    for _ in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                assert answer.status == 204
                return
        except urllib.error.HTTPError as error:
            told = error.read().decode()
            if error.code < 500:
                raise AssertionError(told) from error
        time.sleep(1.0)
    raise AssertionError(f"Loki did not take it {_ATTEMPTS} times: {told}")
