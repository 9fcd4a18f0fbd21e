"""The relay as it runs, as the API shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from egtunnel import __version__
from egtunnel.errors import Refused
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.names import check_host, check_name
from egtunnel.relay.reservations import Owner
from egtunnel.relay.sharing import link_of
from egtunnel.relay.tunnels import Tunnel, TunnelTable

__all__ = ["Guest", "Live"]

URLS = {
    "name": Addresses.name_url,
    "host": Addresses.host_url,
    "port": Addresses.tcp_url,
    "tls": Addresses.tls_url,
    "udp": Addresses.udp_url,
}


@attrs.frozen
class Guest:
    """A client that is there. ``received``, ``sent``: bytes of its links so far; None: another process counts them."""

    id: str
    owner: Owner
    online: bool
    session: Any
    tunnels: int
    received: int | None = None
    sent: int | None = None


class Live:
    """What stands and who is there.

    :param guests: all clients.
    :param close: ends a session by id; False: there is none.
    :param visitors: how many connections of visitors there are.
    :param since: the relay's beginning, of the clock ``seconds``.
    """

    def __init__(
        self,
        table: TunnelTable,
        addresses: Addresses,
        *,
        guests: Callable[[], Iterable[Guest]],
        close: Callable[[str], bool],
        visitors: Callable[[], int],
        seconds: Callable[[], float],
        workers: int = 1,
    ) -> None:
        self._table = table
        self._addresses = addresses
        self._guests = guests
        self._close = close
        self._visitors = visitors
        self._seconds = seconds
        self._since = seconds()
        self._workers = workers

    def status(self) -> dict[str, Any]:
        """The relay in a few numbers."""
        return {
            "version": __version__,
            "domain": self._addresses.domain,
            "tunnels": len(self._table.all()),
            "clients": len(list(self._guests())),
            "visitors": self._visitors(),
            "workers": self._workers,
            "uptime": round(self._seconds() - self._since, 3),
        }

    def tunnels(self) -> list[dict[str, Any]]:
        """All tunnels that stand, with who serves them."""
        guests = {guest.session: guest for guest in self._guests()}
        return [self._tunnel(tunnel, guests) for tunnel in self._table.all()]

    def clients(self) -> list[dict[str, Any]]:
        """All clients that are there."""
        return [
            {
                **_server(guest),
                "tunnels": guest.tunnels,
                "received": guest.received,
                "sent": guest.sent,
            }
            for guest in self._guests()
        ]

    def disconnect(self, session: str) -> bool:
        """End a client's session; False: there is none of this id."""
        return self._close(session)

    def check_place(self, kind: str, value: str) -> str:
        """A name, host or port in the one form in which it is compared. Raises Refused."""
        if kind == "name":
            return check_name(value)
        if kind == "host":
            return check_host(value, self._addresses.domain)
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= 65_535):
            raise Refused("bad-name", "a port is a number from 1 to 65535")
        return str(int(value))

    def link(self, token: str) -> str:
        """The whole link of a share."""
        return link_of(self._addresses, token)

    def _tunnel(self, tunnel: Tunnel, guests: dict[Any, Guest]) -> dict[str, Any]:
        servers = [_server(guests[each.session]) for each in tunnel.servers if each.session in guests]
        limiter = tunnel.sentry.limiter
        access = json.loads(tunnel.manner.access) if tunnel.manner.access else {}
        return {
            "kind": tunnel.kind,
            "name": tunnel.name,
            "url": URLS[tunnel.place.kind](self._addresses, tunnel.name),
            "rules": sorted(access),
            "shared": tunnel.manner.share,
            "servers": servers,
            "limits": None if limiter is None or self._workers > 1 else limiter.state(),
        }


def _server(guest: Guest) -> dict[str, Any]:
    return {"session": guest.id, "client": guest.owner.client, "token": guest.owner.token, "online": guest.online}
