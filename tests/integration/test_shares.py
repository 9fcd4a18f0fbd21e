"""The whole flow of a share: person A publishes and shares, person B has the link alone."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay, environment, until
from tests.integration.devtools import Browser
from tests.integration.papers import Papers
from tests.integration.test_clock import FakeClock
from tests.integration.token_store import TokenStore, state_folder
from tests.integration.upstreams import Upstream

Start = Callable[[Daemon], Daemon]


def serve(connection: socket.socket) -> None:
    """A service that tells what it was asked, and never ends the answer to /stream."""
    stream = connection.makefile("rb")
    while line := stream.readline():
        while stream.readline().strip():
            pass
        method, target, _ = line.decode().split()
        if target.endswith("/stream"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n")
            continue
        body = f"<title>{method} {target}</title>".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + (b"" if method == "HEAD" else body))


@attrs.define
class House:
    """A relay with a store, in one process or two with TLS; ``curl`` knows its authority and its address."""

    home: Path
    relay: Relay
    start: Start
    papers: Papers | None
    upstream: Upstream

    def share(self, *options: str, name: str = "demo", env: dict[str, str] | None = None) -> Daemon:
        """Person A: ``egtunnel share``."""
        command = [sys.executable, "-m", "egtunnel", "share", f"127.0.0.1:{self.upstream.port}", *options]
        words = [*command, *self.relay.link_options, "--name", name]
        found = Daemon(words, self.home, {**environment(self.home / "state"), **(env or {})})
        self.start(found)
        return found

    def link(self, sharing: Daemon) -> str:
        """What person A sends to person B."""
        return sharing.wait_for(r"^(https?://\S+/share/\S+/)$").group(1)

    def curl(self, url: str, *options: str) -> tuple[int, str]:
        """Person B, with curl: status and body."""
        words = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *self._where(url), *options, url]
        text = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
        body, _, status = text.rpartition("\n")
        return int(status), body

    def _where(self, url: str) -> list[str]:
        if self.papers is None:
            return []
        host = re.sub(r"https?://([^:/]+).*", r"\1", url)
        return ["--cacert", str(self.papers.ca), "--resolve", f"{host}:{self.relay.port}:127.0.0.1"]

    def command(self, *words: str) -> str:
        """``egtunnel ...`` beside the relay."""
        command = [sys.executable, "-m", "egtunnel", *words, "--state", str(state_folder(self.home))]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def status(self, url: str, wanted: int, seconds: float) -> None:
        """Wait until person B gets this status."""
        with until(f"{wanted}", seconds) as deadline:
            while self.curl(url)[0] != wanted and time.monotonic() < deadline:
                time.sleep(0.02)


@pytest.fixture(params=[False, True], ids=["one process", "two workers and TLS"])
def house(request: pytest.FixtureRequest, tmp_path: Path, start: Start, papers: Papers) -> Iterator[House]:
    """Both kinds."""
    options = ("--store", "sqlite", "--access-log", str(tmp_path / "access"))
    if request.param:
        more = (*papers.relay_options, "--workers", "2", *options)
        relay: Relay = SecureRelay(tmp_path, papers.domain, papers.ca, *more)
    else:
        relay = Relay(tmp_path, *options)
    start(relay)
    relay.ready()
    with Upstream(serve) as upstream:
        yield House(tmp_path, relay, start, papers if request.param else None, upstream)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Person B's."""
    found = Browser(tmp_path, "--ignore-certificate-errors", "--host-resolver-rules=MAP *.example 127.0.0.1")
    yield found
    found.end()


