"""Login with a real provider (oidc-provider-mock), a real relay and client, and headless Chromium."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, listening
from tests.integration.devtools import Browser
from tests.integration.rawhttp import Answer, Connection
from tests.integration.upstreams import Nginx

ADA, EVE = "ada@example.com", "eve@example.org"
SECRET = "the-secret-of-the-client"
COOKIE = "egtunnel-login"
CONFIGURATION = """
[[tunnel]]
local = "{port}"
name = "one"
oidc-issuer = "{issuer}"
oidc-client-id = "app"
oidc-client-secret-file = "{secret}"
oidc-allow = "@example.com"

[[tunnel]]
local = "{port}"
name = "two"
oidc-issuer = "{issuer}"
oidc-client-id = "app"
oidc-client-secret-file = "{secret}"
oidc-allow = "*"
"""


@attrs.frozen
class House:
    """A provider, a relay, and a client with two tunnels that want a login."""

    home: Path
    issuer: str
    relay: Relay
    client: Client
    daemons: list[Daemon]

    def url(self, name: str, path: str = "/") -> str:
        return f"http://{self.relay.host(name)}{path}"

    def ask(self, name: str, path: str = "/", *fields: str) -> Answer:
        """A request without a browser."""
        with Connection(self.relay.port) as visitor:
            lines = [f"GET {path} HTTP/1.1", f"Host: {self.relay.host(name)}", *fields]
            visitor.send("\r\n".join([*lines, "", ""]).encode())
            return visitor.answer()


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two workers"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """All of it."""
    home = tmp_path_factory.mktemp("login")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    (home / "secret").write_text(SECRET)
    users = [{"sub": email, "email": email, "email_verified": True} for email in (ADA, EVE)]
    claims = [option for user in users for option in ("--user-claims", json.dumps(user))]
    daemons = [Daemon([sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "-n", "true", *claims], home)]
    try:
        relay = Relay(home, "--fetch-from", "loopback", "--workers", request.param)
        daemons.append(relay)
        relay.ready()
        file = home / "client.toml"
        file.write_text(CONFIGURATION.format(port=nginx.port, issuer=issuer, secret=home / "secret"))
        client = Client(relay, "--config", str(file))
        daemons.append(client)
        client.wait_for("^http://one.*->")
        client.wait_for("^http://two.*->")
        listening(port)
        yield House(home, issuer, relay, client, daemons)
    finally:
        for daemon in reversed(daemons):
            daemon.end()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A fresh one."""
    found = Browser(tmp_path)
    yield found
    found.end()


def log_in(browser: Browser, house: House, name: str, email: str, path: str = "/") -> str:
    """Open a page of a tunnel, log in as somebody, and read what is shown then."""
    browser.go(house.url(name, path))
    browser.wait(
        f"location.origin === {house.issuer!r} && document.querySelector('button[value=\"{email}\"]') !== null"
    )
    browser.evaluate(f"document.querySelector('button[value=\"{email}\"]').click()")
    browser.wait(f"location.host === {house.relay.host(name)!r} && document.readyState === 'complete'")
    text: str = browser.evaluate("document.body.innerText")
    return text


def test_a_login_in_a_browser(house: House, browser: Browser) -> None:
    """Who is allowed comes back to the page that was asked for; the cookie is good for this tunnel alone."""
    assert "a real site" in log_in(browser, house, "one", ADA, "/?page=7&x=%20y")
    assert browser.evaluate("location.pathname + location.search") == "/?page=7&x=%20y"
    assert browser.evaluate("document.cookie") == "", "scripts of the page cannot read it"
    cookies = browser.cookies(house.url("one"))
    assert COOKIE not in browser.cookies(house.url("two")), "the browser does not even send it there"
    kept = cookies[COOKIE]
    assert (kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, "Lax", "/")
    assert kept["domain"] == "one.localhost", "no dot: of this host alone"

    good: str = kept["value"]
    assert house.ask("one", "/", f"Cookie: {COOKIE}={good}").status == 200
    assert house.ask("one", "/", f"Cookie: a=b; {COOKIE}=x; {COOKIE}={good}").status == 200
    stolen = house.ask("two", "/", f"Cookie: {COOKIE}={good}")
    assert (stolen.status, stolen.error) == (401, "login-wanted")
    for at in range(0, len(good), 7):
        changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert house.ask("one", "/", f"Cookie: {COOKIE}={changed}").status == 401
    assert ADA not in good and "ada" not in good.lower()

    browser.go(house.url("one", "/.egtunnel/logout"))
    browser.wait("document.body.innerText.includes('logged out')")
    assert COOKIE not in browser.cookies(house.url("one"))


def test_another_domain_is_refused(house: House, browser: Browser) -> None:
    """Eve is known to the provider; the tunnel that lets everybody in takes her, the other one does not."""
    said = log_in(browser, house, "one", EVE)
    assert EVE in said and "may not use this tunnel" in said
    assert COOKIE not in browser.cookies(house.url("one"))
    assert "a real site" in log_in(browser, house, "two", EVE)


def test_without_a_browser(house: House) -> None:
    """No redirect for what is no page, and no way around by another path."""
    for path in ("/", "/.egtunnel/", "/.egtunnel/oidc/callback/x", "/%2e%2e/"):
        answer = house.ask("one", path)
        assert (answer.status, answer.error) == (401, "login-wanted"), path
    away = house.ask("one", "//evil.example/", "Accept: text/html")
    assert away.status == 302
    assert away.headers["location"].startswith(f"{house.issuer}/oauth2/authorize?")
    assert "code_challenge_method=S256" in away.headers["location"]
    back = house.ask("one", "/.egtunnel/oidc/callback?code=x&state=y")
    assert (back.status, back.error) == (403, "login-refused")


def test_nothing_secret_is_written_down(house: House) -> None:
    """Not in logs, and not in the state folder but for the key itself."""
    for daemon in (house.relay, house.client):
        daemon.assert_calm()
        assert SECRET not in daemon.output
    files = [file for file in house.home.rglob("*") if file.is_file()]
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == ["secret"]
