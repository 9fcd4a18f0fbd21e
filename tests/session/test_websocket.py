"""Links over WebSocket: the short way for whole binary frames, and Autobahn for the rest."""

from __future__ import annotations

import os
import struct
from typing import Any

import pytest
from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from egtunnel.interfaces import ILink
from egtunnel.session import websocket
from egtunnel.session.websocket import CLOSE_BASE, LinkLimits, link_client_factory, link_server_factory


def binary_frame(payload: bytes, mask: bytes = b"", head: int = 0x82) -> bytes:
    """A WebSocket frame made as RFC 6455 section 5.2 says, apart from the code under test."""
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        start = bytes((head, bit | size))
    elif size < 65536:
        start = struct.pack("!BBH", head, bit | 126, size)
    else:
        start = struct.pack("!BBQ", head, bit | 127, size)
    return start + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload)


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=3000))
def test_masking_is_what_the_rfc_says(mask: bytes, data: bytes) -> None:
    """Short and long, both ways of masking agree with the definition."""
    assert websocket._xor(mask, data) == bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def test_the_native_masker_is_there() -> None:
    """Without Autobahn's compiled masker bulk upload would be a hundred times slower; notice it."""
    assert "nvx" in type(create_xor_masker(b"abcd", 65536)).__module__


SIZES = st.sampled_from([0, 1, 125, 126, 127, 1000, 65535, 65536, 70000])


@given(st.lists(SIZES, max_size=5), st.lists(st.integers(1, 90_000), max_size=20), st.booleans())
def test_any_chunking_gives_the_same_messages(sizes: list[int], cuts: list[int], masked: bool) -> None:
    """Messages come out whole and in order however the stream was cut; what is left is passed on."""
    payloads = [os.urandom(size) for size in sizes]
    stream = b"".join(binary_frame(p, b"\x11\x22\x33\x44" if masked else b"") for p in payloads)
    fast = websocket._FastFrames(masked, 1 << 20)
    messages: list[bytes] = []
    rest = b""
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        got, rest = fast.split(rest + piece)  # a head cut in two is given back; Autobahn would keep it
        messages += got
    assert messages == payloads
    assert rest == b""


@pytest.mark.parametrize(
    "frame",
    [
        binary_frame(b"x", head=0x02),  # not final
        binary_frame(b"x", head=0x81),  # text
        binary_frame(b"x", head=0x88),  # close
        binary_frame(b"x", head=0xC2),  # reserved bit
        binary_frame(b"x", mask=b"abcd"),  # masked where it may not be
        binary_frame(b"x" * 2000),  # over the limit
    ],
)
def test_what_is_not_a_whole_plain_binary_frame_is_left_to_autobahn(frame: bytes) -> None:
    """The short way takes nothing it does not fully know."""
    fast = websocket._FastFrames(False, 1000)
    assert fast.split(binary_frame(b"mine") + frame) == ([b"mine"], frame)


class Listener:
    """A link's receiver that remembers."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.lost: list[str] = []
        self.states: list[str] = []

    def link_message(self, data: bytes) -> None:
        self.messages.append(data)

    def link_paused(self) -> None:
        self.states.append("paused")

    def link_resumed(self) -> None:
        self.states.append("resumed")

    def link_lost(self, reason: str) -> None:
        self.lost.append(reason)


class LinkTests(SynchronousTestCase):
    limits = LinkLimits(message=200_000)

    def setUp(self) -> None:
        self.clock = Clock()
        self.failures: list[str] = []
        self.links: dict[str, Any] = {}
        server_factory: Any = link_server_factory(self.on_link("relay"), self.limits, self.clock)
        client_factory: Any = link_client_factory(
            "ws://relay.example:7070/connect", self.on_link("client"), self.on_failed, self.limits, self.clock
        )
        self.server: Any = server_factory.buildProtocol(None)
        self.client: Any = client_factory.buildProtocol(None)
        self.pump = connect(
            self.server,
            FakeTransport(self.server, True),
            self.client,
            FakeTransport(self.client, False),
            clock=self.clock,
        )
        self.pump.flush()

    def on_failed(self, text: str, word: str) -> None:
        self.failures.append(text)

    def on_link(self, side: str) -> Any:
        def keep(link: Any) -> None:
            link.receiver = Listener()
            self.links[side] = link

        return keep

    def admit(self) -> None:
        for link in self.links.values():
            link.admitted()

    def test_a_link_is_a_link(self) -> None:
        """Both ends provide ILink, plain here."""
        self.assertEqual(set(self.links), {"relay", "client"})
        for link in self.links.values():
            verifyObject(ILink, link)
            self.assertFalse(link.secure)

    def test_a_stranger_may_say_little(self) -> None:
        """Until the peer is known a message over the small limit ends the link, with close code 1009."""
        listener = self.links["relay"].receiver
        self.links["client"].send([bytes(self.limits.stranger + 1)])
        self.pump.flush()
        self.assertEqual(self.client.remoteCloseCode, 1009)
        self.assertEqual(listener.messages, [])

    def test_messages_cross_both_ways(self) -> None:
        """Pieces are joined to one message; from 0 bytes to over 64 KiB."""
        self.admit()
        for size in (0, 1, 125, 126, 65_535, 65_536, 199_999):
            data = os.urandom(size)
            for source, target in (("relay", "client"), ("client", "relay")):
                self.links[source].send([data[: size // 2], memoryview(data)[size // 2 :]])
                self.pump.flush()
                self.assertEqual(self.links[target].receiver.messages[-1], data)

    def test_closing_tells_the_code_and_the_reason(self) -> None:
        """The other end learns the text; both connections are over."""
        listener = self.links["client"].receiver
        self.links["relay"].close(17, "superseded by a newer link")
        self.pump.flush()
        self.assertEqual(self.client.remoteCloseCode, CLOSE_BASE + 17)
        self.pump.flush()
        self.clock.advance(5)
        self.pump.flush()
        self.assertEqual(listener.lost, ["superseded by a newer link"])

    def test_text_messages_end_the_link(self) -> None:
        """Only binary messages are the protocol's."""
        listener = self.links["relay"].receiver
        self.client.sendMessage(b"hello", isBinary=False)
        self.pump.flush()
        self.assertEqual(self.client.remoteCloseCode, CLOSE_BASE + 3)
        self.assertEqual(listener.messages, [])

    def test_fragments_and_pings_between_messages_work(self) -> None:
        """The long way and the short way may alternate; order is kept."""
        self.links["client"].send([b"one"])
        self.client.beginMessage(isBinary=True)
        self.client.sendMessageFrame(b"tw")
        self.client.sendPing(b"?")
        self.client.sendMessageFrame(b"o")
        self.client.endMessage()
        self.links["client"].send([b"three"])
        self.pump.flush()
        self.assertEqual(self.links["relay"].receiver.messages, [b"one", b"two", b"three"])

    def test_a_message_over_the_limit_is_refused(self) -> None:
        """Nothing of it is delivered and the connection ends."""
        self.admit()
        listener = self.links["relay"].receiver
        self.links["client"].send([bytes(200_001)])
        self.pump.flush()
        self.clock.advance(5)
        self.pump.flush()
        self.assertEqual(listener.messages, [])
        self.assertEqual(len(listener.lost), 1)

    def test_an_unmasked_client_is_refused(self) -> None:
        """RFC 6455 section 5.1: the server closes on an unmasked frame."""
        listener = self.links["relay"].receiver
        self.client.transport.write(binary_frame(b"bare"))
        self.pump.flush()
        self.clock.advance(5)
        self.assertEqual(listener.messages, [])

    def test_the_transports_pause_is_the_links_pause(self) -> None:
        """The link is registered as producer of its transport and passes pause and resume on."""
        link = self.links["relay"]
        self.assertIs(link.transport.producer, link)
        link.pauseProducing()
        link.resumeProducing()
        self.assertEqual(link.receiver.states, ["paused", "resumed"])

    def test_abort_ends_at_once(self) -> None:
        """The other end just loses the connection."""
        listener = self.links["client"].receiver
        self.links["relay"].abort()
        self.pump.flush()
        self.assertEqual(len(listener.lost), 1)


