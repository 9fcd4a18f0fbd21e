"""The seams of egtunnel on one page: who asks (visitor), how to reach it (dialer), what carries it (link)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

import attrs
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import Attribute, Interface

from egtunnel.policy import HeaderPolicy

__all__ = [
    "LINK_PROTOCOL",
    "Dialer",
    "ILink",
    "ILinkReceiver",
    "IMovable",
    "IRoute",
    "IServer",
    "ITunnel",
    "ITunnels",
    "Visitor",
    "plain_address",
    "subscriber",
]

LINK_PROTOCOL = b"egtunnel/1"
"""What ALPN (RFC 7301) calls a link that is frames on TLS and nothing else."""
NETWORK = 64
"""Bits of an IPv6 address that one subscriber has; the rest is of his choice (RFC 6177)."""


@attrs.frozen
class Visitor:
    """Who is asking: a frozen value an ingress makes and every dialer may read.

    ``kind`` is the kind of the ingress (``http``, ``tcp`` or ``tls``), ``host`` and ``port`` the visitor's own address,
    ``name`` the public name it asked for, ``tls_name`` the one it named in a TLS handshake.
    ``cookie`` is the server it says it was with before, where the tunnel asks for that. ``certified_by`` are the
    authorities (PEM) of which it had to show a certificate there, and did.
    """

    kind: str
    host: str
    port: int
    name: str = ""
    tls_name: str = ""
    cookie: str = ""
    certified_by: str = attrs.field(default="", repr=False)


def plain_address(host: str) -> str:
    """An IPv4 address that came through an IPv6 socket as what it is (RFC 4291 section 2.5.5.2)."""
    if not host.startswith("::ffff:"):
        return host
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return host if mapped is None else str(mapped)


def subscriber(host: str) -> str:
    """What an address is counted under: itself, or its network where it is IPv6."""
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(IPv6Address(int(address) >> (128 - NETWORK) << (128 - NETWORK)))


Dialer = Callable[[Visitor], IStreamClientEndpoint]
"""How to reach what stands behind a tunnel. ``connect`` fails with an error of ``egtunnel.errors`` (``ClientAway``,
``UpstreamRefused``, ``OverLimit``...); a connection that ends early is lost with such an error as its reason."""


class IServer(Interface):
    """One of several who may serve one tunnel; hashable. Connections to different ones are never mixed."""

    id: str = Attribute("What a visitor's cookie knows it by.")

    def keep(connection: Any) -> None:
        """A connection to it waits for its next use; it is closed (``close``) when the server leaves."""

    def let_go(connection: Any) -> None:
        """It is used again, or over."""


class IMovable(Interface):
    """What a protocol may provide that is connected to one of several servers."""

    def move() -> None:
        """Nothing is heard of the server for now; it may come back. Leave it, if all can be done elsewhere instead."""


class IRoute(IStreamClientEndpoint):
    """The way of one visitor to an upstream."""

    server: IServer | None = Attribute("Who serves this visitor, as far as is known; None: there is only one.")
    elsewhere: bool = Attribute("Whether a further ``connect`` would be to another server.")


class ITunnel(Interface):
    """A public name bound to a dialer. An ingress never knows what stands behind it."""

    kind: str = Attribute("``http``, ``tcp`` or ``tls``.")
    name: str = Attribute("The public name, lower case; a custom host name or a port number as text likewise.")
    host_header: str = Attribute("What the Host header is rewritten to; empty: passed through.")
    scheme: str = Attribute("The scheme the upstream speaks, for the log: ``http`` or ``https``.")

    protocol: str = Attribute("What the upstream speaks: ``http/1.1`` or ``h2c``.")
    policy: HeaderPolicy | None = Attribute("What is done to the headers and paths of requests; None: nothing.")
    sticky: str = Attribute("What keeps a visitor at one of several servers: ``address``, ``cookie``, empty: nothing.")
    dedicated: bool = Attribute("A connection to the upstream is for one request alone, whose visitor it knows.")
    guard: Any = Attribute("An ``egtunnel.guard.IGuard``, asked before the dialer; None: everybody may come in.")

    connections: int | None = Attribute("Visitors' connections, or requests, at once; None: any number.")

    def dialer(visitor: Visitor) -> IRoute:
        """The endpoint that reaches the upstream for this visitor; waits while a known client is away."""


class ITunnels(Interface):
    """The table of public names, as an ingress sees it."""

    def by_name(name: str) -> ITunnel | None:
        """The HTTP tunnel of that name below the relay's domain."""

    def by_host(host: str) -> ITunnel | None:
        """The HTTP tunnel with that custom host name."""

    def by_tls(host: str) -> ITunnel | None:
        """The TLS tunnel of that whole host name, be it below the relay's domain or not."""


class ILinkReceiver(Interface):
    """What a link reports to: an admission or an enrolment first, then the session."""

    def link_message(data: bytes) -> None:
        """Bytes came: one or more whole frames, unless the link is a ``stream``."""

    def link_paused() -> None:
        """The link's own buffer is full; send nothing more until ``link_resumed``."""

    def link_resumed() -> None:
        """The link takes data again."""

    def link_lost(reason: str) -> None:
        """The link is gone, for this reason; nothing more will come from it."""


class ILink(Interface):
    """One live connection that carries frames. It knows nothing of what frames mean."""

    receiver: ILinkReceiver = Attribute("Whom to tell; settable at any time.")
    peer: str = Attribute("The other end's address, for logs.")
    secure: bool = Attribute("Whether the connection is encrypted.")
    kind: str = Attribute("What carries the frames, for logs.")
    stream: bool = Attribute("Whether what comes once the peer is known may end within a frame.")

    def admitted() -> None:
        """The peer is known now: read messages up to the full limit; before, only short ones are."""

    def send(frames: list[bytes | memoryview]) -> None:
        """Send these pieces, which together are whole frames, as one message."""

    def pause() -> None:
        """Read nothing more from the peer until ``resume``."""

    def resume() -> None:
        """Read from the peer again."""

    def close(code: int, text: str) -> None:
        """Say why (a code of ``egtunnel.errors``), flush what was sent, and end."""

    def abort() -> None:
        """End at once; nothing more is sent."""
