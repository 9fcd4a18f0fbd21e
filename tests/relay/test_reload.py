"""A relay's configuration, read again: the real tap's options and the composition root, on a reactor in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import ConfigurationError
from egtunnel.relay import tap
from egtunnel.relay.reload import Reload
from egtunnel.relay.reservations import Owner, Place
from egtunnel.relay.service import Relay
from egtunnel.relay.tokens import Tokens
from tests.client.certificates import Authority

FIRST, SECOND, THIRD = (f"the-{word}-token-of-this-relay" for word in ("first", "second", "third"))
LIVE = """
    hold = 3
    reserve = 60
    resume-window = 7
    memory = 33
    session-memory = 5
    max-clients = 11
    max-channels = 12
    max-visitors = 13
    max-per-address = 14
max-per-port = 15
    max-handshakes = 15
    max-handshake-rate = 16
    tls-timeout = 3
    head-timeout = 4
    idle-timeout = 5
    body-timeout = 6
    min-body-rate = 7
    write-timeout = 8
    response-timeout = 9
    trust = "192.0.2.0/24"
"""


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        above = TemporaryDirectory()
        self.addCleanup(above.cleanup)
        self.folder = Path(above.name)
        self.file = self.folder / "relay.toml"
        self.token = self.folder / "token"
        self.write_token(FIRST)
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []

    def write_token(self, token: str, mode: int = 0o600) -> None:
        self.token.touch(mode=0o600)
        self.token.write_text(token)
        self.token.chmod(mode)

    def started(self, text: str = "", *arguments: str) -> Relay:
        self.file.write_text(text)
        files = ("--config", str(self.file), "--state", str(self.folder / "state"), "--token-file", str(self.token))
        options = tap.Options()
        options.parseOptions([*files, *arguments])
        fatal: list[Any] = []
        relay = Relay(self.reactor, options.settings, say=self.said.append, on_fatal=fatal.append)
        relay.privilegedStartService()
        relay.startService()
        self.addCleanup(relay.stopService)
        self.assertEqual(fatal, [])
        self.said.clear()
        self.reload = Reload(options, relay.change, self.said.append)
        return relay

    def reloaded(self, text: str) -> list[str]:
        """What is said when the file holds this."""
        self.file.write_text(text)
        self.said.clear()
        self.reload()
        return self.said

    def test_limits_are_those_of_the_new_file(self) -> None:
        """Wherever they are looked at from now on."""
        relay = self.started()
        (said,) = self.reloaded(LIVE)
        for line in LIVE.split("\n")[1:-1]:
            self.assertIn(f"--{line.split()[0]}", said)
        self.assertEqual(relay._room.limits.hold, 3)
        self.assertEqual(relay.tunnels.reservations.limits.keep, 60)
        self.assertEqual((relay.clients.budget.limit, relay.settings.limits.session_memory), (33 << 20, 5 << 20))
        self.assertEqual((relay.door and relay.door.limits.clients, relay.entrance.front.limits.connections), (11, 13))
        self.assertEqual((relay.entrance.front.census.limits.per_address, relay.entrance.front.limits.peek), (14, 4))
        self.assertEqual((relay._tcp.limits.connections, relay._tcp.limits.in_all), (15, 13))
        session = relay.settings.limits.session
        self.assertEqual((session.mux.channels, session.resume), (12, 7))
        self.assertIs(relay.entrance.http.limits, relay.entrance.http.site.limits)
        http = relay.entrance.http.limits
        waits = (http.head_wait, http.keep_alive, http.body_wait, http.body_rate, http.stall, http.answer)
        self.assertEqual(waits, (4, 5, 6, 7, 8, 9))
        peer = relay.entrance.front.peer("192.0.2.9", 1)
        self.assertTrue(peer.trusted)
        self.assertEqual(self.reloaded(LIVE), ["reload: no option changed; files are read again"])

    def test_a_connection_that_is_there_keeps_its_place(self) -> None:
        """Fewer are allowed from now on: nobody is thrown out, and the next one is refused."""
        relay = self.started()
        here = relay.entrance.front.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
        self.reloaded("max-visitors = 1")
        self.assertIsNotNone(here)
        place = relay.entrance.front.census.enter()
        assert place is not None
        self.assertIsNotNone(place.refusal)

    def test_where_the_relay_is_stays_until_a_restart(self) -> None:
        """Named each time, until the file says again what runs; what can be applied beside it is."""
        relay = self.started()
        before = relay.settings
        text = 'port = 8080\ndomain = "a.example"\ntcp-ports = "none"\nlink-path = "/x"\nhold = 1\n'
        expected = "reload: not applied before a restart: --domain, --link-path, --port, --tcp-ports"
        self.assertEqual(self.reloaded(text), ["reload: changed --hold; files are read again", expected])
        self.assertEqual(self.reloaded(text), ["reload: no option changed; files are read again", expected])
        self.assertEqual((relay.settings.addresses, relay.settings.ports), (before.addresses, before.ports))
        self.assertEqual(relay.settings.limits.claims, before.limits.claims)
        self.assertEqual(self.reloaded("hold = 1"), ["reload: no option changed; files are read again"])

    def test_a_mistake_changes_nothing(self) -> None:
        """In the file, in the token, in the place of the access log: one line, and all is as before."""
        relay = self.started("hold = 2")
        assert relay.door is not None
        before, tokens = relay.settings, relay.door.tokens
        for text in ("hold = 'soon'\n", "[[", "nonsense = 1\n", "hold = 1\naccess-log = '/nowhere/log'\n"):
            (said,) = self.reloaded(text)
            self.assertRegex(said, "^reload: .*, nothing changed$")
        self.write_token(SECOND, 0o644)
        (said,) = self.reloaded("hold = 1")
        self.assertIn("can be read by everybody", said)
        self.assertNotIn(SECOND, said)
        self.assertIs(relay.settings, before)
        self.assertIs(relay.door.tokens, tokens)
        self.assertEqual(relay._room.limits.hold, 2)

    def test_a_new_token_inherits_the_clients_of_the_old(self) -> None:
        """Under the id they have; after a restart, which remembers no other, under its own."""
        relay = self.started()
        assert relay.door is not None
        known = Tokens([FIRST]).check(FIRST)
        for token in (SECOND, THIRD, THIRD):
            self.write_token(token)
            self.reloaded("")
            self.assertEqual(relay.door.tokens.check(token), known)
            self.assertIsNone(relay.door.tokens.check(FIRST))
        assert known is not None
        self.assertEqual(relay._ledger.renamed, {known: Tokens([THIRD]).check(THIRD)})
        self.write_token(FIRST)
        self.reloaded("")
        self.assertEqual((relay._ledger.renamed, relay.door.tokens.check(FIRST)), ({}, known))

    def test_names_are_the_heirs_after_a_restart_too(self) -> None:
        """A relay that is started with the new token, and knows no other, finds them its clients'."""
        relay = self.started()
        assert relay.door is not None
        place, client = Place("name", "app"), "one"
        relay.tunnels.reservations.take(place, Owner(relay.door.tokens.check(FIRST) or "", client))
        self.write_token(SECOND)
        self.reloaded("")
        relay.stopService()
        again = self.started()
        assert again.door is not None
        owner = again.tunnels.reservations.owner_of(place)
        self.assertEqual(owner, Owner(again.door.tokens.check(SECOND) or "", client))

    def test_the_access_log_is_made_anew_or_left(self) -> None:
        """After it was moved; under another name; not at all."""
        log, other = self.folder / "access.log", self.folder / "other.log"
        relay = self.started(f'access-log = "{log}"')
        log.rename(self.folder / "access.log.1")
        self.reloaded(f'access-log = "{log}"')
        self.assertTrue(log.exists())
        self.reloaded(f'access-log = "{other}"\naccess-log-format = "json"')
        self.assertTrue(other.exists())
        self.assertIs(relay.entrance.http.site.settings.access_log, relay.entrance.access_log)
        self.reloaded("")
        self.assertIsNone(relay.entrance.http.site.settings.access_log)

    def test_error_pages_come_and_go(self) -> None:
        """The folder of the file counts."""
        relay = self.started()
        (self.folder / "404.html").write_text("own")
        self.reloaded(f'error-pages = "{self.folder}"')
        pages = relay.entrance.http.site.settings.error_pages
        assert pages is not None
        self.assertEqual(pages.find("", 404), b"own")
        self.reloaded("")
        self.assertIsNone(relay.entrance.http.site.settings.error_pages)

    def pair(self, name: str, *names: str) -> Path:
        """A file with certificate and key of the relay."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_bytes(b"".join(self.authority.pair(*(names or ("localhost",)))))
        return file

    def shown(self, relay: Relay, name: str = "localhost") -> int:
        """The serial number of the certificate for a name."""
        assert relay.entrance.terminator.certificates is not None
        served = relay.entrance.terminator.certificates.find(name)
        assert served is not None
        return served.pair.chain[0].serial_number

    def test_certificates_are_looked_at_at_once(self) -> None:
        """No poll has come; a bad one is named each time, and that of before stays."""
        self.authority = Authority(self.folder)
        pem = self.pair("a.pem")
        text = f'tls-cert = "{pem}"\ntls-key = "{pem}"'
        relay = self.started(text)
        before = self.shown(relay)
        self.pair("a.pem")
        self.reloaded(text)
        after = self.shown(relay)
        self.assertNotEqual(after, before)
        pem.write_text("nothing")
        for _ in range(2):
            self.assertIn("the certificate of before stays", self.reloaded(text)[0])
        self.assertEqual(self.shown(relay), after)

    def test_other_files_of_certificates(self) -> None:
        """Served at once, and looked at from then on; files that are no good change nothing."""
        self.authority = Authority(self.folder)
        first, second = self.pair("a.pem"), self.pair("b.pem")
        relay = self.started(f'tls-cert = "{first}"\ntls-key = "{first}"')
        before = self.shown(relay)
        (said,) = self.reloaded(f'hold = 1\ntls-cert = "{self.folder}/none"\ntls-key = "{second}"')
        self.assertIn("nothing changed", said)
        self.assertEqual((self.shown(relay), relay._room.limits.hold), (before, 10))
        self.reloaded(f'client-ca = "{self.authority.file}"\ntls-cert = "{second}"\ntls-key = "{second}"')
        after = self.shown(relay)
        self.assertNotEqual(after, before)
        self.assertTrue(relay.entrance.http.site.settings.require_certificate)
        self.pair("b.pem")
        self.reactor.advance(6)
        self.assertNotEqual(self.shown(relay), after)

    def test_tls_begins_and_ends_with_a_restart_only(self) -> None:
        """The scheme of all public addresses would change."""
        self.authority = Authority(self.folder)
        pem = self.pair("a.pem")
        relay = self.started()
        expected = "reload: not applied before a restart: --tls-cert, --tls-key"
        self.assertEqual(self.reloaded(f'tls-cert = "{pem}"\ntls-key = "{pem}"')[1], expected)
        self.assertFalse(relay.settings.tls)
        self.assertFalse(relay.entrance.http.site.settings.redirect)

    def test_the_authority_of_clients_is_read_again(self) -> None:
        """It has the same name and other content: the next handshake is judged by that. A bad one changes nothing."""
        self.authority = Authority(self.folder)
        pem, ca = self.pair("a.pem"), self.folder / "clients.pem"
        ca.write_bytes(self.authority.file.read_bytes())
        text = f'tls-cert = "{pem}"\ntls-key = "{pem}"\nclient-ca = "{ca}"'
        relay = self.started(text)
        assert relay.entrance.certificates is not None
        served = relay.entrance.certificates.find("localhost")
        assert served is not None
        before = relay.entrance.certificates.context(served, "localhost")
        self.assertIs(relay.entrance.certificates.context(served, "localhost"), before)
        self.reloaded(text)
        self.assertIsNot(relay.entrance.certificates.context(served, "localhost"), before)
        ca.write_text("nothing")
        self.assertIn("nothing changed", self.reloaded(text)[0])

    def test_a_relay_that_is_not_open_yet_takes_nothing(self) -> None:
        """SIGHUP in the midst of the start."""
        relay = Relay(self.reactor, self.started().settings)
        with self.assertRaises(ConfigurationError):
            relay.change(relay.settings)
