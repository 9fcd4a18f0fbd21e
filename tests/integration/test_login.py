"""Login with a real provider (oidc-provider-mock), a real relay and client, and headless Chromium."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay, free_port, listening
from tests.integration.devtools import Browser
from tests.integration.papers import Papers
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


@attrs.define
class House:
    """A provider, a relay (of one process without TLS, or of two with it), and a client with two tunnels."""

    home: Path
    papers: Papers
    issuer: str
    secure: bool
    relay: Relay
    client: Client

    def url(self, name: str, path: str = "/") -> str:
        return f"http{'s' if self.secure else ''}://{self.relay.host(name)}{path}"

    @property
    def cookie(self) -> str:
        """What the cookie of a login is called."""
        return f"__Host-{COOKIE}" if self.secure else COOKIE

    def ask(self, name: str, path: str = "/", **fields: str) -> tuple[int, str, str]:
        """A request without a browser: status, the relay's own word, and where it leads."""
        if self.secure:
            connection = self.papers.visit(self.url(name))
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=30)
        connection.request("GET", path, headers={"Host": self.relay.host(name), **fields})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers.get("X-Egtunnel-Error", ""), answer.headers.get("Location", "")

    def shows(self, name: str, cookie: str) -> int:
        """The status with a cookie of a login."""
        return self.ask(name, Cookie=f"{self.cookie}={cookie}")[0]


def started(home: Path, papers: Papers, secure: bool, port: int = 0) -> Relay:
    """The relay, which may ask providers at loopback addresses."""
    options = ("--fetch-from", "loopback", "--workers", "2" if secure else "1")
    if secure:
        return SecureRelay(home, papers.domain, papers.ca, *papers.relay_options, *options, port=port)
    return Relay(home, *options, port=port)


@pytest.fixture(scope="module", params=[False, True], ids=["one process", "two workers and TLS"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """All of it."""
    home = tmp_path_factory.mktemp("login")
    papers = Papers(home)
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    (home / "secret").write_text(SECRET)
    users = [{"sub": email, "email": email, "email_verified": True} for email in (ADA, EVE)]
    claims = [option for user in users for option in ("--user-claims", json.dumps(user))]
    daemons = [Daemon([sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "-n", "true", *claims], home)]
    found: House | None = None
    try:
        relay = started(home, papers, request.param)
        daemons.append(relay)
        relay.ready()
        file = home / "client.toml"
        file.write_text(CONFIGURATION.format(port=nginx.port, issuer=issuer, secret=home / "secret"))
        client = Client(relay, "--config", str(file))
        daemons.append(client)
        for name in ("one", "two"):
            client.wait_for(f"^https?://{name}.*->")
        listening(port)
        found = House(home, papers, issuer, request.param, relay, client)
        yield found
    finally:
        for daemon in reversed([*daemons, *([found.relay] if found else [])]):
            daemon.end()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A fresh one."""
    found = Browser(tmp_path, "--ignore-certificate-errors", "--host-resolver-rules=MAP *.example 127.0.0.1")
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
    assert house.cookie not in browser.cookies(house.url("two")), "the browser does not even send it there"
    kept = browser.cookies(house.url("one"))[house.cookie]
    assert (kept["httpOnly"], kept["secure"], kept["sameSite"], kept["path"]) == (True, house.secure, "Lax", "/")
    assert kept["domain"] == house.relay.host("one").partition(":")[0], "no dot: of this host alone"

    good: str = kept["value"]
    assert house.shows("one", good) == 200
    assert house.shows("one", f"x; {house.cookie}={good}") == 200
    assert house.shows("two", good) == 401, "worth nothing at another tunnel"
    for at in range(0, len(good), 7):
        assert house.shows("one", good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]) == 401
    assert ADA not in good and "ada" not in good.lower()

    browser.go(house.url("one", "/.egtunnel/logout"))
    browser.wait("document.body.innerText.includes('logged out')")
    assert house.cookie not in browser.cookies(house.url("one"))


def test_another_domain_is_refused(house: House, browser: Browser) -> None:
    """Eve is known to the provider; the tunnel that lets everybody in takes her, the other one does not."""
    said = log_in(browser, house, "one", EVE)
    assert EVE in said and "may not use this tunnel" in said
    assert house.cookie not in browser.cookies(house.url("one"))
    assert "a real site" in log_in(browser, house, "two", EVE)
    cookie = browser.cookies(house.url("two"))[house.cookie]["value"]
    if house.secure:
        restart(house)
    assert house.shows("two", cookie) == 200, "also after a restart of the relay"


def restart(house: House) -> None:
    """Another relay in the place of the one of before; the client comes back by itself."""
    before = len(house.client.lines)
    house.relay.stop()
    house.relay = started(house.home, house.papers, house.secure, house.relay.port)
    house.relay.ready()
    house.client.wait_for("connected again", after=before)


def test_without_a_browser(house: House) -> None:
    """No redirect for what is no page, and no way around by another path."""
    for path in ("/", "/.egtunnel/", "/.egtunnel/oidc/callback/x", "/%2e%2e/"):
        assert house.ask("one", path)[:2] == (401, "login-wanted"), path
    status, _, location = house.ask("one", "//evil.example/", Accept="text/html")
    assert status == 302
    assert location.startswith(f"{house.issuer}/oauth2/authorize?") and "code_challenge_method=S256" in location
    assert house.ask("one", "/.egtunnel/oidc/callback?code=x&state=y")[:2] == (403, "login-refused")


def test_nothing_secret_is_written_down(house: House) -> None:
    """Not in logs, and not in the state folder."""
    for daemon in (house.relay, house.client):
        daemon.assert_calm()
        assert SECRET not in daemon.output
    files = [file for file in house.home.rglob("*") if file.is_file()]
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == ["secret"]
