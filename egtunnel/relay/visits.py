"""Visiting clients: a client that may, opens channels to the private tunnel of another one, and the two are joined."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.scope import Scope
from egtunnel.errors import ChannelReset, Denied, EgtunnelError, OverLimit, Refused, UnknownTunnel
from egtunnel.interfaces import ITunnel, ITunnels, Visitor
from egtunnel.relay.addresses import VISIT
from egtunnel.relay.names import check_name
from egtunnel.session.messages import Claim, Claimed
from egtunnel.session.session import Session
from egtunnel.session.transport import ChannelTransport
from egtunnel.splice import Half, serve

__all__ = ["Visits", "check_visit", "private_owner"]

AGAIN = 5.0
"""Seconds until a private tunnel that is not there is worth another try."""


def private_owner(tunnel: ITunnel | None) -> str | None:
    """Whose private tunnel it is, by id, empty for the relay's own; None: it is none."""
    manner: Any = getattr(tunnel, "manner", None)
    if manner is None or '"private"' not in manner.access:
        return None
    rule = json.loads(manner.access).get("private")
    return None if rule is None else str(rule["owner"])


def check_visit(claim: Claim, tunnels: ITunnels, holder: str, scope: Scope | None) -> str:
    """The name of the private tunnel that a client may visit. Raises Refused.

    :param holder: whose token the client has, by id; empty: the relay's own, which may visit all.
    """
    name = check_name(claim.name)
    named = scope is not None and scope.check_visit(name)
    tunnel = tunnels.by_name(name)
    owner = private_owner(tunnel)
    if tunnel is not None and owner is None:
        raise Refused("not-private", f"{name} is no private tunnel: it has a public address")
    if owner is None:
        raise Refused("no-private-tunnel", f"there is no private tunnel {name} now", retry=True, after=AGAIN)
    if not named and holder and holder != owner:
        raise Refused("scope-visits", f"this token may not visit {name}, which is another owner's")
    return name


class Visits:
    """What one client may visit, by its own numbers, and the channels that it opens there.

    :param census: counts the connections of each tunnel, by its name, of all clients.
    """

    log = Logger()

    def __init__(self, session: Session, tunnels: ITunnels, census: Counter[str]) -> None:
        self._session = session
        self._tunnels = tunnels
        self._census = census
        self._granted: dict[int, tuple[str, str]] = {}

    def told(self, claimed: Claimed) -> None:
        """The client hears that a claim was granted; if it was one to visit, it may from now on."""
        self.drop(claimed.tunnel)
        owner = private_owner(self._tunnels.by_name(claimed.name))
        if claimed.url.startswith(VISIT) and owner is not None:
            self._granted[claimed.tunnel] = claimed.name, owner

    def drop(self, number: int) -> None:
        """It may not any more; what is under way goes on."""
        self._granted.pop(number, None)

    def opened(self, channel: ChannelTransport, metadata: dict[str, Any]) -> None:
        """The client has a visitor. The tunnel has to be the same owner's still."""
        number = metadata.get("tunnel")
        name, owner = self._granted.get(number, ("", "")) if type(number) is int else ("", "")
        tunnel = self._tunnels.by_name(name) if name else None
        if tunnel is None or private_owner(tunnel) != owner:
            channel.reset(UnknownTunnel("there is no such private tunnel that this client visits"))
            return
        host, port = _address(self._session.peer)
        visitor = Visitor("visit", host, port, name)
        refusal = self._refusal(tunnel, visitor)
        if refusal is not None:
            channel.reset(refusal)
            return
        half = _Visit(self._census, name)
        channel.connect_protocol(half)
        serve(half, visitor, tunnel.dialer).addCallbacks(lambda _: channel.accept(), self._failed)

    def _refusal(self, tunnel: ITunnel, visitor: Visitor) -> ChannelReset | None:
        most = tunnel.connections
        if most is not None and self._census[tunnel.name] >= most:
            return OverLimit()
        return None if tunnel.guard is None or tunnel.guard.admits(visitor) else Denied()

    def _failed(self, reason: Failure) -> None:
        if not reason.check(EgtunnelError, CancelledError):
            self.log.failure("a visiting client was not served", reason)


class _Visit(Half):
    """The end of a visit; it is counted."""

    def __init__(self, census: Counter[str], name: str) -> None:
        super().__init__()
        self._census = census
        self._name = name
        census[name] += 1

    def connectionLost(self, *reason: Any) -> None:
        super().connectionLost(*reason)
        self._census[self._name] -= 1
        if not self._census[self._name]:
            del self._census[self._name]


def _address(peer: str) -> tuple[str, int]:
    """Of a link's ``peer``, ``tcp4:192.0.2.1:4711``."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0