def test_a_share_from_its_making_to_its_end(house: House, browser: Browser) -> None:
    """With curl and a browser: read; not written, not elsewhere; over within a second when revoked."""
    sharing = house.share("--service", "/gmail", "--service", "/files", "--expires", "7d", "--read-only", "--json")
    told = json.loads(sharing.wait_for(r"^(\{.*\})$").group(1))
    link, own = told["link"], house.relay.host("demo")
    rows = json.loads(house.command("share", "list", "--json"))
    (row,) = [row for row in rows if row["id"] == told["id"]]
    assert row["tunnels"] == [own.partition(":")[0]]
    assert [service["prefix"] for service in row["services"]] == ["/gmail", "/files"]
    assert link.rpartition("/share/")[2].strip("/") not in json.dumps(rows)

    assert house.curl(f"{link}gmail/inbox?q=1") == (200, "<title>GET /gmail/inbox?q=1</title>")
    assert house.curl(f"{link}gmail/inbox", "-X", "POST", "-d", "x")[0] == 403
    assert house.curl(f"{link}photos/")[0] == 404
    assert house.curl(f"{link}gmail/../photos/", "--path-as-is")[0] == 404

    browser.go(f"{link}files/report")
    browser.wait(f"location.host === {own!r} && document.title === 'GET /files/report'")
    assert browser.evaluate("document.cookie") == ""
    assert browser.evaluate("fetch('/gmail/', {method: 'POST'}).then(answer => answer.status)") == 403
    assert browser.evaluate("fetch('/photos/').then(answer => answer.status)") == 404
    assert browser.evaluate("fetch('/gmail/').then(answer => answer.status)") == 200
    url = link.partition("/share/")[0].replace("://", "://demo.")
    assert house.curl(f"{url}/gmail/")[0] == 403, "without the cookie"

    house.command("share", "revoke", told["id"])
    house.status(f"{link}gmail/inbox", 410, 1.0)
    with until("the browser's own connection, at whichever worker, to be told", 1.0) as deadline:
        while time.monotonic() < deadline:
            if browser.evaluate("fetch('/gmail/').then(answer => answer.status)") == 410:
                break
    sharing.assert_calm()
    house.relay.stop()
    log = (house.home / "access").read_text()
    assert "/share/..." in log and link.rpartition("/share/")[2].strip("/") not in log + house.relay.output


def test_a_download_by_a_share_ends_with_it_and_a_share_outlives_relay_and_client(house: House) -> None:
    """What is under way is cut off visibly; another start of both serves the same link."""
    sharing = house.share("--expires", "never", "--permit", "GET", "--note", "for Bea")
    link = house.link(sharing)
    share = json.loads(house.command("share", "list", "--json"))[0]["id"]
    sharing.stop(signal.SIGINT)
    assert house.relay.stop() in (0, -15, 143)
    house.relay = restarted(house)
    client = Client(house.relay, "--local", f"127.0.0.1:{house.upstream.port}", "--name", "demo", "--private")
    house.start(client)
    client.url()
    assert house.curl(f"{link}x")[0] == 200
    words = ["curl", "-sSN", "--max-time", "30", *house._where(link), f"{link}stream"]
    download = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert download.stdout is not None and download.stdout.read(4) == "well"
    house.command("share", "revoke", share)
    began = time.monotonic()
    assert download.wait(10) in (18, 56, 92), "curl: transfer closed with data remaining, or the stream was reset"
    print(f"cut off {time.monotonic() - began:.2f} s after the command had ended")
    assert house.curl(f"{link}x")[0] == 410


def restarted(house: House) -> Relay:
    """The same relay once more, at the same port and with the same store."""
    options = ("--store", "sqlite", "--access-log", str(house.home / "access"))
    if house.papers is not None:
        more = (*house.papers.relay_options, "--workers", "2", *options)
        relay: Relay = SecureRelay(house.home, house.papers.domain, house.papers.ca, *more, port=house.relay.port)
    else:
        relay = Relay(house.home, *options, port=house.relay.port)
    house.start(relay)
    return relay.ready()


