"""The access log of a real relay: its file, its rotation, and what is in it at the end."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.rawhttp import Connection, get
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


def lines_of(log: Path, wanted: str, number: int = 1) -> list[str]:
    """The lines of a log that hold ``wanted``, as soon as there are so many."""
    found: list[str] = []
    with until(f"{number} lines with {wanted!r} in {log}") as deadline:
        while len(found) < number and time.monotonic() < deadline:
            text = log.read_text() if log.exists() else ""
            found = [line for line in text.splitlines() if wanted in line]
            time.sleep(0.02)
    return found


def tunnel(folder: Path, start: Start, nginx: Nginx, *options: str) -> Relay:
    """A relay with the tunnel ``app`` to nginx."""
    relay = Relay(folder, "--tcp-ports", "none", *options)
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port), "--name", "app")
    start(client)
    client.url()
    return relay


def test_every_request_has_one_line_and_no_secret_is_in_it(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """Apache's combined format; also for what the relay refuses itself, what is no HTTP, and clients' links."""
    log = tmp_path / "access.log"
    relay = tunnel(tmp_path, start, nginx, "--access-log", str(log))
    get(relay.port, relay.host("app"), "/hello?token=query-secret")
    get(relay.port, relay.host("nobody"), "/nothing?query-secret")
    with Connection(relay.port, source="127.0.0.9") as visitor:
        visitor.send(b"GET /bad\x01 HTTP/1.1\r\n\r\n")
        assert visitor.answer().status == 400
    with Connection(relay.port) as visitor:
        lines = (
            "GET /odd HTTP/1.1",
            f"Host: {relay.host('app')}",
            "Authorization: Bearer header-secret",
            "Cookie: header-secret",
            'User-Agent: a"b\xe9',
            "Referer: http://u:user-secret@a.example/?query-secret",
            "Connection: close",
        )
        visitor.send("\r\n".join((*lines, "", "")).encode("latin-1"))
        visitor.answer()
    token = next((tmp_path / "state").rglob("token")).read_text().strip()
    relay.stop()
    relay.assert_calm()
    text = log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o640
    assert "secret" not in text and token not in text
    date = r"\[\d\d/[A-Z][a-z]{2}/20\d\d:\d\d:\d\d:\d\d \+0000\]"
    local = rf"127\.0\.0\.1 - - {date}"
    for pattern in (
        rf'{local} "GET /hello HTTP/1.1" 200 17 "-" "[^"]*" "app.localhost" "app" \d\.\d{{3}} http complete -',
        rf'{local} "GET /nothing HTTP/1.1" 404 \d+ .* "nobody.localhost" "-" .* complete unknown-tunnel',
        rf'127\.0\.0\.9 - - {date} "-" 400 \d+ "-" "-" "-" "-" .* bad-request',
        rf'{local} "GET /odd HTTP/1.1" 404 \d+ "http://a.example/" "a\\x22b\\xe9" .*',
        rf'{local} "GET /connect HTTP/1.1" 101 .* "127.0.0.1" "-" .* complete -',
    ):
        assert len(re.findall(f"^{pattern}$", text, re.MULTILINE)) == 1, (pattern, text)
    assert text.count("\n") == 5


def test_a_moved_file_is_followed(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """As logrotate does it, without a signal to the relay."""
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    relay = tunnel(tmp_path, start, nginx, "--access-log", str(log))
    get(relay.port, relay.host("app"), "/hello")
    lines_of(log, "/hello")
    log.rename(old)
    get(relay.port, relay.host("app"), "/none")
    assert len(lines_of(log, "/none")) == 1
    assert "/none" not in old.read_text() and "/hello" not in log.read_text()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """A full disk is said once, and visitors are served."""
    relay = tunnel(tmp_path, start, nginx, "--access-log", "/dev/full")
    get(relay.port, relay.host("app"), "/hello")
    relay.wait_for("access log /dev/full loses lines: No space left on device")
    for _ in range(3):
        assert get(relay.port, relay.host("app"), "/hello").status == 200
    relay.stop()
    assert relay.output.count("No space left") == 1
    relay.assert_calm()


def test_standard_output_takes_json(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """``--access-log -`` for containers: an object a line among what the relay says."""
    relay = tunnel(tmp_path, start, nginx, "--access-log", "-", "--access-log-format", "json")
    get(relay.port, relay.host("app"), "/hello")
    line = json.loads(relay.wait_for(r'^(\{"time".*"/hello".*\})$').group(1))
    assert (line["status"], line["tunnel"], line["client"]) == (200, "app", "127.0.0.1")
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("place", ["nowhere/access.log", "."])
def test_a_log_that_cannot_be_opened_is_said_at_the_start(tmp_path: Path, start: Start, place: str) -> None:
    """The relay does not start; a line says why, without a traceback."""
    relay = Relay(tmp_path, "--access-log", str(tmp_path / place))
    start(relay)
    assert relay.exit_status() != 0
    assert "cannot write the access log" in relay.output
    relay.assert_calm()
