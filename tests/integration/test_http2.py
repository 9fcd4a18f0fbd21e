"""Programs that speak HTTP/2, and a browser, through a tunnel over TLS."""

from __future__ import annotations

import http.server
import json
import queue
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Daemon, SecureRelay
from tests.integration.programs import program, run
from tests.integration.transfers import WebService
from tests.integration.upstreams import Nginx

MIB = 1024 * 1024
OBJECTS = 200
PAGE = f"""<!doctype html><title>many objects</title><script type="module">
const names = Array.from({{length: {OBJECTS}}}, (_, number) => `/object/${{number}}`)
const texts = await Promise.all(names.map(async name => (await fetch(name)).text()))
const entries = performance.getEntriesByType("resource").filter(entry => entry.name.includes("/object/"))
const report = {{
  right: texts.filter((text, number) => text === `object ${{number}}`).length,
  protocols: [...new Set(entries.map(entry => entry.nextHopProtocol))],
  connected: entries.filter(entry => entry.connectStart !== entry.connectEnd).length,
}}
await fetch("/report", {{method: "POST", body: JSON.stringify(report)}})
</script>
""".encode()
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server --ignore-certificate-errors"
).split()

Start = Callable[[Daemon], Daemon]


def tunnel(relay: SecureRelay, start: Start, port: int) -> Client:
    """A client of this relay with the tunnel ``app``."""
    client = Client(relay, "--local", str(port), "--name", "app")
    start(client)
    client.url()
    return client


def test_curl_downloads_and_uploads(
    start_secure: Callable[..., SecureRelay], start: Start, nginx: Nginx, tmp_path: Path
) -> None:
    """Eight files at once over one connection, bytes exact; and a body that is answered early."""
    relay = start_secure()
    client = tunnel(relay, start, nginx.port)
    digest = nginx.file("h2.bin", 8 * MIB)
    host, port = relay.host("app").split(":")
    named = ["--resolve", f"{host}:{port}:127.0.0.1", "--cacert", str(relay.ca), "--http2", "-s", "-S", "-f"]
    url = f"https://{host}:{port}"
    files = [part for number in range(8) for part in ("-o", str(tmp_path / f"{number}.bin"), f"{url}/h2.bin")]
    versions = ["-w", "%{http_version} %{num_connects}\n"]
    done = run([program("curl"), *named, *versions, "--parallel", "--parallel-max", "8", *files])
    said = [line.split() for line in done.stdout.decode().splitlines()]
    assert [version for version, _ in said] == ["2"] * 8
    for number in range(8):
        sums = run([program("sha256sum"), str(tmp_path / f"{number}.bin")])
        assert sums.stdout.decode().split()[0] == digest
    # nginx says no to that at once, and curl has a file to send: it hears the answer, not a broken stream.
    sent = run([program("curl"), *named[:-1], "-T", str(tmp_path / "0.bin"), "-w", "%{http_version} %{http_code}", url])
    assert sent.stdout.decode().endswith("2 405")
    relay.assert_calm()
    client.assert_calm()


def test_h2load_meets_no_error(start_secure: Callable[..., SecureRelay], start: Start, nginx: Nginx) -> None:
    """32 streams on each of 10 connections."""
    h2load = program("h2load")
    relay = start_secure()
    client = tunnel(relay, start, nginx.port)
    url = f"https://127.0.0.1:{relay.port}/"
    done = run([h2load, "-n", "5000", "-c", "10", "-m", "32", "-H", f":authority: {relay.host('app')}", url])
    text = done.stdout.decode()
    assert "Application protocol: h2" in text
    assert re.search(r"5000 succeeded, 0 failed, 0 errored, 0 timeout", text), text
    assert "5000 2xx, 0 3xx, 0 4xx, 0 5xx" in text
    relay.assert_calm()
    client.assert_calm()


def site(reports: queue.Queue[dict[str, Any]]) -> type[http.server.BaseHTTPRequestHandler]:
    """The page, its objects, and a place for what it found out."""

    class Site(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = self.path.rpartition("/")[2]
            self._answer(f"object {number}".encode() if self.path.startswith("/object/") else PAGE)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"thanks")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Site


@pytest.mark.soak
def test_a_browser_loads_two_hundred_objects_over_one_connection(
    start_secure: Callable[..., SecureRelay], start: Start, tmp_path: Path
) -> None:
    """Headless Chromium: all of them right, all of them h2, none of them with a connection of its own."""
    chromium = program("chromium")
    reports: queue.Queue[dict[str, Any]] = queue.Queue()
    relay = start_secure()
    with WebService(site(reports)) as service:
        client = tunnel(relay, start, service.port)
        host = relay.host("app").partition(":")[0]
        rules = f"--host-resolver-rules=MAP {host} 127.0.0.1"
        options = [*QUIET, rules, f"--user-data-dir={tmp_path}/profile", f"https://{relay.host('app')}/"]
        start(Daemon([chromium, *options], tmp_path))
        report = reports.get(timeout=120)
    assert report == {"right": OBJECTS, "protocols": ["h2"], "connected": 0}
    client.assert_calm()
    relay.assert_calm()
