"""A processor's page on an admin server of its own, without a gate behind it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tapeline.admin.config import AdminConfig
from tapeline.admin.server import AdminServer, Health, bind
from tapeline.pipeline.pages import Page
from tapeline.pipeline.processor import Report


@dataclass(frozen=True)
class _Subject:
    """A gate of one worker, of which nothing is known but a report."""

    name: str
    report: Callable[[], Report]

    async def health(self) -> Health:
        return Health(())

    async def exposition(self) -> bytes:
        return b""

    async def reports(self, name: str) -> Sequence[Report | None]:
        assert name == self.name
        return [self.report()]


@contextmanager
def serving_page(name: str, page: Page, report: Callable[[], Report]) -> Iterator[str]:
    """Serve a page as the gate does, with its policy; give its address.

    `report` is asked in the server's own thread, each time that the page is.
    """
    subject = _Subject(name, report)
    server = AdminServer(bind(AdminConfig(listen="127.0.0.1:0")), subject, {name: page})
    server.start()
    try:
        yield f"http://{server.address}/{name}"
    finally:
        server.stop()
