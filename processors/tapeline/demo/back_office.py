"""The third part of the demo: keeps a JSON log file of executions, and knows no OpenTelemetry.

It is told of each execution by HTTP and writes the trace id that came in the `traceparent` header
into its log, so that a line that was tailed from a file joins the trace it belongs to.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tapeline.demo.credentials import Leak, credentials, leak_at
from tapeline.demo.log_file import RotatingLog, json_line, trace_of
from tapeline.demo.messages import Settings
from tapeline.demo.service import run_service, settings_from

__all__ = ["main"]

_ROTATED_KEPT = 3
_NOT_JSON_EVERY = 25  # executions; as a library that prints to the same file would


class BackOffice:
    """Writes what it is told into its log file."""

    def __init__(self, settings: Settings, log: RotatingLog) -> None:
        self._log = log
        self._credentials = credentials(settings.seed)
        self._count = 0

    async def drop_copy(self, request: web.Request) -> web.Response:
        """Log one execution: its fields as JSON, sometimes with what should not be there."""
        fields = dict(await request.json())
        number = int(fields.pop("number"))
        trace = trace_of(request.headers.get("traceparent", ""))
        now = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        leak = leak_at(number)
        if leak is Leak.FILE_JSON:
            fields["settlement"] = {"access_key": self._credentials.file_access_key}
        self._log.write_line(json_line(now, "INFO", "order filled", trace, fields))
        self._count += 1
        if leak is Leak.FILE_TEXT:
            self._log.write_line(
                f"{now} sftp upload failed, user=ledger password={self._credentials.file_password}"
            )
        elif self._count % _NOT_JSON_EVERY == 0:
            self._log.write_line(f"{now} ledger: checkpoint {self._count} written in 0.2 ms")
        return web.json_response({"logged": self._count})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal ends it."""
    settings = settings_from(sys.argv[1:] if arguments is None else arguments)
    path = Path(settings.log_path)
    with RotatingLog(path, size_bytes_max=settings.log_size_bytes, keep=_ROTATED_KEPT) as log:
        application = web.Application()
        application.router.add_post("/drop-copy", BackOffice(settings, log).drop_copy)
        return run_service(application, settings.back_office_port, asyncio.Event().wait)


if __name__ == "__main__":
    sys.exit(main())
