"""Connections within this machine are made at once, and whatever is not that takes the ordinary way."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from egtunnel.eager_dial import at_once

PROGRAM = """
import socket, sys
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from egtunnel.eager_dial import at_once

reactor = EPollReactor()
installReactor(reactor)
host, what = sys.argv[1:]
here = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
here.bind((host, 0))
if what != "refused":
    here.listen(0)
port = here.getsockname()[1]
held = []
if what == "full":
    for _ in range(2):
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex((host, port))

class Asker(Protocol):
    def connectionMade(self):
        self.transport.write(b"ping")
    def dataReceived(self, data):
        print(data.decode(), self.transport.getPeer().port == port, self.transport.getHost().host)
        self.transport.loseConnection()
    def connectionLost(self, reason):
        print(reason.type.__name__)
        reactor.stop()

class Factory_(Factory):
    def buildProtocol(self, addr):
        return None if what == "unwanted" else Asker()

def serve():
    there, _ = here.accept()
    there.sendall(there.recv(4).replace(b"i", b"o"))
    held.append(there)

def go():
    kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
    dialing = at_once(reactor, host, port, kind(reactor, host, port)).connect(Factory_())
    print("at once" if dialing.called else "later")
    dialing.addErrback(lambda reason: print(reason.type.__name__) or reactor.stop())
    if what == "served":
        reactor.callLater(0.01, serve)
    if what == "full":
        for _ in held:
            here.accept()
        here.listen(5)
        reactor.callInThread(serve)

reactor.callWhenRunning(go)
reactor.callLater(20, reactor.stop)
reactor.run()
"""


def dialed(host: str, what: str) -> list[str]:
    """What a real reactor makes of it, line by line."""
    words = [sys.executable, "-c", PROGRAM, host, what]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_service_of_this_machine_is_connected_at_once(host: str) -> None:
    """And is a connection like any other: addresses, writing, reading, the end."""
    assert dialed(host, "served") == ["at once", f"pong True {host}", "ConnectionDone"]


def test_a_refusal_is_told_as_ever() -> None:
    """By the ordinary endpoint."""
    assert dialed("127.0.0.1", "refused") == ["later", "ConnectionRefusedError"]


def test_a_service_that_does_not_keep_up_is_waited_for() -> None:
    """Its queue is full: the kernel tries again, and so the ordinary endpoint waits."""
    assert dialed("127.0.0.1", "full") == ["later", "pong True 127.0.0.1", "ConnectionDone"]


def test_a_factory_that_wants_no_connection_gets_none() -> None:
    """As Twisted has it."""
    assert dialed("127.0.0.1", "unwanted") == ["at once", "NoProtocol"]


class Ordinary:
    """An endpoint that is never asked."""

    def connect(self, factory: Any) -> Deferred[Any]:
        raise AssertionError


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_other_reactors_and_other_machines_take_the_ordinary_way(host: str) -> None:
    """The endpoint is the one that was given."""
    ordinary: Any = Ordinary()
    assert at_once(Clock(), host, 80, ordinary) is ordinary
