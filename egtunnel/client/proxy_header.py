"""The PROXY protocol towards a local service: who its visitor is, said before the first byte.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from egtunnel.interfaces import Visitor

__all__ = ["VERSIONS", "Announced", "proxy_header"]

VERSIONS = ("v1", "v2")
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6 = 0x11, 0x21
HEAD = struct.Struct("!12sBBH")
Address = IPv4Address | IPv6Address


def proxy_header(version: str, visitor: Visitor, host: str = "", port: int = 0) -> bytes:
    """The header of ``version`` (``v1``, ``v2``) for a visitor.

    :param host: where the service is; empty or no address: that is not known, and left unspecified.
    :param port: its port.

    A visitor without an address is announced as unknown (v1), or as ourselves (v2).
    """
    source = _address(visitor.host)
    if source is None:
        return b"PROXY UNKNOWN\r\n" if version == "v1" else HEAD.pack(SIGNATURE, LOCAL, 0, 0)
    target = _of_family(source, _address(host))
    if version == "v1":
        family = "TCP4" if source.version == 4 else "TCP6"
        return f"PROXY {family} {source} {target} {visitor.port} {port}\r\n".encode("ascii")
    block = source.packed + target.packed + struct.pack("!HH", visitor.port, port)
    return HEAD.pack(SIGNATURE, PROXY, TCP4 if source.version == 4 else TCP6, len(block)) + block


def _address(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _of_family(source: Address, target: Address | None) -> Address:
    """Both addresses of a header are of one family (section 2)."""
    if source.version == 4:
        return target if isinstance(target, IPv4Address) else IPv4Address(0)
    if isinstance(target, IPv4Address):
        return IPv6Address(f"::ffff:{target}")
    return target or IPv6Address(0)


@implementer(IStreamClientEndpoint)
class Announced:
    """An endpoint whose connections begin with a PROXY header, beneath TLS where there is any."""

    def __init__(self, endpoint: IStreamClientEndpoint, version: str, visitor: Visitor) -> None:
        self._endpoint = endpoint
        self._version = version
        self._visitor = visitor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails as the endpoint does."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(_Factory(protocolFactory, self._announce))
        return connecting

    def _announce(self, transport: Any) -> None:
        peer = transport.getPeer()
        header = proxy_header(self._version, self._visitor, getattr(peer, "host", ""), getattr(peer, "port", 0))
        transport.write(header)


@implementer(IProtocolFactory)
class _Factory:
    """Makes the protocols of another factory, which are connected once ``first`` has had the transport."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, first: Callable[[Any], None]) -> None:
        self._factory = factory
        self._first = first

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        factory: Any = self._factory
        protocol: Any = factory.buildProtocol(addr)
        if protocol is None:
            return None
        connect = protocol.makeConnection

        def announced(transport: Any) -> None:
            self._first(transport)
            connect(transport)

        protocol.makeConnection = announced
        built: IProtocol = protocol
        return built

    def doStart(self) -> None:
        """As the factory within."""
        self._factory.doStart()

    def doStop(self) -> None:
        """As the factory within."""
        self._factory.doStop()
