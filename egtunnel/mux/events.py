"""What a mux has to tell: one value a fact, in the order in which the facts came."""

from __future__ import annotations

from typing import NamedTuple

from egtunnel.errors import ProtocolError
from egtunnel.mux.channel import Channel

__all__ = [
    "ChannelAccepted",
    "ChannelOpened",
    "ChannelWasReset",
    "DataReceived",
    "Event",
    "Faulted",
    "GoneAway",
    "MessageReceived",
    "PongReceived",
]


class MessageReceived(NamedTuple):
    """A control message came; ``payload`` is its JSON text."""

    payload: bytes


class ChannelOpened(NamedTuple):
    """The peer opened a channel; ``metadata`` is JSON text."""

    channel: Channel
    metadata: bytes


class ChannelAccepted(NamedTuple):
    """The peer accepted a channel that we opened."""

    channel: Channel


class DataReceived(NamedTuple):
    """Bytes came on a channel; with ``fin`` they are the last of their direction."""

    channel: Channel
    data: bytes
    fin: bool


class ChannelWasReset(NamedTuple):
    """A channel ended early: by the peer, or by our own budget."""

    channel: Channel
    code: int
    text: str


class PongReceived(NamedTuple):
    """The answer to a ping; ``payload`` is what the ping carried."""

    payload: bytes


class GoneAway(NamedTuple):
    """The peer takes no new channels and will end the session."""

    last_channel: int
    code: int
    text: str


class Faulted(NamedTuple):
    """The peer broke the protocol: the last event of a mux; what comes after it is not read."""

    error: ProtocolError


Event = (
    MessageReceived
    | ChannelOpened
    | ChannelAccepted
    | DataReceived
    | ChannelWasReset
    | PongReceived
    | GoneAway
    | Faulted
)
