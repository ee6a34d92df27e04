"""A headless Chromium for tests, driven by the DevTools protocol over two pipes; skipped where none is installed."""

import base64
import fcntl
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
MESSAGE = "no Chromium is installed: apt-get install chromium"

CONTRAST = """
(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = item => { for (; item; item = item.parentElement) {
      const found = getComputedStyle(item).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(found)) return found; } return "rgb(255, 255, 255)"; };
  const poor = [];
  for (const item of document.querySelectorAll("body *")) {
    const text = [...item.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!text || !item.getClientRects().length || item.tagName === "TITLE" || item.tagName === "SCRIPT") continue;
    const style = getComputedStyle(item), ink = item.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(ink), light(paper(item))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([item.tagName, item.textContent.slice(0, 30), ink, paper(item), ratio]);
  }
  return poor;
})()
"""
"""Elements with text whose contrast is less than WCAG AA asks of text: [[tag, text, colors, ratio]]."""


class Browser:
    """One page of a browser. errors: what its console said was wrong, and exceptions that nothing caught."""

    def __init__(self, folder: Path):
        to_read, self._writing = map(_moved, os.pipe())
        self._reading, to_write = map(_moved, os.pipe())
        command = [installed() or "", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        files = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
        files += [(os.POSIX_SPAWN_DUP2, to_read, 3), (os.POSIX_SPAWN_DUP2, to_write, 4)]
        self._process = os.posix_spawn(command[0], command, os.environ, file_actions=files)
        os.close(to_read)
        os.close(to_write)
        self._replies, self._number, self._session, self.errors, self._events = b"", 0, None, [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """The result of a command of the protocol."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        os.write(
            self._writing, json.dumps(asked | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        while (said := self._next()).get("id") != self._number:
            self._note(said)
        if "error" in said:
            raise AssertionError(f"{method}: {said['error']}")
        return said["result"]

    def _next(self) -> dict:
        while b"\0" not in self._replies:
            block = os.read(self._reading, 1 << 20)
            if not block:
                raise AssertionError("the browser ended")
            self._replies += block
        one, _, self._replies = self._replies.partition(b"\0")
        return json.loads(one)

    def _note(self, said: dict) -> None:
        self._events.append(said["method"])
        params = said.get("params", {})
        if said["method"] == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["text"])
        if said["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        if said["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(str(params["args"]))

    def show(self, width: int, scheme: str) -> None:
        """Have a window of this width in pixels and `light` or `dark` colors."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, page: Path | str) -> None:
        """Load a page by its file or address, until all of it is there."""
        self._events.clear()
        self.call("Page.navigate", url=page.absolute().as_uri() if isinstance(page, Path) else page)
        while "Page.loadEventFired" not in self._events:
            self._note(self._next())

    def run(self, script: str):
        """The value of an expression in the page."""
        made = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, made
        return made["result"].get("value")

    def picture(self, path: Path, whole: bool = True) -> Path:
        """A PNG of the page, or of what the window shows of it."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def close(self) -> None:
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._writing)
        os.close(self._reading)


def _moved(fd: int) -> int:
    """The same file under a number that is none of those the browser reads and writes."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved


def installed() -> str | None:
    """The path of the browser, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if installed() is None:
        pytest.skip(MESSAGE)
    try:
        made = Browser(tmp_path_factory.mktemp("browser"))
    except (AssertionError, OSError) as error:
        pytest.skip(f"Chromium does not start here: {error}")
    yield made
    made.close()
