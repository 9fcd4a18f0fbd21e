"""A channel as an ordinary Twisted client endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from egtunnel.errors import EgtunnelError, LinkLost

if TYPE_CHECKING:
    from egtunnel.session.transport import ChannelTransport

__all__ = ["ChannelEndpoint"]


class Opener(Protocol):
    """A session, or what stands for one."""

    def open(self, metadata: dict[str, Any]) -> ChannelTransport:
        """Open a channel. Raises TooManyChannels, or LinkLost when the session is over."""


@implementer(IStreamClientEndpoint)
class ChannelEndpoint:
    """Opens a channel of the session that ``session_of`` names at the moment of connecting.

    ``connect`` is optimistic: it fires at once, before the far side has accepted, so that a request leaves in the same
    packet as the opening. A refusal comes as the reason of ``connectionLost``.
    """

    __slots__ = ("_metadata", "_session_of")

    def __init__(self, session_of: Callable[[], Opener | None], metadata: dict[str, Any]) -> None:
        self._session_of = session_of
        self._metadata = metadata

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Open a channel for a protocol of ``factory``; fails with LinkLost or TooManyChannels."""
        session = self._session_of()
        try:
            if session is None:
                raise LinkLost
            channel = session.open(self._metadata)
        except EgtunnelError:
            return fail()
        protocol = factory.buildProtocol(channel.getPeer())
        if protocol is None:
            channel.abortConnection()
            return fail(LinkLost("nobody wanted the channel"))
        channel.connect_protocol(protocol)
        return succeed(protocol)