class HandshakeTests(SynchronousTestCase):
    def ask(self, extra: str) -> bytes:
        """The relay's answer to an upgrade request with these header lines."""
        links: list[Any] = []
        clock = Clock()
        server: Any = link_server_factory(links.append, LinkLimits(), clock).buildProtocol(None)  # type: ignore[arg-type]
        transport = FakeTransport(server, True)
        server.makeConnection(transport)
        server.dataReceived(
            (
                "GET /connect HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + extra + "\r\n"
            ).encode()
        )
        answer: bytes = transport.getOutBuffer()
        return answer

    def test_our_subprotocol_is_taken(self) -> None:
        """The accept value is the one of RFC 6455 section 1.3; no extension is agreed to."""
        answer = self.ask("Sec-WebSocket-Protocol: egtunnel.v1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", answer)
        self.assertNotIn(b"extensions", answer.lower())

    def test_without_it_there_is_no_link(self) -> None:
        """No subprotocol, or another: 400."""
        for extra in ("", "Sec-WebSocket-Protocol: chat\r\n"):
            self.assertTrue(self.ask(extra).startswith(b"HTTP/1.1 400"))

    def test_browsers_are_refused(self) -> None:
        """A page's WebSocket always carries an Origin; the link never does."""
        for origin in ("http://evil.example", "http://relay.example", "null"):
            answer = self.ask(f"Sec-WebSocket-Protocol: egtunnel.v1\r\nOrigin: {origin}\r\n")
            self.assertFalse(answer.startswith(b"HTTP/1.1 101"), answer)

    def test_a_refusal_tells_its_word(self) -> None:
        """What answers with an error page of the relay's instead of a WebSocket: the page's word comes along."""
        failures: list[tuple[str, ...]] = []
        for header, word in (("X-Egtunnel-Error: certificate-required\r\n", "certificate-required"), ("", "")):
            failures.clear()
            factory = link_client_factory(
                "ws://relay.example/", lambda _: None, lambda *said: failures.append(said), LinkLimits(), Clock()
            )
            client: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
            client.makeConnection(FakeTransport(client, False))
            client.dataReceived(f"HTTP/1.1 403 Forbidden\r\n{header}Content-Length: 0\r\n\r\n".encode())
            client.connectionLost(Failure(ConnectionDone()))
            ((text, found),) = failures
            self.assertIn("403", text)
            self.assertEqual(found, word)

    def test_a_silent_peer_is_dropped(self) -> None:
        """A client that is answered by nothing gives up after the handshake limit and says so."""
        clock = Clock()
        failures: list[str] = []
        factory = link_client_factory(
            "ws://relay.example/", lambda _: None, lambda text, _: failures.append(text), LinkLimits(handshake=3), clock
        )
        client: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
        transport: Any = FakeTransport(client, False)
        client.makeConnection(transport)
        clock.advance(2.9)
        self.assertFalse(transport.disconnecting or transport.disconnected)
        clock.advance(0.2)
        self.assertTrue(transport.disconnecting or transport.disconnected or transport.aborting)
