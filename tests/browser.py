"""A headless Chromium that opens a page and is asked about it, where there is one."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
_KEYS = {"Enter": (13, "\r"), "ArrowRight": (39, ""), "ArrowDown": (40, ""), "Escape": (27, "")}


@dataclass
class OpenPage:
    """A page in a browser, spoken to by the DevTools protocol over two pipes."""

    to: IO[bytes]
    back: IO[bytes]
    session: str = ""
    errors: list[str] = field(default_factory=list)
    """What the page's script could not do, or was not let do."""
    _asked: int = 0
    _loaded: int = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return the browser's answer."""
        self._asked += 1
        said: dict[str, object] = {"id": self._asked, "method": method, "params": parameters}
        if self.session:
            said["sessionId"] = self.session
        self.to.write(json.dumps(said).encode() + b"\0")
        self.to.flush()
        while True:
            told = self._read()
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(told["params"]))
            if told.get("id") == self._asked:
                assert "error" not in told, told["error"]
                answer: dict[str, Any] = told["result"]
                return answer

    def js(self, expression: str) -> Any:
        """Return what an expression is worth on the page."""
        told = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def follow(self, expression: str) -> None:
        """Do what leads to another page, and wait until that is there."""
        before = self._loaded
        self.js("window.isLeft = true")
        self.js(expression)
        while True:
            while self._loaded == before:
                self._read()
            before = self._loaded  # which may have been told late, of the page that is left
            if not self.js("window.isLeft"):
                return

    def choose_file(self, selector: str, file: Path) -> None:
        """Put a file into a field of a form."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        self.call("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def _read(self) -> dict[str, Any]:
        content = bytearray()
        while (part := self.back.read(1)) != b"\0":
            assert part, "the browser is gone"
            content += part
        told: dict[str, Any] = json.loads(content)
        self._loaded += told.get("method") == "Page.loadEventFired"
        return told


@contextmanager
def opened(address: str, profile: Path) -> Iterator[OpenPage]:
    """Open a page in a browser of its own.

    Args:
        address: of a file or a server on this machine.
        profile: an empty folder.
    """
    assert CHROMIUM
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # The browser reads from 3 and writes to 4.
    command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
    process = subprocess.Popen(
        ["/bin/bash", "-c", command, CHROMIUM, *arguments, f"--user-data-dir={profile}"],
        pass_fds=(theirs_in, theirs_out),
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with os.fdopen(ours_out, "wb") as to, os.fdopen(ours_in, "rb") as back:
            browser = OpenPage(to, back)
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)[
                "sessionId"
            ]
            for part in ("Page", "Runtime", "Log"):
                browser.call(f"{part}.enable")
            browser.call("Page.navigate", url=address)
            browser.js(
                "new Promise((done) => document.readyState === 'complete' ? done() : "
                "addEventListener('load', () => done()))"
            )
            while not browser._loaded:
                browser._read()
            yield browser
    finally:
        process.terminate()
        process.wait()