def test_a_share_expires(tmp_path: Path, start: Start) -> None:
    """The clock is moved by a week: 410 for the link and for the cookie, and a download that is under way ends."""
    clock = FakeClock(tmp_path)
    relay = Relay(tmp_path, "--store", "sqlite", env=clock.env)
    start(relay)
    relay.ready()
    with Upstream(serve) as upstream:
        house = House(tmp_path, relay, start, None, upstream)
        link = house.link(house.share("--expires", "7d"))
        jar = ("-L", "-c", str(tmp_path / "jar"), "-b", str(tmp_path / "jar"))
        assert house.curl(link, "-H", "Accept: text/html", *jar) == (200, "<title>GET /</title>")
        own = f"http://{relay.host('demo')}/more"
        assert house.curl(own, *jar)[0] == 200
        download = subprocess.Popen(["curl", "-sSN", f"{link}stream"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert download.stdout is not None and download.stdout.read(4) == b"well"
        clock.step_to(6 * 86_400)
        assert house.curl(link)[0] == 200
        clock.step_to(8 * 86_400)
        house.status(link, 410, 5.0)
        assert house.curl(own, *jar)[0] in (403, 410), "curl, whose clock was not moved, still shows the cookie"
        assert download.wait(10) == 18


@pytest.mark.parametrize("house", [False], ids=["one process"], indirect=True)
def test_uses_and_a_passphrase(house: House, browser: Browser) -> None:
    """A person types it, a program sends it; the third use is one too many."""
    secret = house.home / "passphrase"
    secret.write_text("open sesame\n")
    link = house.link(house.share("--uses", "2", "--passphrase-file", str(secret)))
    assert house.curl(link)[0] == 401
    assert house.curl(link, "-H", "X-Egtunnel-Passphrase: close")[0] == 401
    assert house.curl(link, "-H", "X-Egtunnel-Passphrase: open sesame") == (200, "<title>GET /</title>")
    browser.go(link)
    browser.wait("document.querySelector('input[name=passphrase]') !== null")
    browser.evaluate("document.querySelector('input').value = 'wrong'")
    browser.evaluate("document.querySelector('button').click()")
    browser.wait("document.body.innerText.includes('That was not')")
    browser.evaluate("document.querySelector('input').value = 'open sesame'")
    browser.evaluate("document.querySelector('button').click()")
    browser.wait("document.title === 'GET /'")
    assert house.curl(link, "-H", "X-Egtunnel-Passphrase: open sesame")[0] == 410
    assert browser.evaluate("fetch('/more').then(answer => answer.status)") == 200, "who is in stays"


def test_a_token_that_may_share_nothing_and_a_relay_without_a_store(tmp_path: Path, start: Start) -> None:
    """One line that names the rule, and status 1."""
    with Upstream(serve) as upstream:
        store = TokenStore(tmp_path)
        _, variables = store.token(private=False)
        for options, env, text in (
            (("--store", "sqlite"), variables, "may have no private tunnels"),
            ((), {}, "this relay has no store"),
        ):
            relay = Relay(tmp_path, *options)
            start(relay)
            house = House(tmp_path, relay.ready(), start, None, upstream)
            sharing = house.share(env=env)
            assert sharing.exit_status() == 1
            assert text in sharing.output
            sharing.assert_calm()
            relay.stop()
        store.close()


EMBEDDING = """
import sys
from pathlib import Path
from twisted.internet import reactor
from egtunnel.client.offers import Offer
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.service import Client
from egtunnel.client.targets import parse_target

relay, local, token = sys.argv[1:]

def share(offer, url):
    made = client.create_share(url, services=["gmail", "files"], permissions=["read"], expires_in="7d")
    made.addCallbacks(lambda shared: print(shared.link, flush=True), lambda reason: print(reason.value, flush=True))

offer = Offer(parse_target(local), name="app", access='{"private": true}')
client = Client(reactor, parse_relay(relay), Path(token).read_text().strip, [offer], on_claimed=share)
client.startService()
reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
reactor.run()
"""


def test_a_program_that_embeds_a_client_shares_by_a_call(tmp_path: Path, start: Start) -> None:
    """As a desktop application does, which serves something itself and makes links to parts of it."""
    relay = Relay(tmp_path, "--store", "sqlite")
    start(relay)
    relay.ready()
    with Upstream(serve) as upstream:
        house = House(tmp_path, relay, start, None, upstream)
        token = str(state_folder(tmp_path) / "token")
        words = ["-c", EMBEDDING, f"ws://localhost:{relay.port}", str(upstream.port), token]
        program = Daemon([sys.executable, *words], tmp_path, environment(tmp_path / "state"))
        start(program)
        link = house.link(program)
        assert house.curl(f"{link}gmail/1") == (200, "<title>GET /gmail/1</title>")
        assert house.curl(f"{link}files/")[0] == 200
        assert house.curl(f"{link}gmail/1", "-X", "DELETE")[0] == 403
        assert house.curl(f"{link}photos/")[0] == 404
        (row,) = json.loads(house.command("share", "list", "--json"))
        assert [service["name"] for service in row["services"]] == ["gmail", "files"]
        assert program.stop(signal.SIGINT) in (0, 130, -2)
