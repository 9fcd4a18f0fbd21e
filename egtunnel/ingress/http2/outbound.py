"""What leaves on a visitor's HTTP/2 connection: streams take turns, frames leave in batches."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from egtunnel.ingress.http2.protocol import ServerProtocol
from egtunnel.ingress.http2.stream import Stream

__all__ = ["Outbound"]

BATCH = 65_536
"""Bytes written at once: a frame and its header do not fit into one TLS record of 16 KiB, several fill them better."""
LARGEST_FRAME = 16_384


class Outbound:
    """Asks the streams that have something to send for a frame each, in turn, while the transport takes it.

    All that is due in one turn of the reactor leaves in one write, or one for each batch. A stream without room in its
    flow control window is parked until the visitor gives it some. ``full``: the transport takes no more for now.
    """

    __slots__ = ("_call", "_clock", "_connection", "_parked", "_protocol", "_ready", "_stopped", "full")

    def __init__(self, connection: Any, protocol: ServerProtocol, clock: IReactorTime) -> None:
        self.full = False
        self._connection = connection
        self._protocol = protocol
        self._clock = clock
        self._ready: deque[Stream] = deque()
        self._parked: set[Stream] = set()
        self._call: IDelayedCall | None = None
        self._stopped = False

    def wake(self, stream: Stream) -> None:
        """A stream has something to send."""
        if not stream.queued and not self._stopped:
            stream.queued = True
            self._parked.discard(stream)
            self._ready.append(stream)
            self.schedule()

    def room_given(self, stream: Stream | None) -> None:
        """The visitor takes more, of one stream or (None) of all."""
        for parked in list(self._parked) if stream is None else [stream]:
            if parked in self._parked:
                self.wake(parked)

    def forget(self, stream: Stream) -> None:
        """A stream is over."""
        self._parked.discard(stream)

    def schedule(self) -> None:
        """Write at the end of this turn of the reactor."""
        if self._call is None and not self._stopped:
            self._call = self._clock.callLater(0, self._due)

    def flush(self) -> None:
        """Write what there is to write now."""
        ready = self._ready
        largest = min(self._protocol.max_outbound_frame_size, LARGEST_FRAME)
        batch = frames = BATCH // largest
        while ready and not self.full and not self._stopped:
            stream = ready.popleft()
            stream.queued = False
            if stream.send(largest):
                stream.queued = True
                ready.append(stream)
            elif not stream.over:
                self._parked.add(stream)
            frames -= 1
            if not frames:
                self.write()
                frames = batch
        self.write()

    def write(self) -> None:
        """Write the frames that are made already."""
        if not self._stopped:
            data = self._protocol.data_to_send()
            if data:
                self._connection.transport.write(data)

    def stop(self) -> None:
        """Write nothing more."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._ready.clear()
        self._parked.clear()

    def _due(self) -> None:
        self._call = None
        self._connection.flush()
