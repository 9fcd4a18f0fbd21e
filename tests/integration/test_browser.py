"""A real browser through the tunnel: a page, its script, a WebSocket, events and a cookie, in headless Chromium."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Daemon
from tests.integration.programs import program
from tests.integration.transfers import WebService

pytestmark = pytest.mark.soak

PAGE = b"""<!doctype html><title>a page behind a tunnel</title><script type="module">
const report = {host: location.host, cookie: null, echo: [], events: []}
report.text = await (await fetch("/text")).text()
report.cookie = document.cookie
const socket = new WebSocket(`ws://${location.host}/socket`)
socket.onopen = () => socket.send("one")
const echoed = new Promise(done => {
  socket.onmessage = message => {
    report.echo.push(message.data)
    if (report.echo.length === 3) { socket.close(1000); done() } else socket.send("more " + report.echo.length)
  }
})
const heard = new Promise(done => {
  const source = new EventSource("/events")
  source.onmessage = message => {
    report.events.push(message.data)
    if (report.events.length === 3) { source.close(); done() }
  }
})
await Promise.all([echoed, heard])
await fetch("/report", {method: "POST", body: JSON.stringify(report)})
</script>
"""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server"
).split()


def site(reports: queue.Queue[dict[str, Any]]) -> type[http.server.BaseHTTPRequestHandler]:
    """The page and all it asks for; what it found out is put into ``reports``."""

    class Site(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/socket":
                self._echo()
            elif self.path == "/events":
                self._events()
            elif self.path in ("/", "/text"):
                self._answer(PAGE if self.path == "/" else b"a text")
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"thanks")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", "seen=yes; Path=/; SameSite=Lax")
            self.end_headers()
            self.wfile.write(body)

        def _events(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for number in range(3):
                self.wfile.write(b"data: event %d\n\n" % number)

        def _echo(self) -> None:
            """Short text messages until the close (RFC 6455 section 5)."""
            accept = base64.b64encode(hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + GUID).digest())
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
                self.send_header(name, value)
            self.send_header("Sec-WebSocket-Accept", accept.decode())
            self.end_headers()
            while len(head := self.rfile.read(2)) == 2:
                length = head[1] & 0x7F
                mask, masked = self.rfile.read(4), self.rfile.read(length)
                payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
                self.wfile.write(bytes((head[0], length)) + payload)
                if head[0] & 0x0F == 8:
                    break
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Site


def test_a_page_with_a_websocket_and_events(
    connect: Callable[..., Client], start: Callable[[Daemon], Daemon], tmp_path: Path
) -> None:
    """The page reports what its own script has seen: the public host, its cookie, every echo and every event."""
    chromium = program("chromium")
    reports: queue.Queue[dict[str, Any]] = queue.Queue()
    with WebService(site(reports)) as service:
        client = connect("--local", str(service.port), "--name", "page")
        url = client.url()
        start(Daemon([chromium, *QUIET, f"--user-data-dir={tmp_path}/profile", url], tmp_path))
        report = reports.get(timeout=120)
    assert report == {
        "host": url.removeprefix("http://"),
        "text": "a text",
        "cookie": "seen=yes",
        "echo": ["one", "more 1", "more 2"],
        "events": ["event 0", "event 1", "event 2"],
    }
    client.assert_calm()
