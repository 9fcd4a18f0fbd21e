"""Handshakes in memory: by name, by version, by protocol, with and without a client's certificate, within limits."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock

from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.limits import TLSLimits
from tests.client.certificates import Authority
from tests.ingress.tls.papers import Gate, Visitor, alert_of, write_pair

Make = Callable[..., Gate]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for the relay's host and its names, and an authority of clients with one of its certificates."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certs").mkdir()
    authority = Authority(folder)
    for name, hosts in {"own": ("example.com", "*.example.com"), "other": ("www.example.org",)}.items():
        write_pair(authority, folder / "certs" / f"{name}.pem", folder / "certs" / f"{name}.pem", *hosts)
    write_pair(authority, folder / "client.pem", folder / "client.pem", "client")
    (folder / "strange").mkdir()
    write_pair(Authority(folder / "strange"), folder / "stranger.pem", folder / "stranger.pem", "client")
    return folder


@pytest.fixture
def make(folder: Path) -> Make:
    """A gate with those certificates."""

    def gate(clients: bool = False, **limits: Any) -> Gate:
        clock = Clock()
        authority = folder / "authority.pem" if clients else None
        certificates = Certificates(
            clock, "example.com", folder=folder / "certs", authority=authority, limits=TLSLimits(**limits)
        )
        certificates.load()
        return Gate(certificates, clock, **limits)

    return gate


def arrive(gate: Gate, name: str = "app.example.com", **more: Any) -> Visitor:
    """A visitor that asks for a name."""
    pipe = gate.arrive()
    assert pipe is not None
    return Visitor(pipe, name, **more)


def refused(visitor: Visitor) -> str:
    """The alert of a handshake that fails, in OpenSSL's words."""
    with pytest.raises(SSL.Error) as error:
        visitor.shake_hands()
    return alert_of(error.value)


def client_context(certificate: Path | None = None, version: int | None = None) -> SSL.Context:
    """How a client speaks."""
    context: Any = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if certificate is not None:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(certificate))
    if version is not None:
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    made: SSL.Context = context
    return made


def standard_context(folder: Path) -> ssl.SSLContext:
    """A client of the standard library, which tells whether a session was resumed."""
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))


def returning(gate: Gate, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None) -> ssl.SSLObject:
    """Shake hands, with a ticket or without, and exchange some bytes, with which new tickets come."""
    pipe = gate.arrive()
    assert pipe is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)

    def cross() -> None:
        if outgoing.pending:
            pipe.send(outgoing.read())
        incoming.write(pipe.take())

    def until_done(step: Callable[[], object]) -> None:
        for _ in range(9):
            try:
                step()
            except ssl.SSLWantReadError:
                cross()
            else:
                cross()
                return
        raise AssertionError("it does not end")

    until_done(visitor.do_handshake)
    until_done(lambda: visitor.write(b"echo x"))
    until_done(lambda: visitor.read(100))
    return visitor


def test_bytes_go_through_both_ways(make: Make) -> None:
    """And the protocol within knows whom it has."""
    gate = make()
    visitor = arrive(gate, protocols=(b"http/1.1",)).shake_hands()
    visitor.say(b"echo hello")
    assert visitor.hear() == b"echo hello"
    (within,) = gate.within
    assert within.protocol == b"http/1.1"
    peer = within.peer
    assert (peer.host, peer.port, peer.scheme, peer.tls, peer.tls_name) == (
        "192.0.2.7",
        4711,
        "https",
        True,
        "app.example.com",
    )
    assert not peer.certified
    assert peer.covers("other.example.com") and not peer.covers("www.example.org")
    assert gate.terminator.arrivals == set()
    assert gate.clock.getDelayedCalls() == []


def test_a_name_without_a_certificate_ends_with_unrecognized_name(make: Make) -> None:
    """As RFC 6066 section 3 names it; nothing is built."""
    gate = make()
    visitor = arrive(gate, "www.example.net")
    assert "unrecognized name" in refused(visitor)
    assert visitor.pipe.lost
    assert (gate.within, gate.terminator.arrivals, gate.clock.getDelayedCalls()) == ([], set(), [])


