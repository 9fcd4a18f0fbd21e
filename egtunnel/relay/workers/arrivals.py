"""Connections that come to a worker from the outside and go on to another, or have come from there."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.ingress.front.destination import destination
from egtunnel.ingress.front.door import FrontDoor
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.relay.admission import Door
from egtunnel.relay.workers.neighbours import Neighbours
from egtunnel.relay.workers.passing import Passed
from egtunnel.relay.workers.placing import Placing
from egtunnel.relay.workers.stream_link import StreamLink, adopt_stream
from egtunnel.session.messages import Hello

__all__ = ["Arrivals", "prefix", "worker_of"]


def prefix(worker: int) -> str:
    """How the ids of a worker's sessions begin."""
    return f"w{worker}-"


def worker_of(session: Any) -> int:
    """The worker whose session has this id; 0: no worker's."""
    head, dash, _ = session.partition("-") if isinstance(session, str) else ("", "", "")
    return int(head[1:]) if dash and len(head) < 6 and head[:1] == "w" and head[1:].isdecimal() else 0


class Arrivals:
    """Sends connections to the worker that is best for them, and takes those that others send.

    :param worker: our number.
    """

    log = Logger()

    def __init__(self, reactor: Any, worker: int) -> None:
        self._reactor = reactor
        self._worker = worker
        self.neighbours: Neighbours | None = None
        self.placing: Placing | None = None
        self.front: FrontDoor | None = None
        self.door: Door | None = None

    # -- of visitors

    def elsewhere(self, transport: Any, data: bytes, host: str, port: int) -> bool | None:
        """As the front door asks (``ingress.front.door.Elsewhere``)."""
        placing, neighbours = self.placing, self.neighbours
        if placing is None or neighbours is None or not placing.others:
            return False
        wish = destination(data)
        if wish is None:
            return None
        worker = placing.worker(wish)
        if not worker or not neighbours.send(worker, transport.socket, {"visitor": [host, port]}, data):
            return False
        placing.sent(worker)
        return True

    def passed(self, passed: Passed) -> None:
        """What another worker has sent."""
        words = passed.words
        try:
            if "visitor" in words:
                host, port = words["visitor"]
                self._visitor(passed.connection, host, port, passed.data)
            else:
                self._link(passed.connection, words, passed.data)
        except OSError as error:
            passed.connection.close()
            self.log.debug("a connection was gone when it came: {error}", error=error)

    def _visitor(self, connection: socket.socket, host: str, port: int, data: bytes) -> None:
        if self.front is None:
            connection.close()
            return
        with connection:
            factory = _Settled(self.front, host, port)
            transport = self._reactor.adoptStreamConnection(connection.fileno(), connection.family, factory)
        if transport is not None and not transport.disconnecting:
            transport.protocol.dataReceived(data)

    # -- of clients, whose session another worker holds

    def resumes(self, link: ILink, hello: Hello, message: bytes) -> bool:
        """Whether the link goes on at another worker, which holds the session that its hello names."""
        named = hello.resume or hello.join or {}
        worker = worker_of(named.get("session"))
        if worker in (0, self._worker) or self.neighbours is None:
            return False
        ours, theirs = socket.socketpair()
        with theirs:
            sent = self.neighbours.send(worker, theirs, {"link": link.peer, "secure": link.secure}, message)
        if not sent:
            ours.close()
            return False
        Onward(link, adopt_stream(self._reactor, ours, StreamLink(link.peer)))
        return True

    def _link(self, connection: socket.socket, words: dict[str, Any], hello: bytes) -> None:
        link = adopt_stream(self._reactor, connection, StreamLink(words["link"], words["secure"]))
        if self.door is None:
            link.abort()
            return
        self.door.link(link)
        if link.receiver is not None:
            link.receiver.link_message(hello)


class _Settled(ServerFactory):
    """Gives a passed connection to the front door as what it was."""

    noisy = False

    def __init__(self, front: FrontDoor, host: str, port: int) -> None:
        self._front = front
        self._host = host
        self._port = port

    def buildProtocol(self, addr: Any) -> Any:
        """The connection; its own address may be that of a balancer."""
        return self._front.settled(self._host, self._port)


@implementer(ILinkReceiver)
class Onward:
    """Joins a client's link and the stream to the worker that holds its session; messages pass as they are."""

    def __init__(self, link: ILink, stream: StreamLink) -> None:
        self._link = link
        self._stream = stream
        link.receiver = self
        stream.receiver = Backward(link)
        stream.on_admitted = link.admitted
        stream.on_close = self._close

    def link_message(self, data: bytes) -> None:
        """From the client."""
        self._stream.send([data])

    def link_paused(self) -> None:
        """The client takes no more for now."""
        self._stream.pause()

    def link_resumed(self) -> None:
        """It does again."""
        self._stream.resume()

    def link_lost(self, reason: str) -> None:
        """The client is gone."""
        self._stream.close(0, reason)

    def _close(self, code: int, text: str) -> None:
        """The other worker has said its last word; the client is to hear it."""
        self._stream.receiver = None
        self._link.close(code, text)


@implementer(ILinkReceiver)
class Backward:
    """What the other worker has for the client."""

    def __init__(self, link: ILink) -> None:
        self._link = link

    def link_message(self, data: bytes) -> None:
        """From the session."""
        self._link.send([data])

    def link_paused(self) -> None:
        """The other worker takes no more for now."""
        self._link.pause()

    def link_resumed(self) -> None:
        """It does again."""
        self._link.resume()

    def link_lost(self, reason: str) -> None:
        """The other worker has given the link up."""
        self._link.abort()
