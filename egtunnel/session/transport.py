"""A channel as an ordinary Twisted transport: producers both ways, half-close, and credit for what was consumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import READ, USUAL_READ, widen
from egtunnel.errors import ChannelClosed, ChannelReset, EgtunnelError
from egtunnel.mux.channel import Channel

if TYPE_CHECKING:
    from egtunnel.session.session import Session

__all__ = ["HIGH_WATER", "ChannelAddress", "ChannelTransport", "ChannelWatcher"]

HIGH_WATER = 65_536
"""More bytes than this waiting to be sent on a channel pause its producer; while memory is tight, any bytes do."""
LOW_WATER = 16_384
"""The producer goes on when no more bytes than this wait."""


@implementer(IAddress)
@attrs.frozen
class ChannelAddress:
    """Where a channel comes from or goes to: its session and its number."""

    session: str
    channel: int


class ChannelWatcher(Protocol):
    """Told what becomes of a channel, beside its protocol."""

    def channel_accepted(self) -> None:
        """The peer has accepted it."""

    def channel_reset(self, error: EgtunnelError) -> None:
        """The peer, the budget or the end of the session has ended it."""

    def channel_over(self) -> None:
        """It is over, however it ended; told once."""


@implementer(ITransport, IConsumer, IPushProducer)
class ChannelTransport:
    """One application's view of a channel.

    Received bytes count as consumed once ``protocol.dataReceived`` has taken them; while paused they wait here and the
    peer gets no credit. The protocol learns of an early end by a failure of ``egtunnel.errors.ChannelReset``.
    """

    __slots__ = (
        "_channel",
        "_fin",
        "_fin_told",
        "_lost",
        "_paused",
        "_pending",
        "_producer",
        "_producer_paused",
        "_session",
        "_streaming",
        "_write_end_told",
        "disconnecting",
        "protocol",
        "watcher",
    )

    log = Logger()

    def __init__(self, session: Session, channel: Channel) -> None:
        self._session = session
        self._channel = channel
        self.protocol: Any = None
        self.watcher: ChannelWatcher | None = None
        self.disconnecting = False
        self._lost = False
        self._pending: deque[bytes] = deque()
        self._paused = False
        self._fin = False
        self._fin_told = False
        self._write_end_told = False
        self._producer: Any = None
        self._producer_paused = False
        self._streaming = True

    # -- for whoever accepts or opens the channel

    def connect_protocol(self, protocol: IProtocol) -> None:
        """Make ``protocol`` the reader; what came before is delivered to it."""
        self.protocol = protocol
        protocol.makeConnection(self)
        self._deliver()

    def accept(self) -> None:
        """Tell the peer that its channel is wanted and reached what it asked for."""
        self._session.mux.accept(self._channel)
        self._session.wake()

    def reset(self, error: EgtunnelError) -> None:
        """End both directions at once; the peer learns ``error``, our protocol too, in a later turn."""
        if not self._lost and not self._over():
            self._session.mux.reset(self._channel, error if isinstance(error, ChannelReset) else ChannelClosed())
            self._session.wake()
        self._session.later(lambda: self.lost(Failure(error)))

    def _over(self) -> bool:
        return self._channel.fin_sent and self._channel.fin_received

    # -- ITransport

    def write(self, data: bytes) -> None:
        """Queue bytes; a registered producer is paused when too many wait."""
        if self._lost or self.disconnecting or self._channel.fin_queued:
            return
        session, channel = self._session, self._channel
        session.mux.write(channel, data)
        session.wake()
        if self._producer is not None and not self._producer_paused and self._full():
            self._producer_paused = True
            if self._streaming:
                self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Queue several pieces as one."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End the channel once everything written has left and a registered producer is done."""
        if self._lost or self.disconnecting:
            return
        self.disconnecting = True
        if self._producer is None:
            self._finish()

    def loseWriteConnection(self) -> None:
        """End our direction once everything written has left; reading goes on."""
        if not self._lost:
            self._finish()

    def abortConnection(self) -> None:
        """End the channel at once."""
        self.reset(ChannelClosed())

    def _finish(self) -> None:
        self._session.mux.finish(self._channel)
        self._session.wake()
        if self._channel.fin_sent:
            self._sent_all()

    def getPeer(self) -> ChannelAddress:
        """The address of the far side: our session and the number of the channel."""
        return ChannelAddress(self._session.id, self._channel.id)

    def getHost(self) -> ChannelAddress:
        """The same address: both ends of a channel have the same number."""
        return self.getPeer()

    # -- IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pause ``producer`` while too much waits. Raises RuntimeError if there is one already."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        if self._lost:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producer_paused = False
        if not streaming:
            producer.resumeProducing()
        elif self._full():
            self._producer_paused = True
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer; a waiting ``loseConnection`` goes on."""
        had, self._producer = self._producer, None
        if had is not None and self.disconnecting and not self._lost:
            self._finish()

    def _full(self) -> bool:
        queued = self._channel.queued
        return queued > HIGH_WATER or (queued > 0 and self._session.budget.tight)

    @property
    def read_size(self) -> int:
        """How many bytes whoever writes here does well to read at once: many where they leave and memory is plenty."""
        budget = self._session.budget
        return USUAL_READ if budget.tight else max(USUAL_READ, min(READ, budget.largest_window // 4))

    def sent(self) -> None:
        """The session sent some of what waited."""
        if self._producer is not None and self._channel.queued <= LOW_WATER:
            if not self._streaming:
                self._producer.resumeProducing()
            elif self._producer_paused:
                self._producer_paused = False
                widen(self._producer, self.read_size)
                self._producer.resumeProducing()
        if self._channel.fin_sent and not self._lost:
            self._sent_all()

    def _sent_all(self) -> None:
        if self.disconnecting:
            if not self._channel.fin_received:
                self._session.mux.reset(self._channel, ChannelClosed())
                self._session.wake()
            self._session.later(lambda: self.lost(Failure(ConnectionDone())))
        elif not self._write_end_told:
            self._write_end_told = True
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.writeConnectionLost()
            self._end_if_over()

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """Deliver nothing until ``resumeProducing``."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Deliver again, first what waited."""
        if self._paused:
            self._paused = False
            self._deliver()

    def stopProducing(self) -> None:
        """Deliver nothing more; end the channel."""
        self.loseConnection()

    # -- what the session tells

    def data_received(self, data: bytes, fin: bool) -> None:
        """Bytes came; ``fin``: they are the last."""
        self._fin = fin
        if self._paused or self._pending or self.protocol is None:
            if data:
                self._pending.append(data)
            return
        if data:
            self._hand_over(data)
        if fin and not self._pending:
            self._tell_fin()

    def was_accepted(self) -> None:
        """The peer has accepted the channel."""
        if self.watcher is not None:
            self.watcher.channel_accepted()

    def was_reset(self, error: EgtunnelError) -> None:
        """The peer, the budget or the end of the session has ended the channel."""
        if self.watcher is not None:
            self.watcher.channel_reset(error)
        if isinstance(error, ChannelClosed) and self._fin:
            self.disconnecting = True  # it said all it had to say and reads no more: an orderly end
            if not self._pending:
                self.lost(Failure(ConnectionDone()))
            elif not self._paused:
                self._deliver()
        else:
            self.lost(Failure(error))

    def lost(self, reason: Failure) -> None:
        """Nothing more will happen here; told once."""
        if self._lost:
            return
        self._lost = True
        self._drop_pending()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(reason)
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.channel_over()

    def _deliver(self) -> None:
        pending = self._pending
        while pending and not self._paused and not self._lost and self.protocol is not None:
            self._hand_over(pending.popleft())
        if self._fin and not pending and not self._paused and not self._lost and self.protocol is not None:
            self._tell_fin()

    def _hand_over(self, data: bytes) -> None:
        try:
            self.protocol.dataReceived(data)
        except Exception:  # noqa: BLE001  (a fault of one protocol ends its channel alone, as in Twisted's own transports)
            self.log.failure("a protocol failed on channel {channel}", channel=self._channel.id)
            self.reset(ChannelReset("the application failed"))
        self._session.consumed(self._channel, len(data))

    def _drop_pending(self) -> None:
        dropped = sum(map(len, self._pending))
        self._pending.clear()
        if dropped:
            self._session.consumed(self._channel, dropped)

    def _tell_fin(self) -> None:
        if self._fin_told or self._lost:
            return
        self._fin_told = True
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None or self.disconnecting:
            self.loseConnection()
            self.lost(Failure(ConnectionDone()))
        else:
            half.readConnectionLost()
            self._end_if_over()

    def _end_if_over(self) -> None:
        if self._fin_told and self._channel.fin_sent:
            self._session.later(lambda: self.lost(Failure(ConnectionDone())))
