"""A headless Chromium, driven over its DevTools protocol by a pipe: no driver and no library in between.

The browser gets a profile of its own, no network, and two pipes: it reads commands from descriptor 3 and writes
answers and events to descriptor 4, each a JSON object that ends with a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "Page", "browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
_PATIENCE = 600.0
_ABOVE = 10  # descriptors from here on, so that they do not meet 3 and 4


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A running Chromium with an empty profile; the test is skipped where there is none."""
    command = next(filter(None, map(shutil.which, _NAMES)), None)
    if command is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, _ABOVE) for end in (to_read, from_write)]
    log = os.open(profile.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    arguments = [command, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    pid = os.posix_spawn(
        command,
        arguments,
        {**os.environ, "HOME": str(profile)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_DUP2, theirs[0], 3),
            (os.POSIX_SPAWN_DUP2, theirs[1], 4),
        ],
        setpgroup=0,
    )
    for end in (to_read, from_write, log, *theirs):
        os.close(end)
    try:
        yield Browser(from_read, to_write)
    finally:
        with suppress(OSError):
            os.close(to_write)
        os.close(from_read)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class Browser:
    """Sends commands and collects events."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer, self._last = b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]  # type: ignore[no-any-return]
            self.events.append(answer)

    def wait_for(self, method: str) -> dict[str, Any]:
        """The next event of that name, or one that has come already."""
        deadline = time.monotonic() + _PATIENCE
        for event in self.events:
            if event["method"] == method:
                return event
        while True:
            self.events.append(self._next(deadline))
            if self.events[-1].get("method") == method:
                return self.events[-1]

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError(f"Chromium gave no answer in {_PATIENCE:.0f} s")
            block = os.read(self._reading, 1 << 20)
            if not block:
                raise RuntimeError("Chromium has ended")
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]

    def open(self, file: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> Page:
        """Opens a local file in a window of its own and waits until it has been loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility", "DOM"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.show_as("dark" if dark else "light")
        self.events.clear()
        page.call("Page.navigate", url=file.resolve().as_uri())
        self.wait_for("Page.loadEventFired")
        return page


class Page:
    """One open page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command to this page."""
        return self._browser.call(method, self._session, **params)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited where it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def key(self, name: str, code: int, text: str = "") -> None:
        """Presses and releases a key."""
        common = {"key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def complaints(self) -> list[str]:
        """What the console, the log and uncaught errors say, policy violations among them."""
        self.run("1")  # so that events on their way arrive
        return [
            json.dumps(event["params"])
            for event in self._browser.events
            if event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        ]

    def requests(self) -> list[str]:
        """Addresses that were asked for, those inside the page (``data:``) left out."""
        self.run("1")
        sent = [event["params"]["request"]["url"] for event in self._browser.events if event["method"] == _REQUEST]
        return [address for address in sent if not address.startswith("data:")]

    def resize(self, width: int, height: int = 900) -> None:
        """Gives the window another size."""
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", **sizes, mobile=width < 500)

    def show_as(self, scheme: str, media: str = "") -> None:
        """Shows it in the scheme ``light`` or ``dark``, on the medium ``print`` or the screen."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """A PNG of what is in view, or of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """The page as printed."""
        printed = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])


_REQUEST = "Network.requestWillBeSent"
