"""The demo's own check: fetch the site through its public URL and compare it with the files."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from demo.processes import DemoError

__all__ = ["check"]

EVENTS = 3
WAIT = 20.0
"""Longest wait for the relay to answer, seconds."""


def check(public: str, pages: Path, say: Callable[[str], None]) -> None:
    """Fetch every page, and three events of the clock; ``say`` takes a line for each. Raises ``DemoError``."""
    try:
        for page in sorted(pages.iterdir()):
            path = "/" if page.name == "index.html" else f"/{page.name}"
            _check_page(public, path, page)
            say(f"checked {path}: equal to demo/pages/{page.name}, {page.stat().st_size} bytes")
        spread = _check_clock(public)
        say(f"checked /clock: {EVENTS} events came one by one, {spread:.1f} s from first to last")
    except (OSError, http.client.HTTPException) as error:
        raise DemoError(f"{public} did not answer: {error}") from error


def _connect(public: str) -> tuple[http.client.HTTPConnection, dict[str, str]]:
    """A connection to the relay, and the Host header of the public URL; ``*.localhost`` is loopback (RFC 6761)."""
    url = urlsplit(public)
    return http.client.HTTPConnection("127.0.0.1", url.port or 80, timeout=WAIT), {"Host": url.netloc}


def _check_page(public: str, path: str, file: Path) -> None:
    connection, headers = _connect(public)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != http.client.OK:
        raise DemoError(f"{public}{path} answered {answer.status} {answer.reason}")
    if body != file.read_bytes():
        raise DemoError(f"{public}{path} is not equal to {file}")


def _check_clock(public: str) -> float:
    connection, headers = _connect(public)
    connection.request("GET", "/clock", headers=headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise DemoError(f"{public}/clock answered {answer.status} {answer.reason}")
    times: list[float] = []
    while len(times) < EVENTS:
        line = answer.readline()
        if not line:
            raise DemoError(f"{public}/clock ended after {len(times)} events")
        if line.startswith(b"data:"):
            times.append(time.monotonic())
    connection.close()
    spread = times[-1] - times[0]
    if spread < (EVENTS - 1) / 2:
        raise DemoError(f"{public}/clock: {EVENTS} events came together, not one by one")
    return spread
