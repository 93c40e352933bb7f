"""Serves with a processor that reports, in one process or several workers.

Not a test: test_reports.py starts it. Arguments: address, admin address, number of workers.
"""

import sys
from collections.abc import Callable, Sequence

from prometheus_client import Gauge

from tapeline.admin.config import AdminConfig
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.markup import Markup, element
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report, Result
from tapeline.pipeline.registry import ProcessorContext
from tapeline.transport.config import DownstreamConfig, ServerConfig
from tapeline.transport.service import ServiceSettings, run

MANY = 20_000  # series, so that an exposition comes in many pieces


class Diary:
    """Counts records, and reports how many; more than one read of a socket gives."""

    name = "diary"

    def __init__(self, context: ProcessorContext) -> None:
        self._records = 0
        gauge = Gauge("diary_page", "A page.", ["number"], registry=context.registry)
        for number in range(MANY):
            gauge.labels(str(number)).set(context.worker_index)

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Count the records of a batch."""
        del now_unix_nano
        self._records += batch.framing.record_count
        return Result(batch)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    def report(self) -> Callable[[], Report]:
        """Tell how many there were now."""
        records = self._records
        return lambda: {"records": [records], "length": len("x" * 300_000), "text": "x" * 300_000}


def merge(reports: Sequence[Report]) -> Report:
    """List each worker's count, and the lengths of their texts."""
    return {
        "records": [count for report in reports for count in report["records"]],
        "lengths": [len(report.get("text", "")) for report in reports],
        **({"text": reports[0]["text"]} if len(reports) == 1 else {}),
    }


def body(report: Report) -> Markup:
    """Say it."""
    return element("p", f"records: {report['records']}", id="records")


if __name__ == "__main__":
    address, admin, workers = sys.argv[1:]
    settings = ServiceSettings(
        ServerConfig(listen=address, workers=int(workers)),
        DownstreamConfig(endpoint="discard"),
        AdminConfig(listen=admin),
        {"diary": Page("Diary", merge, body)},
    )
    sys.exit(
        run(
            settings,
            lambda context: Chain({Signal.LOGS: [Diary(context)]}),
            worker_command=(sys.executable, *sys.argv),
        )
    )
