"""The relay's end of a link, played by a test: what the client sent is read, what the relay would say is delivered."""

from __future__ import annotations

from egtunnel.mux.frames import Frame, FrameDecoder, FrameType, encode
from egtunnel.session import messages
from tests import pipes


class MemoryLink(pipes.MemoryLink):
    """The client's end of a link whose far end is the test."""

    @property
    def over(self) -> bool:
        """Whether this end has ended the link."""
        return self.aborted or self.closed is not None

    def deliver(self, data: bytes) -> None:
        """What the far end would have sent."""
        if self.receiver is not None:
            self.receiver.link_message(data)

    def deliver_message(self, message: messages.Message) -> None:
        """A control message of the far end."""
        self.deliver(encode(FrameType.MESSAGE, 0, messages.encode(message)))

    def lose(self, reason: str) -> None:
        """The connection breaks."""
        if self.receiver is not None:
            self.receiver.link_lost(reason)

    def sent_frames(self) -> list[Frame]:
        """The frames sent since the last look."""
        frames, fault = FrameDecoder().feed(b"".join(self.sent))
        assert fault is None
        self.sent.clear()
        return frames

    def sent_messages(self) -> list[messages.Message]:
        """The control messages sent since the last look; other frames are dropped."""
        return [messages.decode(frame.payload) for frame in self.sent_frames() if frame.type == FrameType.MESSAGE]
