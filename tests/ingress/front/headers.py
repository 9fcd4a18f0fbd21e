"""PROXY headers for tests."""

from __future__ import annotations

import socket
import struct

from egtunnel.ingress.front.proxy_protocol import SIGNATURE_V2

__all__ = ["proxied_v1", "proxied_v2", "v2"]


def v2(command: int, family: int, block: bytes) -> bytes:
    """A header of version 2, right or wrong."""
    return SIGNATURE_V2 + struct.pack("!BBH", command, family, len(block)) + block


def proxied_v2(host: str, port: int = 51_000) -> bytes:
    """A header of version 2 for a visitor from there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.inet_pton(family, host)
    return v2(0x21, 0x21 if ":" in host else 0x11, address * 2 + struct.pack("!HH", port, 443))


def proxied_v1(host: str, port: int = 51_000) -> bytes:
    """A header of version 1 for a visitor from there."""
    return f"PROXY TCP{6 if ':' in host else 4} {host} {host} {port} 443\r\n".encode("ascii")
