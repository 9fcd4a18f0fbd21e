"""The shortened loop does what Twisted's does: reads, writes, disconnects, and survives a protocol that fails."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from egtunnel.eager_loop import shorten

PROGRAM = """
import socket, sys
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.python import log
from egtunnel.eager_loop import shorten

reactor = EPollReactor()
installReactor(reactor)
assert shorten(reactor)
faults = []
log.addObserver(lambda event: faults.append(event) if event["isError"] else None)
said = []

class Echo(Protocol):
    def dataReceived(self, data):
        if data == b"fail":
            raise ValueError("on purpose")
        self.transport.write(data)

class Asker(Protocol):
    def __init__(self, words, over):
        self.words, self.over, self.got = words, over, b""
    def connectionMade(self):
        self.transport.write(self.words)
    def dataReceived(self, data):
        self.got += data
        if self.got == self.words:
            self.transport.loseConnection()
    def connectionLost(self, reason):
        said.append((self.words[:4], self.got == self.words))
        self.over()

left = [3]
def over():
    left[0] -= 1
    if not left[0]:
        reactor.stop()

port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
def ask(words):
    where = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    connectProtocol(where, Asker(words, over))
for words in (b"fail", b"tiny", b"bulk" * 1_000_000):
    ask(words)
reactor.callLater(20, reactor.stop)
reactor.run()
print(sorted(said), len(faults))
"""


def test_it_reads_writes_and_survives_a_fault_of_one_protocol() -> None:
    """The connection whose protocol failed is lost and the fault logged, once; a small and a large echo come whole."""
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[(b'bulk', True), (b'fail', False), (b'tiny', True)] 1", done.stderr


def test_another_reactor_keeps_its_own_loop() -> None:
    """What is no epoll reactor is not touched."""
    other = SimpleNamespace(doIteration=None)
    assert not shorten(other)
    assert other.doIteration is None


@pytest.mark.parametrize("event", ["reset", "half-close"])
def test_the_end_of_a_connection_is_told_as_by_twisted(event: str) -> None:
    """A reset by the peer is a loss, a half-close an orderly end of reading."""
    words = [sys.executable, "-c", ENDS, event]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == {"reset": ["ConnectionLost"], "half-close": ["half", "ConnectionDone"]}[event], (
        done.stderr
    )


ENDS = """
import socket, struct, sys
from zope.interface import implementer
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from egtunnel.eager_loop import shorten

reactor = EPollReactor()
installReactor(reactor)
assert shorten(reactor)

@implementer(IHalfCloseableProtocol)
class Told(Protocol):
    def connectionMade(self):
        if sys.argv[1] == "reset":
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            visitor.close()
        else:
            visitor.shutdown(socket.SHUT_WR)
    def readConnectionLost(self):
        print("half")
        self.transport.loseConnection()
    def writeConnectionLost(self):
        pass
    def connectionLost(self, reason):
        print(reason.type.__name__)
        reactor.stop()

port = reactor.listenTCP(0, Factory.forProtocol(Told), interface="127.0.0.1")
visitor = socket.socket()
reactor.callWhenRunning(lambda: visitor.connect(("127.0.0.1", port.getHost().port)))
reactor.callLater(20, reactor.stop)
reactor.run()
"""
