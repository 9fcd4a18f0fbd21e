"""``egtunnel`` as a person types it: relay, http, tcp, status, tunnels, check."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay, environment, free_port, until
from tests.integration.papers import Papers
from tests.integration.rawhttp import get
from tests.integration.token_store import state_folder
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


def egtunnel(home: Path, *words: str) -> Daemon:
    """The command, with a state home of its own."""
    return Daemon([sys.executable, "-m", "egtunnel", *words], home, environment(home / "state"))


def ran(home: Path, *words: str) -> tuple[int, str]:
    """Status and output of a command that ends."""
    command = [sys.executable, "-m", "egtunnel", *words]
    env = {**os.environ, **environment(home / "state")}
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_relay_and_two_clients_of_one_command(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """Plain lines without a log around them; a signal ends each."""
    port, tcp = free_port(), free_port()
    relay = egtunnel(tmp_path, "relay", "--port", str(port), "--tcp-ports", str(tcp))
    start(relay)
    relay.wait_for("^egrelay listens on")
    url = f"ws://localhost:{port}"
    web = egtunnel(tmp_path, "http", str(nginx.port), "--name", "demo", "--relay", url)
    start(web)
    web.wait_for(rf"^http://demo\.localhost:{port} -> {nginx.port}$")
    assert get(port, f"demo.localhost:{port}", "/hello").body == b"hello from nginx\n"
    lines = egtunnel(tmp_path, "tcp", str(nginx.port), "--relay", url, "--json")
    start(lines)
    told = json.loads(lines.wait_for(r"^(\{.*claimed.*\})$").group(1))
    assert told["url"] == f"tcp://localhost:{tcp}"
    assert ran(tmp_path, "tunnels")[1].splitlines() == [
        f"http://demo.localhost:{port}  there",
        f"tcp://localhost:{tcp}  there",
    ]
    status, text = ran(tmp_path, "status")
    assert status == 0 and "2 clients, 2 tunnels" in text
    assert json.loads(ran(tmp_path, "clients", "--json")[1])[0]["tunnels"] == 1
    for daemon in (lines, web, relay):
        assert daemon.stop(signal.SIGINT) == 0
        assert "Traceback" not in daemon.output and "[-]" not in daemon.output
    status, text = ran(tmp_path, "status")
    assert status == 1 and text.startswith("egtunnel: no relay answers there:")


def test_a_private_tunnel_and_a_udp_port(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """``visit NAME ADDRESS`` and ``udp PORT``; both stand among the relay's tunnels, or do not."""
    port, here = free_port(), free_port()
    relay = egtunnel(tmp_path, "relay", "--port", str(port), "--udp-ports", "22790-22799")
    start(relay)
    relay.wait_for("^egrelay listens on")
    url = f"ws://localhost:{port}"
    private = egtunnel(tmp_path, "http", str(nginx.port), "--name", "inner", "--private", "--relay", url)
    start(private)
    private.wait_for(r"\(private: egclient --visit inner reaches it\)$")
    visit = egtunnel(tmp_path, "visit", "inner", str(here), "--relay", url)
    start(visit)
    visit.wait_for(rf"^127\.0\.0\.1:{here} -> private://inner$")
    assert get(here, "localhost", "/hello").body == b"hello from nginx\n"
    datagrams = egtunnel(tmp_path, "udp", "53", "--relay", url, "--json")
    start(datagrams)
    assert json.loads(datagrams.wait_for(r"^(\{.*claimed.*\})$").group(1))["url"] == "udp://localhost:22790"
    assert "udp://localhost:22790  there" in ran(tmp_path, "tunnels")[1].splitlines()


