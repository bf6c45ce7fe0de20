"""Headless Chromium, driven over a pair of pipes by the DevTools protocol; no library is needed.

Messages are JSON, each ended by a zero byte (--remote-debugging-pipe).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root, where the sandbox refuses
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """A browser with one page: `with Browser(folder) as page: page.go(url); page.run("1 + 1")`."""

    def __init__(self, folder: Path, *flags: str, patience: float = 60.0) -> None:
        self.folder, self.flags, self.patience = folder, flags, patience
        self.number, self.pending = 0, b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        path = find()
        assert path is not None

        def pipes() -> None:  # the browser reads at 3 and writes at 4
            spare = os.dup(theirs_out)
            os.dup2(theirs_in, 3)
            os.dup2(spare, 4)

        self.process = subprocess.Popen(
            [path, *FLAGS, f"--user-data-dir={self.folder}", *self.flags, "about:blank"],
            preexec_fn=pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            target = self.call("Target.createTarget", url="about:blank", top=True)["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True, top=True)
            self.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "DOM", "Accessibility"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.out)  # the browser ends when its pipe does
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.into)

    def call(self, method: str, top: bool = False, **params: Any) -> dict[str, Any]:
        """The result of a command; its error as a RuntimeError."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if not top:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        limit = time.monotonic() + self.patience
        while True:
            answer = self._next(limit)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self, limit: float) -> dict[str, Any]:
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.into], [], [], max(0.0, limit - time.monotonic()))
            data = os.read(self.into, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser says nothing" if not ready else "it has ended")
            self.pending += data
        text, _, self.pending = self.pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def go(self, url: str) -> None:
        """Load a page, to its end."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, program: str) -> Any:
        """The value of an expression of JavaScript, awaited if it is a promise."""
        done = self.call(
            "Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(f"{program}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def until(self, condition: str, seconds: float = 30.0) -> Any:
        """The value of the condition, as soon as it is true."""
        limit = time.monotonic() + seconds
        while not (value := self.run(condition)):
            if time.monotonic() > limit:
                raise AssertionError(f"not within {seconds:g} s: {condition}")
            time.sleep(0.05)
        return value

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file input, as its dialogue would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        keys: dict[str, Any] = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": code,
            "text": text,
        }
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **keys)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """The size of the window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the page logged as an error: exceptions, blocked resources, failed requests."""
        self.run("1")  # all events until now
        errors = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                errors.append(str(params["exceptionDetails"]))
            entry = params.get("entry", {})
            if event.get("method") == "Log.entryAdded" and entry["level"] == "error":
                errors.append(f"{entry['text']} {entry.get('url', '')}")
        return errors
