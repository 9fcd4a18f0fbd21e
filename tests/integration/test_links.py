"""Several links of one client, and several relays: real daemons, real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.programs import program, run
from tests.integration.rawlink import token_of
from tests.integration.transfers import MIB
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]


def links_of(client: Client) -> list[str]:
    """The client's ports of its links."""
    said = run([program("ss"), "-Htnp", "state", "established", f"( dport = :{client.relay.port} )"]).stdout.decode()
    mine = [line for line in said.splitlines() if f"pid={client.process.pid}," in line]
    return [line.split()[2].rpartition(":")[2] for line in mine]


def has_links(client: Client, count: int) -> None:
    """Wait until there are so many."""
    with until(f"{count} links") as deadline:
        while len(links_of(client)) != count and time.monotonic() < deadline:
            time.sleep(0.05)


def download(relay: Relay, folder: Path, number: int) -> str:
    """The digest of a file that curl has got through the tunnel."""
    place = folder / f"{number}.bin"
    url = f"http://127.0.0.1:{relay.port}/links.bin"
    run([program("curl"), "-s", "-S", "-f", "-H", f"Host: {relay.host('app')}", "-o", str(place), url])
    return run([program("sha256sum"), str(place)]).stdout.decode().split()[0]


def test_downloads_go_on_while_one_link_after_another_is_killed(
    relay: Relay, connect: Callable[..., Client], nginx: Nginx, tmp_path: Path
) -> None:
    """Four links, eight downloads; each link is cut once and comes back; all bytes are right."""
    client = connect("--local", str(nginx.port), "--name", "app", "--links", "4")
    digest = nginx.file("links.bin", 24 * MIB)
    client.url()
    has_links(client, 4)
    with ThreadPoolExecutor(8) as visitors:
        running = [visitors.submit(download, relay, tmp_path, number) for number in range(8)]
        for port in links_of(client):
            run([program("ss"), "-K", "sport", "=", port, "and", "dport", "=", str(relay.port)])
        assert {one.result() for one in running} == {digest}
    has_links(client, 4)
    relay.assert_calm()
    client.assert_calm()


def test_tunnels_are_on_two_relays_at_once_and_outlive_one(start: Start, nginx: Nginx, tmp_path: Path) -> None:
    """The same name on both; one ends, the other does not notice."""
    digest = nginx.file("links.bin", MIB)
    homes = [tmp_path / "one", tmp_path / "two"]
    relays = []
    for home in homes:
        home.mkdir()
        relays.append(Relay(home))
        start(relays[-1])
    options = ["--local", str(nginx.port), "--name", "app"]
    for relay in relays:
        options += relay.link_options
        token = relay.home / "token"
        token.write_text(token_of(relay))
        token.chmod(0o600)
        options += ["--token-file", str(token)]
    client = Client(relays[0], *options)
    start(client)
    first = client.url()
    with until("two public addresses") as deadline:
        while sum("://app." in line for line in client.lines) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert first
    for relay in relays:
        assert download(relay, tmp_path, relay.port) == digest
    relays[0].end()
    assert download(relays[1], tmp_path, 1) == digest
    client.wait_for("the connection to the relay is lost|cannot reach the relay")
    assert download(relays[1], tmp_path, 2) == digest
    client.assert_calm()
