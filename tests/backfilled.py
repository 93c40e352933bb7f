"""A real Prometheus with data of known times and values: what checks of queries are tested on."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backends import fetch
from ports import free_port
from promtool import promtool
from tapeline.stack.binaries import require
from waiting import eventually

__all__ = ["Backfilled", "backfilled_prometheus"]

_STEP_S = 5
_SAMPLES = 180
_HOUR_S = 3600


@dataclass(frozen=True)
class Backfilled:
    """A Prometheus, and the time at which its data ends."""

    url: str
    end_ms: int


def _openmetrics(end_s: int) -> str:
    """Return 15 minutes of a counter, a histogram and gauges, a sample every 5 seconds."""
    times = [(at, end_s - (_SAMPLES - at) * _STEP_S) for at in range(_SAMPLES + 1)]
    lines = ["# TYPE orders counter"]
    for symbol in ("BTC", "ETH"):
        lines += [f'orders_total{{symbol="{symbol}"}} {2 * at} {t}' for at, t in times]
    lines.append("# TYPE latency_seconds histogram")
    for bound, share in (("0.1", 1), ("0.5", 2), ("+Inf", 2)):
        lines += [f'latency_seconds_bucket{{le="{bound}"}} {share * at} {t}' for at, t in times]
    lines += [f"latency_seconds_count {2 * at} {t}" for at, t in times]
    lines += [f"latency_seconds_sum {0.2 * at} {t}" for at, t in times]
    lines.append("# TYPE none gauge")
    lines += [f"none NaN {t}" for _, t in times]
    lines.append("# TYPE many gauge")
    for number in range(60):
        lines += [f'many{{n="{number}"}} 1 {t}' for _, t in times[-40:]]
    lines.append("# EOF\n")
    return "\n".join(lines)


@contextmanager
def backfilled_prometheus(folder: Path) -> Iterator[Backfilled]:
    """Start Prometheus on blocks that promtool wrote."""
    end_s = int(time.time()) // _HOUR_S * _HOUR_S - _HOUR_S
    (folder / "data.txt").write_text(_openmetrics(end_s), encoding="utf-8")
    (folder / "empty.yml").write_text("{}\n", encoding="utf-8")
    blocks = folder / "tsdb"
    promtool("tsdb", "create-blocks-from", "openmetrics", folder / "data.txt", blocks)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(require("prometheus")),
        f"--config.file={folder / 'empty.yml'}",
        f"--storage.tsdb.path={blocks}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            eventually(lambda: fetch(f"{url}/-/ready"))
            yield Backfilled(url, end_s * 1000)
        finally:
            process.terminate()
