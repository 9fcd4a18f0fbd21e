"""TLS written and read without detours: over real sockets' transports in memory, both ends ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from egtunnel.eager_tls import EagerTls, EagerTlsFactory
from egtunnel.tls_records import PIECE, PUBLIC, RECORDS
from tests.client.certificates import Authority

MIB = 1 << 20


class Listener(Protocol):
    """Remembers the pieces that came and how it ended."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: list[Any] = []

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.append(reason.value)


class Pair:
    """A client and a server of TLS; ``pump`` carries what each wrote to the other, ``size`` bytes at a time."""

    def __init__(self, authority: Authority) -> None:
        trust = Certificate.loadPEM(authority.file.read_bytes())
        self.folder = authority.file.parent
        creators = (optionsForClientTLS("localhost", trustRoot=trust), authority.server("localhost"))
        self.join(*creators, Listener)

    def join(self, client: Any, server: Any, kind: type[Listener]) -> None:
        """Make both ends with listeners of this kind, and let them shake hands."""
        self.wires = (StringTransport(), StringTransport())
        self.ends: list[Any] = [
            EagerTlsFactory(creator, creator is client, Factory.forProtocol(kind), Clock()).buildProtocol(None)
            for creator in (client, server)
        ]
        self.listeners: list[Listener] = [end.wrappedProtocol for end in self.ends]
        for end, wire in zip(self.ends, self.wires, strict=True):
            end.makeConnection(wire)
        self.pump()

    def pump(self, size: int = 65_536) -> None:
        """Until nothing moves any more."""
        moved = True
        while moved:
            moved = False
            for wire, far in zip(self.wires, reversed(self.ends), strict=True):
                data = wire.value()
                wire.clear()
                for start in range(0, len(data), size):
                    moved = True
                    far.dataReceived(data[start : start + size])


@pytest.fixture(params=[RECORDS, PUBLIC], ids=["direct", "public"], autouse=True)
def records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it with the short way into OpenSSL, and with nothing but pyOpenSSL's public calls."""
    monkeypatch.setattr(EagerTls, "records", request.param)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(Authority(tmp_path))


def test_there_is_a_short_way_with_this_pyopenssl() -> None:
    """Or the daemons would be slower by a third, and nobody would know."""
    assert RECORDS is not PUBLIC


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 65_536, MIB + 7])
@pytest.mark.parametrize("cut", [1000, 65_536])
def test_what_is_written_arrives_whole_and_at_once(pair: Pair, size: int, cut: int) -> None:
    """Of any length, cut on the way anywhere; nothing waits for a turn of the loop."""
    data = bytes(range(256)) * (size // 256 + 1)
    for near, far in ((0, 1), (1, 0)):
        pair.ends[near].write(data[:size])
        assert pair.wires[near].value()
        pair.pump(cut)
        assert pair.listeners[far].received == data[:size]


def test_one_write_is_one_piece_below_and_one_read_one_piece_above(pair: Pair) -> None:
    """However many records there are in it."""
    writes: list[bytes] = []
    pair.wires[0].write = writes.append  # type: ignore[method-assign]
    pair.ends[0].write(b"x" * 60_000)
    if EagerTls.records is RECORDS:
        assert len(writes) == 1
    pair.ends[1].dataReceived(b"".join(writes))
    assert pair.listeners[1].pieces == [b"x" * 60_000]


def test_what_does_not_leave_at_once_is_kept_though_the_buffer_is_shared(pair: Pair) -> None:
    """Two connections write in turns while neither wire takes anything."""
    other = Pair(Authority(pair.folder))
    for number in range(3):
        for each in (pair, other):
            each.ends[0].write(bytes([number + 3 * (each is other)]) * 100_000)
    for each in (pair, other):
        each.pump()
        numbers = range(3 * (each is other), 3 + 3 * (each is other))
        assert each.listeners[1].received == b"".join(bytes([number]) * 100_000 for number in numbers)


def test_one_read_of_more_than_the_buffer_holds_comes_whole(pair: Pair) -> None:
    """In whatever number of pieces OpenSSL gives it."""
    data = bytes(range(256)) * (5 * PIECE // 256)
    pair.ends[0].write(data)
    pair.pump(len(data) * 2)
    assert pair.listeners[1].pieces == [data]


def test_what_is_written_before_the_handshake_follows_it(tmp_path: Path) -> None:
    """It waits within, in order."""
    authority = Authority(tmp_path)

    class Early(Listener):
        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.write(b"early ")
            self.transport.write(b"bird")

    pair = Pair(authority)
    trust = Certificate.loadPEM(authority.file.read_bytes())
    pair.join(optionsForClientTLS("localhost", trustRoot=trust), authority.server("localhost"), Early)
    assert [listener.received for listener in pair.listeners] == [b"early bird"] * 2


def test_data_and_end_in_one_read_come_in_that_order(pair: Pair) -> None:
    """The last words are heard before the close_notify, which is answered."""
    pair.ends[0].write(b"last words")
    pair.ends[0].loseConnection()
    pair.pump()
    assert pair.listeners[1].received == b"last words"
    assert pair.wires[0].disconnecting and pair.wires[1].disconnecting
    for end in pair.ends:
        end.connectionLost(Failure(ConnectionDone()))
    assert [type(error) for error in pair.listeners[1].ended] == [ConnectionDone]


def test_an_end_without_close_notify_is_told_apart(pair: Pair) -> None:
    """A connection that was cut off may have lost something."""
    pair.ends[1].connectionLost(Failure(ConnectionLost()))
    assert [type(error) for error in pair.listeners[1].ended] == [ConnectionLost]


def test_garbage_ends_the_connection_with_openssls_words(pair: Pair) -> None:
    """And what came before it is heard."""
    pair.ends[0].write(b"good")
    data = pair.wires[0].value()
    pair.wires[0].clear()
    pair.ends[1].dataReceived(data + b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert pair.listeners[1].received == b"good"
    assert pair.wires[1].disconnecting
    pair.ends[1].connectionLost(Failure(ConnectionDone()))
    (error,) = pair.listeners[1].ended
    assert isinstance(error, SSL.Error)
    assert "mac" in str(error)


def test_a_listener_that_ends_the_connection_within_a_read_hears_no_more(pair: Pair) -> None:
    """Also where more stands in the same read, and where it is ended twice, or after its end."""
    end: EagerTls = pair.ends[1]
    heard: list[bytes] = []

    def hear(data: bytes) -> None:
        heard.append(data)
        end.abortConnection()

    pair.listeners[1].dataReceived = hear  # type: ignore[method-assign]
    pair.ends[0].write(b"one")
    pair.pump()
    pair.ends[0].write(b"two")
    pair.pump()
    assert heard == [b"one"]
    end.abortConnection()
    end.connectionLost(Failure(ConnectionDone()))
    end.abortConnection()
    end.write(b"nothing comes of this")
