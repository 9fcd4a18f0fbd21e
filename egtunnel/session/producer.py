"""What every kind of link is to its transport: a producer that is paused when too much waits, a reader that can be."""

from __future__ import annotations

from typing import Any

from egtunnel.interfaces import ILinkReceiver

__all__ = ["LinkProducer"]


class LinkProducer:
    """Mixed into the protocol of a link; tells the link's receiver what its transport says.

    The class it is mixed into declares ``ILink`` and ``IPushProducer``.
    """

    transport: Any
    receiver: ILinkReceiver | None = None

    # -- ILink

    def pause(self) -> None:
        """Read nothing more."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    # -- the transport's producer interface: it pauses us when its buffer is full

    def pauseProducing(self) -> None:
        """The buffer is full."""
        if self.receiver is not None:
            self.receiver.link_paused()

    def resumeProducing(self) -> None:
        """It takes data again."""
        if self.receiver is not None:
            self.receiver.link_resumed()

    def stopProducing(self) -> None:
        """The transport is lost; the protocol hears of that by itself."""
