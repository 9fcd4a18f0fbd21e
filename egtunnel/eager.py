"""Sockets tuned, and written to at once when nothing waits before: all that reaches into Twisted's TCP transport.

Twisted's ``write`` queues, asks epoll to tell when the socket is writable, and sends a loop turn later: two more system
calls and one more turn for a socket that is nearly always writable. Whatever is not a plain TCP transport in its
plainest state takes the ordinary way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Client, Server

__all__ = ["tune", "write_now"]

PLAIN = frozenset({Client, Server})
SMALL = 16_384
"""Longer writes are bulk, bytes: they gain more by being sent several at once than by being sent at once."""


def tune(transport: Any) -> None:
    """Small writes leave at once, and a peer that vanished is noticed by the kernel.

    What is no TCP below, a UNIX socket or a channel, has neither knob.
    """
    if hasattr(transport, "setTcpNoDelay"):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)


def write_now(transport: Any, data: bytes, most: int = SMALL) -> None:
    """``transport.write(data)``, but sooner unless it is longer than ``most``.

    Errors of the socket are left for Twisted's own write to meet.
    """
    if (
        len(data) <= most
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
