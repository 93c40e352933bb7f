"""A real browser, driven by its own protocol: what a page shows, says and asks for.

Source: the Chrome DevTools Protocol, as Debian's chromium speaks it.
"""

import asyncio
import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_WAIT_S = 60.0


class Browser:
    """One tab. Calls come from the test's thread, each to its end."""

    def __init__(self, folder: Path) -> None:
        """Start it on a profile of its own; skips the test where there is none."""
        if CHROMIUM is None:
            pytest.skip("no chromium in PATH; the Debian package is called chromium")
        self._loop = asyncio.new_event_loop()
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",  # which root can't have
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-proxy-server",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sent = 0
        self.requests: list[str] = []
        """Every address that the page asked for."""
        self.troubles: list[str] = []
        """Exceptions, errors on the console, and what the policy refused."""
        self._run(self._connect())

    def open(self, url: str) -> None:
        """Go to a page, and wait until it has loaded."""
        self._call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript is, as JSON has it."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, timeout_s: float = 20.0) -> None:
        """Wait until an expression is true."""

        async def wait() -> None:
            while True:
                answer = await self._ask(
                    "Runtime.evaluate", {"expression": expression, "returnByValue": True}
                )
                if answer.get("result", {}).get("value"):
                    return
                await asyncio.sleep(0.05)

        self._run(asyncio.wait_for(wait(), timeout_s))

    def show_as(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """Take a size, and a preference for light or dark."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def without_scripts(self) -> None:
        """Run no script from the next page on."""
        self._call("Emulation.setScriptExecutionDisabled", value=True)

    def picture(self, path: Path, clip: tuple[int, int, int, int] | None = None) -> None:
        """Write the whole page as a PNG, or what is at left, top, of width and height of it."""
        more: dict[str, Any] = {}
        if clip is not None:
            more = {
                "clip": {**dict(zip(("x", "y", "width", "height"), clip, strict=True)), "scale": 1}
            }
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True, **more)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End it."""
        self._run(self._disconnect())
        self._process.terminate()
        self._process.wait(20)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._run(asyncio.wait_for(self._ask(method, parameters), _WAIT_S))

    async def _connect(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        address = None
        while address is None:
            line = await asyncio.to_thread(stderr.readline)
            assert line, "the browser ended"
            address = re.search(r"DevTools listening on ws://([^/]+)/", line)
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://{address[1]}/json/list") as response:
            (page,) = [one for one in await response.json() if one["type"] == "page"]
        self._socket = await self._session.ws_connect(
            page["webSocketDebuggerUrl"], max_msg_size=1 << 26
        )
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._ask(f"{domain}.enable", {})

    async def _disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        assert self._socket is not None
        self._sent += 1
        number = self._sent
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.troubles.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                entry = parameters["entry"]
                self.troubles.append(f"{entry['text']} {entry.get('url', '')}")


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run a browser until the test ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        try:
            yield browser
        finally:
            browser.close()
