"""Answers the channels that the relay opens: each is a visitor for one of our tunnels, joined to its local service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.client.calm import Calm
from egtunnel.client.offering import Offering
from egtunnel.client.udp_visitors import UDPVisitors
from egtunnel.client.watching import Watch, WatchedFar, WatchedNear
from egtunnel.errors import EgtunnelError, UnknownTunnel, UpstreamBroke
from egtunnel.interfaces import Visitor
from egtunnel.session.transport import ChannelTransport
from egtunnel.splice import Half, serve

__all__ = ["Visitors"]

TEXT_LENGTH = 255


class Visitors:
    """Dials for each channel, and only what our own offers name: a channel for another tunnel is reset.

    :param offering: our tunnels by our numbers, and how to reach their services.
    :ivar watch: looks at what goes through; None: nobody does.
    :param udp: serves those of UDP tunnels; None: there are none.
    :param say: takes one line when a local service does not answer.
    """

    log = Logger()

    def __init__(
        self,
        offering: Offering,
        say: Callable[[str], None],
        clock: IReactorTime,
        udp: UDPVisitors | None = None,
    ) -> None:
        self.watch: Watch | None = None
        self.udp = udp
        self._offering = offering
        self._calm = defaultdict[int, Calm](lambda: Calm(say, clock))

    def opened(self, channel: ChannelTransport, metadata: dict[str, Any]) -> None:
        """The relay opened a channel; it is accepted once the local service has taken the connection."""
        number = metadata.get("tunnel")
        served = self._offering.served(number) if type(number) is int else None
        if type(number) is not int or served is None:
            channel.reset(UnknownTunnel())
            return
        if served.offer.kind == "udp" and served.offer.target.address is not None and self.udp is not None:
            self.udp.opened(channel, *served.offer.target.address, lambda text: self._tell(number, text))
            return
        half, far = self._ends()
        channel.connect_protocol(half if served.termination is None else served.termination.around(half))
        serving = serve(half, _visitor(metadata), served.dialer, far)
        serving.addCallback(lambda _: channel.accept())
        serving.addErrback(self._failed, number)

    def _ends(self) -> tuple[Half, Callable[[], Half] | None]:
        if self.watch is None:
            return Half(), None
        near = WatchedNear(self.watch)
        return near, lambda: WatchedFar(UpstreamBroke, near)

    def _failed(self, reason: Failure, number: int) -> None:
        error = reason.value
        if isinstance(error, EgtunnelError):
            self._tell(number, error.text)
        elif not isinstance(error, CancelledError):
            self.log.failure("serving a visitor of tunnel {tunnel} failed", reason, tunnel=number)

    def _tell(self, number: int, text: str) -> None:
        served = self._offering.served(number)
        if served is not None:
            self._calm[number].tell(f"{served.offer.target.text}: {text}; its visitors get an error")


def _visitor(metadata: dict[str, Any]) -> Visitor:
    port = metadata.get("port")
    return Visitor(
        kind=_text(metadata, "kind"),
        host=_text(metadata, "host"),
        port=port if type(port) is int else 0,
        name=_text(metadata, "name"),
    )


def _text(metadata: dict[str, Any], member: str) -> str:
    value = metadata.get(member)
    return value[:TEXT_LENGTH] if isinstance(value, str) else ""
