"""Peers that mean harm on a bare link, before hello and after: told why and ended, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.errors import FrameError, HandshakeError, OverLimit, UnknownFrameType
from egtunnel.mux.frames import FrameType
from tests.integration.daemons import Client, SecureRelay
from tests.integration.house import MOST_GROWTH, calm_since
from tests.integration.papers import Papers
from tests.integration.programs import curl
from tests.integration.rawbare import RawBareLink, shake_hands
from tests.integration.rawlink import LinkEnded, frame, message, token_of
from tests.integration.upstreams import Nginx

HELLO = {"token": "x" * 43, "client_id": "c"}


class House:
    """A relay with TLS and an honest client over a bare link."""

    def __init__(self, folder: Path, nginx: Nginx, stack: contextlib.ExitStack) -> None:
        self.papers = Papers(folder)
        self.relay = SecureRelay(
            folder, self.papers.domain, self.papers.ca, *self.papers.relay_options, "--tcp-ports", "none"
        )
        stack.callback(self.relay.end)
        self.client = Client(self.relay.ready(), "--local", str(nginx.port), "--name", "good", "--link", "tls")
        stack.callback(self.client.end)
        self.client.url()

    def serve(self) -> None:
        """The honest tunnel does what it is there for."""
        url = f"https://{self.relay.host('good')}/hello"
        assert curl(url, *self.papers.curl_options(self.relay.port)) == b"hello from nginx\n"

    def link(self) -> RawBareLink:
        """A link that has said nothing."""
        return RawBareLink(self.papers, self.relay.port)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One house for all attacks."""
    with contextlib.ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), nginx, stack)


@pytest.fixture(autouse=True)
def _undisturbed(house: House) -> Iterator[None]:
    line, memory = len(house.relay.lines), house.relay.memory()
    yield
    house.serve()
    calm_since(house.relay, line)
    assert house.relay.memory() - memory < MOST_GROWTH


BEFORE_HELLO = {
    "a request of HTTP": b"GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n",
    "random bytes": random.Random(3).randbytes(10_000),
    "an unknown frame type": frame(99),
    "an OPEN": frame(FrameType.OPEN, 1, b"\0\1\0\0{}"),
    "DATA": frame(FrameType.DATA, 1, b"abc"),
    "a GOAWAY": frame(FrameType.GOAWAY, 0, b"\0\0\0\0\0\0"),
    "no JSON": frame(FrameType.MESSAGE, 0, b"{nonsense"),
    "a claim": message("claim", tunnel=1, kind="http"),
    "the header of a hello that is too long": frame(FrameType.MESSAGE, 0, b"{", length=60_000),
    "a hello that is too long": frame(FrameType.MESSAGE, 0, b" " * 60_000),
}


@pytest.mark.parametrize("attack", BEFORE_HELLO.values(), ids=BEFORE_HELLO.keys())
def test_what_is_no_hello_ends_the_link_with_the_handshake_error(house: House, attack: bytes) -> None:
    """At once, by a GOAWAY and the end of the connection."""
    with house.link() as link:
        link.send_raw(attack)
        _, _, gone = link.ending()
    assert gone == HandshakeError.code


def test_links_that_say_nothing_or_half_are_ended_in_time(house: House) -> None:
    """Silent ones, and those that begin a hello; within the limit of a hello."""
    hello = message("hello", **HELLO)
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(house.link()) for _ in range(60)]
        for number, link in enumerate(links[20:]):
            link.send_raw(hello[: 1 + number])
        assert {link.ending()[2] for link in links} == {HandshakeError.code}


def test_too_many_that_wait_are_told_so(house: House) -> None:
    """The relay keeps so many strangers and no more; the next one is told why."""
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(house.link()) for _ in range(200)]
        more = [stack.enter_context(house.link()) for _ in range(60)]
        assert more[-1].ending()[2] == OverLimit.code
        for link in links:
            link.socket.close()


AFTER_HELLO = {
    "an unknown frame type": (frame(99), UnknownFrameType.code),
    "a PING of 7 bytes": (frame(FrameType.PING, 0, b"1234567"), FrameError.code),
    "DATA on channel 0": (frame(FrameType.DATA, 0, b"abc"), FrameError.code),
}


@pytest.mark.parametrize(("attack", "code"), AFTER_HELLO.values(), ids=AFTER_HELLO.keys())
def test_a_broken_frame_ends_the_session(house: House, attack: bytes, code: int) -> None:
    """The code of the fault, as on a WebSocket."""
    with house.link() as link:
        link.log_in(token_of(house.relay))
        link.send_raw(attack)
        assert link.ending()[2] == code


def test_frames_may_come_in_any_pieces(house: House) -> None:
    """A hello byte by byte, a claim cut in its header: a stream has no messages."""
    with house.link() as link:
        pieces = message("hello", token=token_of(house.relay), client_id="bytes", version=1)
        for number in range(len(pieces)):
            link.send_raw(pieces[number : number + 1])
        link.read_message("welcome")
        claim = message("claim", tunnel=1, kind="http", name="pieces")
        link.send_raw(claim[:5])
        link.send_raw(claim[5:])
        assert link.read_message("claimed", "refused")["type"] == "claimed"


def test_a_peer_that_does_not_say_goodbye_is_not_waited_for(house: House) -> None:
    """It is refused, reads nothing and does not close: the connection is ended all the same."""
    with house.link() as link:
        link.hello("x" * 43)
        link.socket.setblocking(True)
        link.socket.settimeout(20)
        raw = link.socket.detach()
    with contextlib.suppress(OSError), socket.socket(fileno=raw) as below:
        below.settimeout(20)
        while below.recv(65_536):
            pass


def test_only_the_relays_own_host_has_bare_links(house: House) -> None:
    """A tunnel's visitor that offers one is served HTTP, or gets nothing."""
    port, name = house.relay.port, f"good.{house.papers.domain}"
    with shake_hands(house.papers, port, "egtunnel/1", "http/1.1", name=name) as visitor:
        assert visitor.selected_alpn_protocol() == "http/1.1"
    with shake_hands(house.papers, port, "h2", "egtunnel/1", name=house.papers.domain) as client:
        assert client.selected_alpn_protocol() == "egtunnel/1"
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        shake_hands(house.papers, port, "egtunnel/1", name=name)


def test_a_link_is_no_visitor(tmp_path: Path, nginx: Nginx) -> None:
    """Neither of its address nor of the relay: with room for one of them, its client's links do not use it up."""
    with contextlib.ExitStack() as stack:
        papers = Papers(tmp_path)
        options = [*papers.relay_options, "--tcp-ports", "none", "--max-per-address", "1"]
        relay = SecureRelay(tmp_path, papers.domain, papers.ca, *options)
        stack.callback(relay.end)
        relay.wait_for("egrelay listens")  # ready() would come as a visitor
        links = []
        for number in range(5):  # the relay knows what one is when its handshake is over, on both sides
            links.append(stack.enter_context(RawBareLink(papers, relay.port)))
            links[-1].log_in(token_of(relay), f"client{number}")
        for link in links:
            with pytest.raises(LinkEnded):
                link.send_raw(frame(99))
                while True:
                    link.read()
