"""Write to a socket at once when nothing waits before it: the one place that reaches into Twisted's TCP transport.

Twisted's ``write`` queues, asks epoll to tell when the socket is writable, and sends a loop turn later: two more system
calls and one more turn for a socket that is nearly always writable. Whatever is not a plain TCP transport in its
plainest state takes the ordinary way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Client, Server

__all__ = ["write_now"]

PLAIN = frozenset({Client, Server})
SMALL = 16_384
"""Longer writes are bulk, bytes: they gain more by being sent several at once than by being sent at once."""


def write_now(transport: Any, data: bytes) -> None:
    """``transport.write(data)``, but sooner. Errors of the socket are left for Twisted's own write to meet."""
    if (
        len(data) <= SMALL
        and type(transport) in PLAIN
        and not transport.TLS
        and not transport.dataBuffer
        and not transport._tempDataLen
        and transport.connected
        and not transport.disconnecting
        and not transport._writeDisconnecting
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            sent = 0
        if sent == len(data):
            return
        if sent:
            data = data[sent:]
    transport.write(data)
