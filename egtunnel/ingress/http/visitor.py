"""A visitor's connection: requests in, one exchange at a time, in order; and what ends it."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import tune
from egtunnel.errors import ChannelClosed
from egtunnel.ingress.http.approach import Exchanging
from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.http.dispatch import Dispatch
from egtunnel.ingress.http.farewell import Farewell
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.pace import Pace
from egtunnel.ingress.http.parser import End, Event
from egtunnel.ingress.http.refusals import TIMEOUT, Refusal
from egtunnel.ingress.http.requests import RequestReader
from egtunnel.ingress.http.responder import HTTP1Responder, IVisitorConnection
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import Visitor
from egtunnel.splice import Half, abort

__all__ = ["VisitorConnection"]


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer, IVisitorConnection)
class VisitorConnection:
    """One connection, over HTTP/1.0 or 1.1, until it becomes something else.

    Events of the reader wait in ``_queue`` while the request before them is not answered; bytes that came meanwhile
    wait unread in ``_held``. Both are bounded by one read, for reading pauses as soon as either holds anything.
    """

    __slots__ = (
        "_blocked",
        "_complete",
        "_deadline",
        "_dispatch",
        "_exchange",
        "_full",
        "_going",
        "_half_closed",
        "_held",
        "_lost",
        "_on_lost",
        "_pace",
        "_progress",
        "_queue",
        "_reader",
        "_reading",
        "_responder",
        "_running",
        "_served",
        "_site",
        "_successor",
        "_timing_head",
        "factory",
        "transport",
    )

    def __init__(self, site: Site, peer: Peer, on_lost: Any = lambda connection: None) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self._site = site
        self._dispatch = Dispatch(site, peer, "HTTP/1.1")
        self._on_lost = on_lost
        self._reader = RequestReader(site.limits)
        self._responder = HTTP1Responder(self)
        self._deadline = Deadline(site.clock, self._too_late)
        self._queue: deque[Event] = deque()
        self._held: list[bytes] = []
        self._exchange: Exchanging | None = None
        self._successor: Any = None
        self._pace: Pace | None = None
        self._progress = 0
        self._reading = self._complete = self._timing_head = True
        self._blocked = self._full = self._running = False
        self._half_closed = self._lost = self._served = self._going = False

    # -- IProtocol

    def makeConnection(self, transport: Any) -> None:
        """Connected: the head of the first request has ``head_wait`` seconds."""
        self.transport = self._responder.transport = transport
        tune(transport)
        transport.registerProducer(self, True)
        self._deadline.set(self._site.limits.head_wait)

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes of requests, or of whatever the connection has become."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif self._queue or self._held or self._reader.waiting:
            self._held.append(data)
            self._look()
        else:
            self._reader.feed(data, self._queue)
            self._run()
            self._retime_input(len(data))

    def readConnectionLost(self) -> None:
        """The visitor sends no more. It may still read, so what it asked for goes on as long as there is progress."""
        successor = self._successor
        if successor is not None:
            if IHalfCloseableProtocol.providedBy(successor):
                successor.readConnectionLost()
            else:
                self._half_closed = True
                self.transport.abortConnection()
        elif self._exchange is None and not self._queue:
            self._end(linger=False)
        elif not self._complete:
            self.break_off()
        else:
            self._half_closed = True
            self._deadline.set(self._site.limits.half_closed)

    def writeConnectionLost(self) -> None:
        """Our own half-close."""
        if IHalfCloseableProtocol.providedBy(self._successor):
            self._successor.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over; so is everything it asked for."""
        self._lost = True
        self._deadline.cancel()
        self._reader.close()
        self._queue.clear()
        self._held.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        self._responder.broken_off()
        if self._successor is not None:
            self._successor.connectionLost(Failure(ConnectionDone()) if self._half_closed else reason)
        self._on_lost(self)

    # -- IPushProducer, of responses

    def pauseProducing(self) -> None:
        """The visitor reads too slowly for what is sent."""
        self._full = True
        self._deadline.set(self._site.limits.stall)
        if self._exchange is not None:
            self._exchange.pause()

    def resumeProducing(self) -> None:
        """All that was sent has left."""
        self._full = False
        self._retime()
        if self._exchange is not None:
            self._exchange.resume()
        self._run()

    def stopProducing(self) -> None:
        """The transport is going; ``connectionLost`` follows."""

    # -- requests

    def _run(self) -> None:
        """Take events off the queue until it is empty or starts with a request that has to wait."""
        if self._running or self._lost:
            return
        self._running = True
        queue, held = self._queue, self._held
        try:
            while self._successor is None:
                if not queue:
                    if not held or self._reader.waiting:
                        break
                    self._feed_held()
                    continue
                if (self._exchange is not None or self._full) and self._of_the_next(queue[0]):
                    break
                self._take(queue.popleft())
        finally:
            self._running = False
        if self._successor is None:
            self._look()

    def _of_the_next(self, event: Event) -> bool:
        """Whether an event is about a request that has to wait for the present one."""
        return type(event) is RequestHead or (type(event) is Refusal and self._complete)

    def _feed_held(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._reader.feed(data, self._queue)

    def _take(self, event: Event) -> None:
        exchange = self._exchange
        if isinstance(event, RequestHead):
            self._begin(event)
        elif isinstance(event, Refusal):
            self._refuse(event)
        elif isinstance(event, End):
            self._complete = True
            if exchange is not None:
                self._retime()
                exchange.end(event.trailers)
        elif exchange is not None and isinstance(event, bytes):
            exchange.body(event)

    def _begin(self, head: RequestHead) -> None:
        self._responder.begin(head)
        self._complete = not head.has_body
        self._pace = None if self._complete else Pace(head, self._site.limits, self._site.clock.seconds())
        self._served = True
        self._timing_head = False
        self._deadline.clear()
        self._dispatch.answer(head, self._responder, self)

    def begin_exchange(self, exchange: Exchanging, visitor: Visitor) -> None:
        """Start an exchange; what comes of the body is its."""
        self._exchange = exchange
        if self._full:
            exchange.pause()
        exchange.start(visitor)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read, or did not come in time; the connection ends with it."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        if self._responder.started and exchange is not None:
            self.break_off()
            return
        self._reader.close()
        self._complete = False
        self._responder.begin(None)
        self._dispatch.refuse(refusal, self._responder)

    # -- IVisitorConnection

    def request_complete(self) -> bool:
        """Whether the whole request has been read."""
        return self._complete

    def response_over(self, keep: bool) -> None:
        """Go on to the next request, or end the connection."""
        self._exchange = None
        self._blocked = False
        waits = self._queue or self._held or self._reader.rest
        if not keep or ((self._half_closed or self._going) and not waits):
            self._end(linger=bool(waits) or not self._complete)
            return
        if self._reader.waiting:
            if self._reader.rest:
                self._held.insert(0, self._reader.rest)
            self._reader.go_on()
        self._retime()
        if not self._running:
            self._run()

    def break_off(self, flush: bool = False) -> None:
        """Cut the connection, so that nobody takes the response for complete; ``flush``: once all has left."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        if flush:
            self._end(linger=not self._complete)
        elif not self._lost:
            self._leave_http(Farewell(self._site.clock, self._site.limits, linger=False))
            abort(self.transport, ChannelClosed())

    def become_half(self) -> Half:
        """The connection as one end of a splice, from the first byte behind the request."""
        half = Half()
        early = self._leave_http(half)
        half.makeConnection(self.transport)
        if early:
            half.dataReceived(early)
        if self._half_closed:
            half.readConnectionLost()
        return half

    def hand_over(self, protocol: Any, head: bytes) -> None:
        """Give the connection away; ``protocol`` starts with this head and what followed it."""
        early = self._leave_http(protocol)
        self._on_lost(self)
        protocol.makeConnection(self.transport)
        protocol.dataReceived(head + early)
        if not self._lost:
            self.transport.resumeProducing()

    def _leave_http(self, successor: Any) -> bytes:
        """Gives what was read and not used."""
        early = self._reader.rest + b"".join(self._held)
        self._held.clear()
        self._queue.clear()
        self._reader.close()
        self._exchange = None
        self._deadline.cancel()
        self._successor = successor
        self.transport.unregisterProducer()
        return early

    def block(self, blocked: bool) -> None:
        """The exchange takes no more of the request's body, or takes more again."""
        if self._blocked != blocked and self._exchange is not None:
            self._blocked = blocked
            if not blocked and self._pace is not None:
                self._pace.go_on(self._site.clock.seconds())
            self._retime()
            self._look()

    def _look(self) -> None:
        """Read exactly when what comes has a place to go to."""
        reading = not (self._blocked or self._queue or self._held)
        if reading == self._reading or self._lost:
            return
        self._reading = reading
        if reading:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def leave(self, at_once: bool = False) -> None:
        """Take one more request at most; ``at_once``: none, where none is under way."""
        self._responder.closing, self._going = True, at_once
        if at_once and self._exchange is None and self._successor is None and not self._lost:
            self._end(linger=False)

    def _end(self, linger: bool) -> None:
        farewell = Farewell(self._site.clock, self._site.limits, linger)
        if not self._lost:
            self._leave_http(farewell)
            farewell.makeConnection(self.transport)

    # -- time

    def _retime(self) -> None:
        """Set the deadline that fits the state."""
        limits, deadline = self._site.limits, self._deadline
        if self._full or self._successor is not None:
            return  # the stall's own deadline runs, or somebody else's
        if self._half_closed:
            deadline.set(limits.half_closed)
        elif self._exchange is not None:
            self._time_body()
        elif self._reader.within_head:
            self._time_head()
        else:
            deadline.set(limits.keep_alive)

    def _time_body(self) -> None:
        """While the body is not asked for, it cannot be late."""
        if self._complete or self._blocked or self._pace is None:
            self._deadline.clear()
        else:
            self._deadline.set(self._pace.until(self._responder.started) - self._site.clock.seconds())

    def _retime_input(self, size: int) -> None:
        """After bytes came: a body made progress, or a head has begun, which may not take for ever."""
        if self._exchange is None:
            if self._successor is None and self._reader.within_head:
                self._time_head()
        elif not self._complete:
            if self._pace is not None:
                self._pace.took(size, self._site.clock.seconds())
            self._retime()

    def _time_head(self) -> None:
        if not self._timing_head:
            self._timing_head = True
            self._deadline.set(self._site.limits.head_wait)

    def _too_late(self) -> None:
        if self._full:
            self.break_off()
        elif self._half_closed:
            self._check_progress()
        elif self._exchange is not None and self._pace is not None and not self._late(self._pace):
            self._time_body()
        elif self._exchange is not None or self._reader.within_head or not self._served:
            self._refuse(TIMEOUT)
        else:
            self._end(linger=False)

    def _late(self, pace: Pace) -> bool:
        """The answer may have begun since the time was set."""
        return self._complete or pace.until(self._responder.started) <= self._site.clock.seconds()

    def _check_progress(self) -> None:
        if self._responder.written == self._progress:
            self.break_off()
        else:
            self._progress = self._responder.written
            self._deadline.set(self._site.limits.half_closed)