def test_each_name_gets_its_own_certificate(make: Make) -> None:
    """Who names none gets that of the relay's host."""
    for name, expected in {
        "www.example.org": "www.example.org",
        "a.example.com": "example.com",
        "": "example.com",
    }.items():
        visitor = arrive(make(), name).shake_hands()
        shown = visitor.tls.get_peer_certificate(as_cryptography=True)
        assert expected in str(shown.extensions)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((b"h2", b"http/1.1"), b"h2"),
        ((b"http/1.1", b"h2"), b"h2"),
        ((b"http/1.1",), b"http/1.1"),
        ((), b""),
    ],
)
def test_http2_is_preferred_where_it_is_offered(make: Make, offered: tuple[bytes, ...], chosen: bytes) -> None:
    """By ALPN (RFC 7301)."""
    gate = make()
    arrive(gate, protocols=offered).shake_hands()
    assert gate.within[0].protocol == chosen


@pytest.mark.parametrize("clients", [False, True])
@pytest.mark.parametrize(
    ("name", "chosen"), [("example.com", b"egtunnel/1"), ("", b"egtunnel/1"), ("app.example.com", b"http/1.1")]
)
def test_a_bare_link_is_chosen_on_the_relays_own_host_alone(
    make: Make, name: str, chosen: bytes, clients: bool
) -> None:
    """Before any HTTP; a tunnel's visitors cannot have one."""
    gate = make(clients=clients)
    arrive(gate, name, protocols=(b"http/1.1", b"egtunnel/1")).shake_hands()
    assert gate.within[0].protocol == chosen


