"""One request on its way to an HTTP/2 upstream, as fast as that takes it."""

from __future__ import annotations

from collections import deque

from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http2.upstream_protocol import ClientProtocol

__all__ = ["Request"]

LARGEST_FRAME = 16_384


class Request:
    """What the service's window has no room for waits here. ``sent``: all of it has left, the end included.

    Raises ProtocolError where the service takes no streams at all.
    """

    __slots__ = ("_ended", "_pending", "_protocol", "_trailers", "number", "sent")

    def __init__(self, protocol: ClientProtocol, head: Fields, has_body: bool) -> None:
        self.number = protocol.get_next_available_stream_id()
        self.sent = not has_body
        self._protocol = protocol
        self._pending: deque[bytes | memoryview] = deque()
        self._trailers: Fields = []
        self._ended = False
        protocol.send_headers(self.number, head, end_stream=self.sent)

    @property
    def waits(self) -> bool:
        """Whether something is held back."""
        return bool(self._pending)

    def add(self, data: bytes) -> None:
        """A piece of the body."""
        if data and not self.sent:
            self._pending.append(data)

    def end(self, trailers: Fields) -> None:
        """Nothing more follows."""
        self._ended = True
        self._trailers = [(name.lower(), value.strip(b" \t")) for name, value in trailers]

    def cancel(self, code: int) -> None:
        """Send nothing more; reset the stream if it is not over."""
        self._pending.clear()
        if self._protocol.is_open(self.number):
            self._protocol.reset_stream(self.number, code)

    def flush(self) -> None:
        """Make frames of what there is room for, and of the end behind it."""
        pending, protocol, number = self._pending, self._protocol, self.number
        if not protocol.is_open(number):
            pending.clear()
            return
        largest = min(protocol.max_outbound_frame_size, LARGEST_FRAME)
        while pending:
            room = min(protocol.local_flow_control_window(number), largest)
            if room <= 0:
                return
            piece = pending.popleft()
            if len(piece) > room:
                view = memoryview(piece)
                pending.appendleft(view[room:])
                piece = view[:room]
            protocol.send_data(number, bytes(piece))
        if self._ended and not self.sent:
            self.sent = True
            if self._trailers:
                protocol.send_headers(number, self._trailers, end_stream=True)
            else:
                protocol.send_data(number, b"", end_stream=True)