def test_the_api_is_asked_from_elsewhere(
    tmp_path: Path, start_secure: Callable[..., SecureRelay], papers: Papers
) -> None:
    """By https with the admin token; never by http to another machine."""
    relay = start_secure()
    token = str(state_folder(relay.home) / "admin-token")
    url = f"https://{papers.domain}:{relay.port}"
    status, text = ran(tmp_path, "status", "--url", url, "--token-file", token, "--ca", str(papers.ca))
    assert status in (0, 1)
    if status == 1:
        assert "no relay answers there" in text, "where the test's domain cannot be looked up"
    assert ran(tmp_path, "status", "--url", "http://192.0.2.1", "--token-file", token)[0] == 2
    assert ran(tmp_path, "status", "--url", url)[0] == 2


def test_what_would_not_work_is_said_step_by_step(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """Services and relays each; nothing is published, and a client that runs is not disturbed."""
    relay = Relay(tmp_path)
    start(relay)
    relay.ready()
    client = Client(relay, "--local", str(nginx.port), "--name", "demo")
    start(client)
    client.url()
    relay_url = f"ws://localhost:{relay.port}"
    status, text = ran(tmp_path, "check", "--local", str(nginx.port), "--relay", relay_url, "--name", "demo")
    service, *relay_lines = text.splitlines()
    assert (status, service) == (0, f"good  service {nginx.port}: answers")
    assert all(line.startswith(f"good  relay {relay_url}") for line in relay_lines)
    assert relay_lines[-2].endswith("token: lets us in; names are below localhost")
    dead = free_port()
    (tmp_path / "wrong").write_text("wrong\n")
    status, text = ran(
        tmp_path, "check", "--local", str(dead), "--relay", relay_url, "--token-file", str(tmp_path / "wrong"), "--json"
    )
    facts = json.loads(text[: text.rindex("]") + 1])
    assert status == 1 and [fact["good"] for fact in facts] == [False, True, True, True, False]
    assert "does not know this token" in facts[4]["text"]
    assert "connected again" not in client.output
    assert get(relay.port, relay.host("demo"), "/hello").status == 200


def test_a_live_screen_on_a_terminal(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """URL, code, rates and the latest requests; the cursor is there again at the end."""
    relay = Relay(tmp_path)
    start(relay)
    relay.ready()
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    words = ["http", str(nginx.port), "--name", "demo", "--relay", f"ws://localhost:{relay.port}"]
    env = {**os.environ, **environment(tmp_path / "state"), "TERM": "xterm"}
    command = [sys.executable, "-m", "egtunnel", *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdin=far, stdout=far, stderr=far, start_new_session=True
    )
    os.close(far)
    os.set_blocking(near, False)
    seen = ""

    def shows(text: str) -> None:
        nonlocal seen
        with until(f"{text!r} on the screen") as deadline:
            while text not in seen and time.monotonic() < deadline:
                try:
                    seen += os.read(near, 65_536).decode("utf-8", "replace")
                except (BlockingIOError, OSError):
                    time.sleep(0.05)

    try:
        shows(f"http://demo.localhost:{relay.port}")
        shows("\u2588")
        assert get(relay.port, relay.host("demo"), "/hello?secret=1").status == 200
        shows("200  GET     /hello  ")
        assert "secret" not in seen
        process.send_signal(signal.SIGINT)
        shows("\x1b[?25h")
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        os.close(near)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["http", "--nonsense"], "nonsense"),
        (["http"], "which service?"),
        (["relay", "--port", "0x"], "--port"),
        (["status", "--url", "ftp://x", "--token-file", "y"], "it must be like https://"),
        (["share", "8080", "--expires", "soon"], "no time until a share expires"),
        (["share", "create", "app", "--permit", "fly high"], "is no permission"),
        (["completion", "tcsh"], "invalid choice"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, words: list[str], text: str) -> None:
    """Status 2 and a line that says why; no traceback."""
    status, output = ran(tmp_path, *words)
    assert status == 2, output
    assert text in output and "Traceback" not in output


@pytest.mark.parametrize("words", [["--help"], ["http", "--help"], ["share", "--help"], ["share", "create", "--help"]])
def test_help(tmp_path: Path, words: list[str]) -> None:
    """Complete, and no error."""
    status, output = ran(tmp_path, *words)
    assert status == 0 and "--help" in output
