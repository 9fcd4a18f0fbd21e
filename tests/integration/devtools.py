"""A headless Chromium that a test drives, over the pipe of its DevTools protocol."""

from __future__ import annotations

import fcntl
import json
import os
import select
import time
from pathlib import Path
from typing import Any

from tests.integration.daemons import PATIENCE, Daemon
from tests.integration.programs import program

__all__ = ["Browser"]

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server --disable-dev-shm-usage"
).split()


def _pipe() -> tuple[int, int]:
    """Both ends, with numbers that are not those which the browser wants (3 and 4)."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


class Browser:
    """One window of a browser with a profile of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        theirs, self._write = _pipe()
        self._read, answers = _pipe()
        argv = [program("chromium"), *QUIET, f"--user-data-dir={folder}/profile", "--remote-debugging-pipe", *options]
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{theirs} 4>&{answers}', *argv]
        self.daemon = Daemon(command, folder, descriptors=(theirs, answers))
        os.close(theirs)
        os.close(answers)
        self._buffer = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def end(self) -> None:
        """Close it."""
        os.close(self._write)
        os.close(self._read)
        self.daemon.end()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a method of the protocol; events are passed over."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < deadline:
            answer = self._message(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError(f"the browser did not answer {method}")

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._read, 65_536) if ready else b""
            assert data, f"the browser says nothing:\n{self.daemon.output}"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page of now; None if there is none just now."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def go(self, url: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=url)

    def wait(self, expression: str) -> Any:
        """Until an expression is true, which is the answer."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                value = self.evaluate(expression)
            except AssertionError:  # the page went away meanwhile
                value = None
            if value:
                return value
            time.sleep(0.05)
        page = self.evaluate("location.href + ' ' + document.body.innerText")
        raise AssertionError(f"waited for {expression}; the browser shows {page}")

    def cookies(self, url: str) -> dict[str, dict[str, Any]]:
        """The cookies that would be sent to a URL, by their names."""
        found = self.call("Network.getCookies", urls=[url])["cookies"]
        return {cookie["name"]: cookie for cookie in found}