def test_no_protocol_in_common_ends_with_its_alert(make: Make) -> None:
    """RFC 7301 section 3.2."""
    gate = make()
    assert "no application protocol" in refused(arrive(gate, protocols=(b"acme-tls/1",)))
    assert gate.within == []


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
def test_versions_before_1_2_are_refused(make: Make, version: int) -> None:
    """With the alert that says so, unless the client's own OpenSSL cannot even speak them."""
    assert "protocol" in refused(arrive(make(), context=client_context(version=version)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_with_its_ticket(make: Make, folder: Path, version: ssl.TLSVersion) -> None:
    """In both versions; the ticket is good until its keys are replaced."""
    gate = make(tickets=100.0)
    context = standard_context(folder)
    context.maximum_version = version
    first = returning(gate, context, "app.example.com")
    again = returning(gate, context, "app.example.com", first.session)
    assert (first.session_reused, again.session_reused) == (False, True)
    gate.clock.advance(101)
    assert returning(gate, context, "app.example.com", first.session).session_reused is False


def test_a_client_of_the_relays_authority_is_certified(make: Make, folder: Path) -> None:
    """On the relay's own host only; a visitor of a name is asked nothing."""
    for name, certified in {"example.com": True, "app.example.com": False}.items():
        gate = make(clients=True)
        visitor = arrive(gate, name, context=client_context(folder / "client.pem")).shake_hands()
        visitor.say(b"echo x")
        assert gate.within[0].peer.certified is certified


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_is_as_certified_as_the_first(make: Make, folder: Path, version: ssl.TLSVersion) -> None:
    """And a session of another name, where nobody was asked, is not resumed on the relay's host."""
    gate = make(clients=True)
    context = standard_context(folder)
    context.maximum_version = version
    elsewhere = returning(gate, context, "app.example.com")
    assert returning(gate, context, "example.com", elsewhere.session).session_reused is False
    assert gate.within[-1].peer.certified is False
    context.load_cert_chain(folder / "client.pem")
    first = returning(gate, context, "example.com")
    again = returning(gate, context, "example.com", first.session)
    assert again.session_reused is True
    assert [within.peer.certified for within in gate.within[-2:]] == [True, True]


def test_a_certificate_is_asked_for_and_not_insisted_on(make: Make) -> None:
    """HTTP says later, and clearly, that one is wanted."""
    gate = make(clients=True)
    arrive(gate, "example.com").shake_hands().say(b"echo x")
    assert gate.within[0].peer.certified is False


def test_a_certificate_of_another_authority_ends_the_handshake(make: Make, folder: Path) -> None:
    """Nothing is built."""
    gate = make(clients=True)
    visitor = arrive(gate, "example.com", context=client_context(folder / "stranger.pem", SSL.TLS1_2_VERSION))
    assert "unknown ca" in refused(visitor)
    assert gate.within == []


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01x"])
def test_what_is_no_client_hello_is_told_so(make: Make, data: bytes) -> None:
    """By the alert decode_error, and the end."""
    gate = make()
    pipe = gate.arrive()
    assert pipe is not None
    pipe.send(data)
    assert pipe.take() == b"\x15\x03\x03\x00\x02\x02\x32"
    assert pipe.lost


def test_a_handshake_that_takes_too_long_is_cut_off(make: Make) -> None:
    """After 10 seconds, wherever it stands."""
    gate = make()
    silent, half = gate.arrive(), arrive(gate)
    assert silent is not None
    half.pipe.stuck = True
    with pytest.raises(AssertionError):
        half.shake_hands()
    assert len(gate.terminator.arrivals) == 2
    gate.clock.advance(10)
    assert silent.aborted and half.pipe.aborted
    assert (gate.terminator.arrivals, gate.clock.getDelayedCalls()) == (set(), [])


def test_too_many_unfinished_handshakes_are_turned_away(make: Make) -> None:
    """Those that are over do not count."""
    gate = make(handshakes=2)
    arrive(gate).shake_hands()
    waiting = [gate.arrive(), gate.arrive()]
    assert gate.arrive() is None
    assert waiting[0] is not None
    waiting[0].break_off()
    assert gate.arrive() is not None


def test_too_many_handshakes_a_second_are_turned_away(make: Make) -> None:
    """Until the next one."""
    gate = make(rate=3)
    gate.clock.advance(5)
    for _ in range(3):
        arrive(gate).shake_hands()
    assert gate.arrive() is None
    gate.clock.advance(1)
    assert gate.arrive() is not None


def test_closing_ends_what_has_not_shaken_hands(make: Make) -> None:
    """And nothing else."""
    gate = make()
    done, waiting = arrive(gate).shake_hands(), gate.arrive()
    gate.terminator.close()
    assert waiting is not None and waiting.aborted
    assert not done.pipe.lost


def test_the_protocol_within_learns_how_it_ended(make: Make) -> None:
    """A close_notify is an orderly end; TCP that ends without one may have been cut by anybody."""
    gate = make()
    orderly, cut = arrive(gate).shake_hands(), arrive(gate).shake_hands()
    orderly.pipe.stuck = True  # as with a socket, the end comes in a later turn
    orderly.tls.shutdown()
    orderly.hear_end()
    orderly.pipe.stuck = False
    orderly.pipe.flush()
    cut.pipe.finish()
    assert [type(within.lost.value) for within in gate.within if within.lost] == [ConnectionDone, ConnectionLost]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.integers(1, 700), st.binary(min_size=1, max_size=50_000))
def test_any_cut_of_the_bytes_gives_the_same(make: Make, piece: int, content: bytes) -> None:
    """From the first byte of the ClientHello on."""
    gate = make()
    visitor = arrive(gate)
    visitor.piece = piece
    visitor.shake_hands()
    visitor.say(content)
    assert gate.within[0].received == content


def test_garbage_after_the_handshake_ends_the_connection(make: Make) -> None:
    """Without a traceback."""
    gate = make()
    visitor = arrive(gate).shake_hands()
    visitor.pipe.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert visitor.pipe.lost
    assert gate.within[0].lost is not None
