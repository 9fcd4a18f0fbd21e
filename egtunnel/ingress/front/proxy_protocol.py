"""The PROXY protocol, versions 1 and 2: whom a balancer says that it speaks for. Pure: bytes in, a value out.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import attrs

from egtunnel.errors import RemoteProtocolError
from egtunnel.interfaces import plain_address

__all__ = ["SIGNATURE_V1", "SIGNATURE_V2", "ProxyHeader", "ProxyHeaderRefused", "read_proxy_header"]

SIGNATURE_V1 = b"PROXY "
SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST_V1 = 107
"""Bytes of a header of version 1 with its CR LF (section 2.1)."""
FIXED_V2 = struct.Struct("!12sBBH")
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED = 0x00
ADDRESSES: dict[int, struct.Struct] = {
    0x11: struct.Struct("!4s4sHH"),
    0x21: struct.Struct("!16s16sHH"),
    0x31: struct.Struct("!108s108s"),
}
"""Address block of each family over a byte stream: IPv4, IPv6, unix sockets (section 2.2)."""
UNIX = 0x31
FAMILIES: dict[bytes, type[IPv4Address] | type[IPv6Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}


class ProxyHeaderRefused(RemoteProtocolError):
    """A PROXY header that cannot be read."""

    word = "bad-proxy-header"


@attrs.frozen
class ProxyHeader:
    """Whom it names; an empty ``host``: nobody, the TCP peer speaks for itself. ``size``: its bytes."""

    size: int
    host: str = ""
    port: int = 0


def read_proxy_header(data: bytes, limit: int) -> ProxyHeader | None:
    """The header at the start of ``data``, or None while it is not complete.

    ``data`` starts with one of the signatures. At most ``limit`` bytes may follow the fixed part of version 2.
    Raises ProxyHeaderRefused.
    """
    return _read_v1(data) if data.startswith(SIGNATURE_V1) else _read_v2(data, limit)


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, LONGEST_V1)
    if end < 0:
        if len(data) >= LONGEST_V1:
            raise ProxyHeaderRefused(f"a header of version 1 is longer than {LONGEST_V1} bytes")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(end + 2)
    if len(words) != 6 or words[1] not in FAMILIES:
        raise ProxyHeaderRefused("a header of version 1 is not TCP4, TCP6 or UNKNOWN with two addresses and two ports")
    family = FAMILIES[words[1]]
    source, _ = [_address(family, word) for word in words[2:4]]
    port, _ = [_port(word) for word in words[4:6]]
    return ProxyHeader(end + 2, source, port)


def _address(family: type[IPv4Address] | type[IPv6Address], word: bytes) -> str:
    try:
        address = family(word.decode("ascii"))
    except ValueError:
        raise ProxyHeaderRefused("a header of version 1 holds no address where one belongs") from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ProxyHeaderRefused("a header of version 1 holds an address with a zone")
    return plain_address(str(address))


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or int(word) > 65_535 or (word[:1] == b"0" and word != b"0"):
        raise ProxyHeaderRefused("a header of version 1 holds no port where one belongs")
    return int(word)


def _read_v2(data: bytes, limit: int) -> ProxyHeader | None:
    if len(data) < FIXED_V2.size:
        return None
    _, command, family, length = FIXED_V2.unpack_from(data)
    if command not in (LOCAL, PROXY):
        raise ProxyHeaderRefused(f"a header of version 2 has the unknown version or command {command:#04x}")
    if length > limit:
        raise ProxyHeaderRefused(f"a header of version 2 is longer than {limit} bytes")
    size = FIXED_V2.size + length
    if family != UNSPECIFIED and family not in ADDRESSES:
        raise ProxyHeaderRefused(f"a header of version 2 has the unknown family {family:#04x}")
    if len(data) < size:
        return None
    if command == LOCAL or family == UNSPECIFIED:
        return ProxyHeader(size)  # the receiver must ignore whatever else is there
    return _named(data[FIXED_V2.size : size], family, size)


def _named(block: bytes, family: int, size: int) -> ProxyHeader:
    addresses = ADDRESSES[family]
    if len(block) < addresses.size:
        raise ProxyHeaderRefused("a header of version 2 is shorter than its addresses")
    _check_additions(block[addresses.size :])
    if family == UNIX:
        return ProxyHeader(size)
    source, _, port, _ = addresses.unpack_from(block)
    host = str(IPv4Address(source) if len(source) == 4 else IPv6Address(source))
    return ProxyHeader(size, plain_address(host), port)


def _check_additions(rest: bytes) -> None:
    """The additions (type, length, value) tell nothing we want, but they have to fill the rest exactly."""
    at = 0
    while at < len(rest):
        if len(rest) - at < 3:
            raise ProxyHeaderRefused("a header of version 2 ends within an addition")
        at += 3 + int.from_bytes(rest[at + 1 : at + 3], "big")
    if at != len(rest):
        raise ProxyHeaderRefused("an addition of a header of version 2 is longer than the header")
