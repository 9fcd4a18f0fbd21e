"""An application of a mux that does whatever it is told to, and keeps the promises a driver has to keep."""

from __future__ import annotations

from egtunnel.errors import ChannelReset, TooManyChannels
from egtunnel.mux.channel import Channel, ChannelState
from egtunnel.mux.events import ChannelOpened, ChannelWasReset, DataReceived, Event, Faulted
from egtunnel.mux.mux import Mux

__all__ = ["Application"]


class Application:
    """Holds every channel it has heard of and what it has not consumed of each; ``act`` does one thing by number."""

    ACTIONS = 7

    def __init__(self, mux: Mux) -> None:
        self.mux = mux
        self.channels: list[Channel] = []
        self.unread: dict[int, int] = {}
        self.fault: Faulted | None = None

    def read(self, events: list[Event]) -> None:
        """Take note of what happened."""
        for event in events:
            if isinstance(event, ChannelOpened):
                self._meet(event.channel)
            elif isinstance(event, DataReceived):
                self.unread[event.channel.id] += len(event.data)
            elif isinstance(event, ChannelWasReset):
                self._consume(event.channel, self.unread[event.channel.id])
            elif isinstance(event, Faulted):
                self.fault = event

    def act(self, action: int, which: int, size: int) -> None:
        """One of seven things, on one of the channels."""
        if action == 0:
            try:
                self._meet(self.mux.open(b"{}"))
            except TooManyChannels:
                return
        if not self.channels:
            return
        channel = self.channels[which % len(self.channels)]
        if action == 1:
            self.mux.accept(channel)
        elif action == 2 and not channel.fin_queued:
            self.mux.write(channel, bytes(size))
        elif action == 3:
            self.mux.finish(channel)
        elif action == 4:
            self.mux.reset(channel, ChannelReset("because"))
            self._consume(channel, self.unread[channel.id])
        elif action == 5:
            self._consume(channel, min(size, self.unread[channel.id]))
        elif action == 6:
            self.mux.frames_to_send(size)

    def let_go(self) -> None:
        """End every channel and consume everything."""
        for channel in self.channels:
            self.mux.reset(channel, ChannelReset())
            self._consume(channel, self.unread[channel.id])
            assert channel.state is ChannelState.CLOSED

    def _meet(self, channel: Channel) -> None:
        self.channels.append(channel)
        self.unread[channel.id] = 0

    def _consume(self, channel: Channel, size: int) -> None:
        self.unread[channel.id] -= size
        self.mux.consumed(channel, size)
