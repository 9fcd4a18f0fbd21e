"""How far the peer's counted frames have been read, and when it is told so."""

from __future__ import annotations

from egtunnel.mux.flight import ACK_EVERY
from egtunnel.mux.frames import HEADER_SIZE, Frame, FrameDecoder

__all__ = ["Receipt"]


class Receipt:
    """The receiving side of ``Flight``: positions to acknowledge.

    ``asked``: the peer wants to know now, which a PING says.
    """

    __slots__ = ("_decoder", "_told", "_uncounted", "asked")

    def __init__(self, decoder: FrameDecoder) -> None:
        self._decoder = decoder
        self._told = self._uncounted = 0
        self.asked = False

    @property
    def position(self) -> int:
        """Bytes of counted frames that have been read."""
        return self._decoder.consumed - self._uncounted

    @property
    def due(self) -> bool:
        """Whether the peer should be told."""
        return self.asked or self.position - self._told >= ACK_EVERY

    def pass_over(self, frame: Frame) -> None:
        """A frame that is not counted."""
        self._uncounted += HEADER_SIZE + len(frame[3])

    def take(self) -> int | None:
        """The position to acknowledge; None: the peer knows it. From now on it counts as told."""
        self.asked = False
        position = self.position
        if position == self._told:
            return None
        self._told = position
        return position
