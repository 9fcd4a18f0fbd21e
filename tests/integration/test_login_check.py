"""Tokens that another service knows, and the page before the first one: a real relay, real clients, a browser."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Daemon, Relay
from tests.integration.devtools import Browser
from tests.integration.rawhttp import get
from tests.integration.token_store import TokenStore
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


class Check:
    """A service that knows one token."""

    def __init__(self) -> None:
        self.status, self.asked = 200, list[dict[str, Any]]()
        check = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                check.asked.append(value)
                known = value["token"] == "the-token-of-ann"
                body = json.dumps({"owner": "ann", "scope": {"names": ["ann-*"]}}).encode()
                self.send_response(check.status if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/check"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def check() -> Iterator[Check]:
    """One, until the end of the test."""
    found = Check()
    yield found
    found.end()


@pytest.mark.parametrize("options", [(), ("--store", "sqlite"), ("--store", "sqlite", "--workers", "2")], ids=str)
def test_a_token_that_another_service_knows(
    tmp_path: Path, start: Start, nginx: Nginx, check: Check, options: tuple[str, ...]
) -> None:
    """It may do what that says; others are refused; who is known comes in while it fails."""
    relay = Relay(tmp_path, "--login-check", check.url, *options)
    start(relay)
    relay.ready()

    def client(token: str, name: str, folder: str) -> Client:
        state = tmp_path / folder
        state.mkdir()
        words = ("--local", str(nginx.port), "--name", name, "--state", str(state))
        found = Client(relay, *words, env={"EGTUNNEL_TOKEN": token})
        start(found)
        return found

    client("the-token-of-ann", "ann-one", "a").url()
    assert get(relay.port, relay.host("ann-one"), "/hello").status == 200
    assert check.asked[0] == {"token": "the-token-of-ann", "address": "127.0.0.1"}
    other = client("the-token-of-ann", "bob", "b")
    assert other.exit_status() == 1 and "(rule 'names' of its scope)" in other.output
    stranger = client("another-token", "ann-two", "c")
    assert stranger.exit_status() == 1 and "does not know this token" in stranger.output
    for turn in range(20):  # each process asks for itself, and must know the token before the service fails
        if sum(asked["token"] == "the-token-of-ann" for asked in check.asked) > ("--workers" in options):
            break
        client("the-token-of-ann", f"ann-more{turn}", f"more{turn}").url()
    check.status = 500
    waiting = client("the-token-of-ann", "ann-three", "d")
    waiting.url()
    if options:
        tokens = TokenStore(tmp_path)
        _, env = tokens.token()
        tokens.close()
        client(env["EGTUNNEL_TOKEN"], "free", "e").url()
    assert "the-token-of-ann" not in relay.output


def test_a_check_that_does_not_answer(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """The client is told, and tries again."""
    relay = Relay(tmp_path, "--login-check", "http://127.0.0.1:1/check")
    start(relay)
    relay.ready()
    client = Client(relay, "--local", str(nginx.port), env={"EGTUNNEL_TOKEN": "a-token"})
    start(client)
    client.wait_for("its login check does not answer")
    relay.assert_calm()


def test_a_page_before_the_first_one(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """A browser sees it once, and lands where it wanted to; a program never."""
    relay = Relay(tmp_path, "--interstitial")
    start(relay)
    relay.ready()
    client = Client(relay, "--local", str(nginx.port), "--name", "app")
    start(client)
    client.url()
    assert get(relay.port, relay.host("app"), "/hello").body == b"hello from nginx\n"
    browser = Browser(tmp_path)
    try:
        browser.go(f"http://{relay.host('app')}/?page=7")
        browser.wait("document.body.innerText.includes('You are about to visit')")
        browser.evaluate("document.querySelector('a').click()")
        browser.wait("document.body.innerText.includes('a real site')")
        assert browser.evaluate("location.pathname + location.search") == "/?page=7"
        browser.go(f"http://{relay.host('app')}/?page=8")
        browser.wait("document.body.innerText.includes('a real site')")
    finally:
        browser.end()
