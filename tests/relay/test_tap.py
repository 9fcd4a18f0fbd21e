"""The command line of egrelay."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import Options as ParentOptions
from twisted.python.usage import UsageError

from egtunnel.configuration import default_state
from egtunnel.hangup import Hangup
from egtunnel.ingress.front.networks import Networks, read_networks
from egtunnel.limits.bucket import Rate
from egtunnel.relay import tap
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.service import Relay
from egtunnel.relay.settings import MIB, LogSettings, RelayLimits, RelaySettings, TLSFiles


def parsed(*arguments: str) -> tap.Options:
    options = tap.Options()
    options.parseOptions(list(arguments))
    return options


def settings(*arguments: str) -> RelaySettings:
    return parsed(*arguments).settings


def test_the_defaults_are_those_of_the_code() -> None:
    """No option says another default than the limits it sets: with nothing said, all is as if built by hand."""
    assert settings() == RelaySettings(
        addresses=Addresses("localhost", "http", 7070, "/connect"),
        state=default_state(),
        ports=(7070,),
        interface="127.0.0.1",
        tcp_interface="127.0.0.1",
        token_file=None,
        tls=TLSFiles(),
        redirect=True,
        trusted=Networks(),
        access_log=LogSettings(),
        error_pages=None,
        limits=RelayLimits(),
    )


def test_every_option_reaches_what_it_is_for(tmp_path: Path) -> None:
    """An option that does nothing would be a lie."""
    given: dict[str, tuple[str, Any]] = {
        "port": ("8000", lambda s: s.ports == (8000,)),
        "interface": ("127.0.0.2", lambda s: s.interface == "127.0.0.2"),
        "tcp-interface": ("127.0.0.3", lambda s: s.tcp_interface == "127.0.0.3"),
        "domain": ("Example.com.", lambda s: s.addresses.domain == "example.com"),
        "public-url": ("https://example.com", lambda s: (s.addresses.scheme, s.addresses.port) == ("https", 443)),
        "tls-cert": (str(tmp_path / "c"), lambda s: s.tls.certificate == tmp_path / "c"),
        "tls-key": (str(tmp_path / "k"), lambda s: s.tls.key == tmp_path / "k"),
        "tls-dir": (str(tmp_path / "d"), lambda s: s.tls.folder == tmp_path / "d"),
        "client-ca": (str(tmp_path / "ca"), lambda s: s.tls.client_ca == tmp_path / "ca"),
        "plain-http": ("serve", lambda s: not s.redirect),
        "trust": ("10.0.0.0/8", lambda s: s.trusted == Networks(read_networks("10.0.0.0/8"))),
        "access-log": (str(tmp_path / "log"), lambda s: s.access_log.file == tmp_path / "log"),
        "access-log-format": ("json", lambda s: s.access_log.format == "json"),
        "error-pages": (str(tmp_path / "pages"), lambda s: s.error_pages == tmp_path / "pages"),
        "link-path": ("/link", lambda s: s.addresses.link_path == "/link"),
        "tcp-ports": ("30000-30001", lambda s: s.limits.claims.ports == range(30_000, 30_002)),
        "udp-ports": ("30000-30002", lambda s: s.limits.claims.udp_ports == range(30_000, 30_003)),
        "udp-idle": ("21", lambda s: s.limits.udp.idle == 21),
        "hold": ("2.5", lambda s: s.limits.waiting.hold == 2.5),
        "reserve": ("60", lambda s: s.limits.reservations.keep == 60),
        "state": (str(tmp_path), lambda s: s.state == tmp_path),
        "token-file": (str(tmp_path / "t"), lambda s: s.token_file == tmp_path / "t"),
        "workers": ("3", lambda s: s.workers == 3),
        "max-clients": ("2", lambda s: s.limits.admission.clients == 2),
        "max-channels": ("3", lambda s: s.limits.session.mux.channels == 3),
        "max-visitors": ("4", lambda s: s.limits.front.connections == 4),
        "max-per-address": ("3", lambda s: s.limits.front.per_address == 3),
        "max-per-port": ("4", lambda s: s.limits.tcp.connections == 4),
        "tls-timeout": ("13", lambda s: s.limits.tls.handshake == 13),
        "grace": ("18", lambda s: s.limits.grace == 18),
        "upgrade-grace": ("19", lambda s: s.limits.upgrade_grace == 19),
        "resume-window": ("17", lambda s: s.limits.session.resume == 17),
        "max-handshakes": ("14", lambda s: s.limits.tls.handshakes == 14),
        "max-handshake-rate": ("16", lambda s: s.limits.tls.rate == 16),
        "body-timeout": ("11", lambda s: s.limits.http.body_wait == 11),
        "min-body-rate": ("100", lambda s: s.limits.http.body_rate == 100),
        "write-timeout": ("12", lambda s: s.limits.http.stall == 12),
        "head-timeout": ("5", lambda s: (s.limits.http.head_wait, s.limits.front.peek) == (5, 5)),
        "idle-timeout": ("6", lambda s: s.limits.http.keep_alive == 6),
        "response-timeout": ("7", lambda s: s.limits.http.answer == 7),
        "memory": ("8", lambda s: s.limits.memory == 8 * MIB),
        "session-memory": ("9", lambda s: s.limits.session_memory == 9 * MIB),
        "store": ("sqlite", lambda s: s.store is not None and s.store.file == s.state / "store.sqlite3"),
        "forbid-name": ("bank-*", lambda s: s.limits.claims.forbidden == ("bank-*",)),
        "fetch-from": ("10.0.0.0/8", lambda s: s.fetch_from == (ip_network("10.0.0.0/8"),)),
        "tunnel-rate": ("600/m", lambda s: s.limits.tunnel.rate == Rate(600, 60, 1)),
        "tunnel-rate-per-address": ("5/s", lambda s: s.limits.tunnel.rate_per_address == Rate(5, 1, 1)),
        "tunnel-connections": ("7", lambda s: s.limits.tunnel.connections == 7),
        "tunnel-bandwidth-in": ("2k", lambda s: s.limits.tunnel.bandwidth_in == 2000),
        "tunnel-bandwidth-out": ("3M", lambda s: s.limits.tunnel.bandwidth_out == 3_000_000),
        "resolver": ("127.0.0.1:5353", lambda s: s.resolver == ("127.0.0.1", 5353)),
        "login-check": ("https://a.example/check", lambda s: s.login_check == "https://a.example/check"),
        "audit-log": (str(tmp_path / "audit"), lambda s: s.audit_log == tmp_path / "audit"),
    }
    named = {row[0] for row in tap.Options.optParameters} - {"config"}
    assert given.keys() == named
    by_hand = settings(*(f"--{option}={text}" for option, (text, _) in given.items()))
    file = tmp_path / "relay.toml"
    file.write_text("".join(f'{option} = "{text}"\n' for option, (text, _) in given.items()))
    by_file = settings("--config", str(file))
    for option, (_, reached) in given.items():
        assert reached(by_hand), option
        assert not reached(settings()), option
    assert by_file == by_hand


def test_the_interface_follows_the_domain() -> None:
    """Loopback while the domain is this machine, all addresses for any other, what is asked for where it is."""
    everywhere = settings("--domain", "example.com").interface
    assert everywhere in ("::", "")
    assert settings("--domain", "tunnels.localhost").interface == "127.0.0.1"
    assert settings("--domain", "example.com", "--interface", "127.0.0.1").interface == "127.0.0.1"
    assert settings("--interface", "[::1]").interface == "::1"


def test_tcp_tunnels_stand_where_the_rest_does_unless_said_otherwise() -> None:
    """Behind a TLS proxy HTTP is for this machine only, and TCP tunnels are for the world."""
    behind = ["--domain", "example.com", "--interface", "127.0.0.1"]
    assert settings(*behind).tcp_interface == "127.0.0.1"
    apart = settings(*behind, "--tcp-interface", "::")
    assert (apart.interface, apart.tcp_interface) == ("127.0.0.1", "::")


def test_tcp_ports_may_be_one_or_none() -> None:
    """A range, a port, or no TCP tunnels at all."""
    assert settings("--tcp-ports", "5000").limits.claims.ports == range(5000, 5001)
    assert settings("--tcp-ports", "none").limits.claims.ports == range(0)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("port", "0"),
        ("port", "http"),
        ("interface", "eth0"),
        ("domain", "example"),
        ("domain", "a_b.com"),
        ("domain", "10.0.0.1"),
        ("public-url", "example.com"),
        ("link-path", "connect"),
        ("link-path", "/"),
        ("link-path", "/a?b"),
        ("tcp-ports", "9-8"),
        ("tcp-ports", "1-70000"),
        ("tcp-ports", "-"),
        ("plain-http", "both"),
        ("trust", "10.0.0.1/8"),
        ("trust", "everybody"),
        ("access-log-format", "apache"),
        ("max-per-address", "0"),
        ("hold", "-1"),
        ("hold", "for ever"),
        ("max-clients", "0"),
    ],
)
def test_wrong_values_name_the_option(option: str, text: str) -> None:
    """In one sentence that says what it must be."""
    with pytest.raises(UsageError) as refused:
        parsed(f"--{option}={text}")
    assert str(refused.value).startswith(f"--{option} {text}: ")
    assert "must" in str(refused.value)


def test_the_first_port_is_the_one_of_urls() -> None:
    """However many there are; one that is named twice is one."""
    two = settings("--port", "443", "--port", "80", "--port", "443", "--tls-dir", "/certs", "--domain", "example.com")
    assert two.ports == (443, 80)
    assert two.addresses.name_url("app") == "https://app.example.com"
    assert settings("--port", "8080", "--port", "80").addresses.name_url("app") == "http://app.localhost:8080"


def test_with_certificates_the_world_speaks_https() -> None:
    """From a file or a folder; a public URL still says more."""
    for options in (["--tls-cert", "/c", "--tls-key", "/k"], ["--tls-dir", "/d"]):
        assert settings(*options).addresses.name_url("app") == "https://app.localhost:7070"
        assert bool(settings(*options).tls)
        behind = settings(*options, "--public-url", "https://localhost")
        assert behind.addresses.name_url("app") == "https://app.localhost"
    assert not settings().tls


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--tls-cert", "/c"], "--tls-cert and --tls-key: give both"),
        (["--tls-key", "/k"], "--tls-cert and --tls-key: give both"),
        (["--client-ca", "/ca"], "--client-ca: .* over TLS only"),
    ],
)
def test_options_of_tls_that_make_no_sense_alone_are_refused(options: list[str], complaint: str) -> None:
    """Rather than forgotten."""
    with pytest.raises(UsageError, match=complaint):
        parsed(*options)


def test_networks_are_trusted_one_by_one_or_by_a_word(tmp_path: Path) -> None:
    """Repeated on the command line, a list in the file."""
    file = tmp_path / "relay.toml"
    file.write_text('trust = ["loopback", "10.0.0.0/8"]\n')
    for options in (["--trust", "loopback", "--trust", "10.0.0.0/8"], ["--config", str(file)]):
        trusted = settings(*options).trusted
        assert "127.0.0.1" in trusted and "::1" in trusted and "10.1.1.1" in trusted and "192.0.2.1" not in trusted


def test_the_access_log_may_go_to_the_output() -> None:
    """A dash, as everywhere."""
    assert settings("--access-log", "-").access_log == LogSettings("-", "combined")


def test_a_public_url_of_another_host_is_refused() -> None:
    """Names would be given below a domain that nobody is shown."""
    with pytest.raises(UsageError, match="--public-url: its host must be that of --domain"):
        parsed("--domain", "example.com", "--public-url", "https://example.org")


def test_every_option_has_one_sentence_of_help() -> None:
    """What ``twistd egrelay --help`` shows."""
    text = str(tap.Options())
    for name, _, _, sentence, *_ in tap.Options.optParameters:
        assert f"--{name}=" in text
        assert 10 < len(sentence) < 90


def test_the_pid_file_is_its_own() -> None:
    """``twistd egrelay`` and ``twistd egclient`` in one folder do not clash."""
    options = tap.Options()
    parent = ParentOptions()
    parent.opts.update(pidfile="twistd.pid", nodaemon=0)
    options.parent = parent
    options.parseOptions([])
    assert parent["pidfile"] == "egrelay.pid"


def test_the_service_is_a_relay_on_a_monotonic_clock(tmp_path: Path) -> None:
    """What twistd is given."""
    reactor = MemoryReactorClock()
    before = reactor.seconds
    root: Any = tap.makeService(parsed("--state", str(tmp_path)), reactor)
    service, hangup = root
    assert isinstance(service, Relay) and isinstance(hangup, Hangup)
    assert reactor.seconds != before


def test_an_access_log_that_cannot_be_written_is_fatal_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the file and what is wrong with it; nothing is started."""
    said: list[str] = []
    monkeypatch.setattr("egtunnel.terminal.Terminal.fail", lambda self, line: said.append(line))
    root: Any = tap.makeService(
        parsed("--state", str(tmp_path), "--access-log", str(tmp_path / "none" / "log")), MemoryReactorClock()
    )
    assert list(root) == []
    (line,) = said
    assert line.startswith("egrelay: ") and "none/log" in line
