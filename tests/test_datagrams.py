"""Datagrams over a channel: framing, queues that drop the oldest, sockets."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from egtunnel.datagrams import HEAD, LONGEST, DatagramLimits, DatagramSocket, Flow, Queues, Reassembly, framed
from egtunnel.errors import RemoteProtocolError


@given(st.lists(st.binary(max_size=300), max_size=12), st.lists(st.integers(1, 200), max_size=30))
def test_datagrams_come_out_as_they_went_in(datagrams: list[bytes], sizes: list[int]) -> None:
    """In whatever pieces the channel brings them; empty ones are datagrams, too."""
    data, reassembly, found, at = framed(datagrams), Reassembly(), [], 0
    for size in [*sizes, len(data)]:
        found += reassembly.feed(data[at : at + size])
        at += size
    assert found == datagrams


def test_the_longest_datagram_there_is() -> None:
    """65,507 bytes pass; one that says it is longer ends the channel."""
    assert Reassembly().feed(framed([bytes(LONGEST)])) == [bytes(LONGEST)]
    with pytest.raises(RemoteProtocolError):
        Reassembly().feed(HEAD.pack(LONGEST + 1))


class Channel(StringTransport):
    """Remembers its producer and whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class End:
    """One end of a flow whose channel is the test's."""

    def __init__(self, queue: int = 1000, memory: int = 10_000, queues: Queues | None = None) -> None:
        self.queues = queues or Queues(DatagramLimits(queue=queue, memory=memory))
        self.received: list[bytes] = []
        self.lost: list[Failure] = []
        self.flow = Flow(self.queues, self.received.extend, self.lost.append)
        self.channel = Channel()

    def sent(self) -> list[bytes]:
        data, found = self.channel.value(), Reassembly()
        self.channel.clear()
        return found.feed(data)


def test_what_comes_before_the_channel_waits() -> None:
    """And leaves in its order."""
    end = End()
    end.flow.send([b"one", b"two"])
    end.flow.makeConnection(end.channel)
    end.flow.send([b"three"])
    assert end.sent() == [b"one", b"two", b"three"]
    assert end.queues.held == 0


def test_a_full_channel_drops_the_oldest_and_counts_them() -> None:
    """What is newest arrives once there is room."""
    end = End(queue=1000)
    end.flow.makeConnection(end.channel)
    end.flow.pauseProducing()
    for number in range(10):
        end.flow.send([b"%d" % number * 136])  # 200 bytes with what it costs
    assert end.queues.dropped == 5
    assert end.sent() == []
    end.flow.resumeProducing()
    assert [datagram[:1] for datagram in end.sent()] == [b"5", b"6", b"7", b"8", b"9"]
    assert end.queues.held == 0


def test_all_flows_together_have_a_limit() -> None:
    """Whoever sends beyond it loses its own."""
    queues = Queues(DatagramLimits(queue=1000, memory=1000))
    ends = [End(queues=queues) for _ in range(2)]
    for end in ends:
        for _ in range(5):
            end.flow.send([bytes(136)])
    assert queues.held <= 1000
    assert queues.dropped == 5
    for end in ends:
        end.flow.connectionLost(Failure(ConnectionDone()))
    assert queues.held == 0


def test_nonsense_ends_the_channel() -> None:
    """And a flow that is over takes nothing more."""
    end = End()
    end.flow.makeConnection(end.channel)
    end.flow.dataReceived(HEAD.pack(LONGEST + 1))
    assert end.channel.aborted
    end.flow.send([b"late"])
    assert (end.sent(), end.queues.held) == ([], 0)


class Readers:
    """A reactor that is asked to read."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


def test_a_socket_gives_what_came_at_once_together() -> None:
    """Real sockets: sizes from nothing to the longest, each with its sender; a turn has an end."""
    batches: list[list[tuple[bytes, Any]]] = []
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for each in (ours, theirs):
        each.bind(("127.0.0.1", 0))
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    end = DatagramSocket(Readers(), ours, batches.append)
    end.startReading()
    for size in (0, 1, LONGEST):
        theirs.sendto(bytes(size), ours.getsockname())
    end.doRead()
    assert [(len(data), sender) for data, sender in batches[0]] == [
        (size, theirs.getsockname()) for size in (0, 1, LONGEST)
    ]
    for _ in range(150):
        theirs.sendto(b"x", ours.getsockname())
    end.doRead()
    assert len(batches[1]) == 128
    end.send([b"back"], theirs.getsockname())
    assert theirs.recv(10) == b"back"
    end.stopListening()
    assert end.fileno() == -1
    theirs.close()


def test_nobody_listens_there() -> None:
    """An error of a connected socket is told, and the socket goes on."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind(("127.0.0.1", 0))
    place = probe.getsockname()
    probe.close()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    errors: list[OSError] = []
    udp.connect(place)
    end = DatagramSocket(Readers(), udp, lambda found: None, errors.append)
    end.send([b"one"])
    end.doRead()
    assert errors and isinstance(errors[0], ConnectionRefusedError)
    end.send([b"two"])
    end.connectionLost(Failure(ConnectionDone()))  # so says epoll, where an error is all there is
    assert len(errors) == 2 and isinstance(errors[1], ConnectionRefusedError)
    assert end.fileno() >= 0
    end.stopListening()
