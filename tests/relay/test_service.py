"""The composition root, on a reactor in memory and a state folder on disk."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import EgtunnelError, ShuttingDown
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.admission import message_frame
from egtunnel.relay.reservations import Place
from egtunnel.relay.service import Relay
from egtunnel.relay.settings import RelayLimits, RelaySettings
from egtunnel.session.messages import Claim, Hello
from tests.pipes import MemoryLink


class Reactor(MemoryReactorClock):
    """A reactor in memory some of whose ports are in use."""

    def __init__(self, *taken: int) -> None:
        super().__init__()
        self.taken = taken

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        return super().listenTCP(port, factory, backlog, interface)


class RelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor(20_000)
        self.said: list[str] = []
        self.fatal: list[EgtunnelError] = []
        self.settings = RelaySettings(Addresses("localhost", "http", 7070), self.folder(), limits=RelayLimits())

    def folder(self) -> Path:
        """A path of which nothing is there yet; trial's own ``mktemp`` would stay behind in the working directory."""
        above = TemporaryDirectory()
        self.addCleanup(above.cleanup)
        return Path(above.name) / "state"

    def relay(self, **changes: Any) -> Relay:
        self.settings = attrs.evolve(self.settings, **changes)
        return Relay(self.reactor, self.settings, say=self.said.append, on_fatal=self.fatal.append)

    def started(self, **changes: Any) -> Relay:
        relay = self.relay(**changes)
        relay.privilegedStartService()
        relay.startService()
        self.addCleanup(relay.stopService)
        self.assertEqual(self.fatal, [])
        return relay

    def enter(self, relay: Relay, client_id: str = "one") -> MemoryLink:
        link = MemoryLink()
        assert relay.door is not None
        relay.door.link(link)
        token = (self.settings.state / "token").read_text().strip()
        link.receiver.link_message(message_frame(Hello(token, client_id)))
        return link

    def claim(self, link: MemoryLink, **wish: Any) -> None:
        link.receiver.link_message(message_frame(Claim(1, **wish)))

    def test_it_listens_once_with_a_long_backlog_on_loopback(self) -> None:
        """On the port that was asked for, before privileges are shed."""
        relay = self.relay()
        relay.privilegedStartService()
        ((port, _, backlog, interface),) = self.reactor.tcpServers
        self.assertEqual((port, backlog, interface), (7070, 1024, "127.0.0.1"))
        relay.startService()
        self.addCleanup(relay.stopService)
        self.assertEqual(len(self.reactor.tcpServers), 1)

    def test_it_listens_on_every_port(self) -> None:
        """With one factory, which tells what each connection is."""
        self.started(ports=(7070, 7071))
        (first, factory, *_), (second, other, *_) = self.reactor.tcpServers
        self.assertEqual((first, second), (7070, 7071))
        self.assertIs(factory, other)
        self.assertIn("127.0.0.1:7070 and 7071", self.said[0])

    def test_it_starts_without_twistd(self) -> None:
        """``startService`` alone is enough for a program that embeds a relay."""
        relay = self.relay()
        relay.startService()
        self.addCleanup(relay.stopService)
        self.assertEqual((len(self.reactor.tcpServers), self.fatal), (1, []))

    def test_on_this_machine_it_says_where_it_is_and_how_to_connect(self) -> None:
        """Two lines: nothing about encryption where nothing leaves the machine, and never the token."""
        self.started()
        where, how = self.said
        self.assertIn("127.0.0.1:7070", where)
        self.assertIn("http://<name>.localhost:7070", where)
        self.assertTrue(how.endswith(f"twistd -n egclient --token-file {self.settings.state}/token --local 8080"))
        self.assertNotIn((self.settings.state / "token").read_text().strip(), "".join(self.said))

    def test_on_the_internet_it_says_that_nothing_is_encrypted_and_what_to_do(self) -> None:
        """In one line; with a TLS proxy in front not at all."""
        self.started(addresses=Addresses("example.com", "http", 7070), interface="::")
        (line,) = [line for line in self.said if "NOT encrypted" in line]
        for option in ("--tls-cert", "--tls-dir", "--public-url https://example.com"):
            self.assertIn(option, line)
        self.assertIn("port 7070 of all addresses", self.said[0])

    def test_behind_a_tls_proxy_it_is_quiet_about_that(self) -> None:
        """The proxy encrypts; URLs are the proxy's."""
        self.started(addresses=Addresses("example.com", "https", 443), interface="::")
        self.assertEqual([line for line in self.said if "encrypted" in line], [])
        self.assertIn("https://<name>.example.com", self.said[0])
        self.assertIn("--relay wss://example.com --local", self.said[1])

    def test_a_port_in_use_is_fatal_in_one_line(self) -> None:
        """Nothing else happens then, and stopping is harmless."""
        relay = self.relay(ports=(7070, 20_000))
        relay.privilegedStartService()
        relay.startService()
        self.assertEqual(
            [error.text for error in self.fatal], ["cannot listen on 127.0.0.1:20000: Address already in use"]
        )
        self.assertEqual(self.said, [])
        self.assertFalse(self.settings.state.exists())
        self.successResultOf(relay.stopService())

    def test_a_state_folder_that_cannot_be_used_is_fatal(self) -> None:
        """As is a token file that is not there."""
        file = self.folder()
        file.write_text("")
        for changes in ({"state": file / "relay"}, {"token_file": file / "none"}, {"token_file": file}):
            relay = self.relay(**changes)
            relay.startService()
            self.assertEqual(len(self.fatal), 1, changes)
            self.fatal.clear()
            self.successResultOf(relay.stopService())
            self.settings = attrs.evolve(self.settings, state=self.folder(), token_file=None)

    def test_a_token_file_opens_the_relay_instead_of_its_own(self) -> None:
        """A credential of systemd; no token is made in the state folder."""
        file = self.folder()
        file.write_text("a-token-of-the-administrator\n")
        file.chmod(0o400)
        relay = self.started(token_file=file)
        self.assertFalse((self.settings.state / "token").exists())
        self.assertIn(f"--token-file {file} ", self.said[-1])
        assert relay.door is not None
        link = MemoryLink()
        relay.door.link(link)
        link.receiver.link_message(message_frame(Hello("a-token-of-the-administrator", "one")))
        self.assertEqual(len(relay.door.sessions), 1)

    def test_a_tcp_tunnel_opens_a_port_that_is_free(self) -> None:
        """The first of the range is another program's; the interface is that of TCP tunnels."""
        relay = self.started(tcp_interface="127.0.0.2")
        link = self.enter(relay)
        self.claim(link, kind="tcp")
        port, _, backlog, interface = self.reactor.tcpServers[-1]
        self.assertEqual((port, backlog, interface), (20_001, 1024, "127.0.0.2"))

    def test_names_outlive_the_relay(self) -> None:
        """What was claimed is known after a restart, ports stand again, and visitors can wait there."""
        relay = self.started()
        self.claim(self.enter(relay, "one"), kind="http", name="app")
        self.claim(self.enter(relay, "two"), kind="tcp")
        self.successResultOf(relay.stopService())
        self.reactor = Reactor()
        again = self.started()
        self.assertIsNotNone(again.tunnels.by_name("app"))
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [7070, 20_001])
        owner = again.tunnels.reservations.owner_of(Place("port", "20001"))
        assert owner is not None
        self.assertEqual(owner.client, "two")

    def test_names_that_nobody_came_back_to_are_free_after_a_day(self) -> None:
        """Looked for every minute."""
        relay = self.started()
        link = self.enter(relay)
        self.claim(link, kind="http", name="app")
        link.receiver.link_lost("cut")
        self.reactor.pump([60.0] * (24 * 60 - 1))
        self.assertIsNotNone(relay.tunnels.by_name("app"))
        self.reactor.pump([60.0] * 2)
        self.assertIsNone(relay.tunnels.by_name("app"))

    def test_stopping_tells_clients_and_leaves_nothing(self) -> None:
        """No timer, no port, no lock; the clients hear why."""
        relay = self.started()
        links = [self.enter(relay, name) for name in ("one", "two")]
        self.claim(links[0], kind="http", name="app")
        waiting = MemoryLink()
        assert relay.door is not None
        relay.door.link(waiting)
        self.successResultOf(relay.stopService())
        self.assertEqual([link.closed and link.closed[0] for link in (*links, waiting)], [ShuttingDown.code] * 3)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.started()

    def test_memory_is_bounded_for_one_client_and_for_all(self) -> None:
        """Each session's budget counts towards the relay's."""
        relay = self.started()
        self.enter(relay, "one")
        assert relay.door is not None
        (session,) = relay.door.sessions.values()
        limits = self.settings.limits
        self.assertEqual((session.budget.limit, relay.clients.budget.limit), (limits.session_memory, limits.memory))
        self.assertIs(session.budget.parent, relay.clients.budget)
