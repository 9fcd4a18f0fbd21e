"""Objects, sockets and connections between processes, over real socket pairs; the reactor is called by hand."""

from __future__ import annotations

import socket
from typing import Any

from egtunnel.relay.workers.passing import MOST_DATA, Pass, Passed
from egtunnel.relay.workers.wire import LONGEST_LINE, Wire, Words


class Hand:
    """A reactor that does nothing by itself."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Nothing is read before it is asked for."""

    def removeReader(self, reader: Any) -> None:
        """Nor afterwards."""

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class Ends:
    """Two ends of a wire."""

    def __init__(self) -> None:
        self.hand = Hand()
        self.said: list[tuple[Words, list[socket.socket]]] = []
        self.lost: list[str] = []
        self._raw, far = socket.socketpair()
        self.near = Wire(self.hand, self._raw, lambda *_: None, lambda: self.lost.append("near"))
        self.far = Wire(self.hand, far, lambda *said: self.said.append(said), lambda: self.lost.append("far"))

    def feed(self, data: bytes) -> None:
        """Bytes that no wire would send."""
        self._raw.sendall(data)


def test_objects_arrive_in_order_with_their_sockets() -> None:
    """More than the socket takes at once, too."""
    ends = Ends()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ends.near.send({"type": "one"})
        ends.near.send({"type": "big", "text": "x" * 900_000})
        ends.near.send({"type": "two"}, [listening])
        while ends.near in ends.hand.writers or len(ends.said) < 3:
            ends.near.doWrite()
            ends.far.doRead()
        port = listening.getsockname()[1]
    assert [words["type"] for words, _ in ends.said] == ["one", "big", "two"]
    (passed,) = ends.said[2][1]
    assert passed.getsockname()[1] == port and not passed.get_inheritable()
    passed.close()
    ends.near.close()
    ends.far.doRead()
    assert ends.lost == ["far"]


def test_a_line_without_an_end_or_sense_ends_the_wire() -> None:
    """Once."""
    for data in (b"[]\n", b"nonsense\n", b'{"sockets": 1}\n'):
        ends = Ends()
        ends.feed(data)
        ends.far.doRead()
        assert ends.lost == ["far"] and ends.said == []
        ends.near.close()
    assert LONGEST_LINE > 64 * 4096 * 2


def test_a_connection_is_passed_with_what_was_read_of_it() -> None:
    """What is too long stays; so does everything once the other worker is gone."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    took: list[Passed] = []
    sender, receiver = Pass(Hand(), near, took.append), Pass(Hand(), far, took.append)
    visitor, accepted = socket.socketpair()
    assert not sender.send(accepted, {}, b"x" * (MOST_DATA + 1))
    assert sender.send(accepted, {"visitor": ["1.2.3.4", 5]}, b"GET /\n")
    accepted.close()
    receiver.doRead()
    (passed,) = took
    assert (passed.words, passed.data) == ({"visitor": ["1.2.3.4", 5]}, b"GET /\n")
    passed.connection.sendall(b"hello")
    assert visitor.recv(10) == b"hello"
    receiver.close()
    assert not sender.send(visitor, {}, b"")
    for each in (visitor, passed.connection):
        each.close()
    sender.close()
