"""Sockets tuned, and written to at once when nothing waits before: all that reaches into Twisted's TCP transport.

Twisted's ``write`` queues, asks epoll to tell when the socket is writable, and sends a loop turn later: two more system
calls and one more turn for a socket that is nearly always writable. Whatever is not a plain TCP transport in its
plainest state takes the ordinary way.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.tcp import Client, Server
from twisted.internet.unix import Server as UNIXServer

__all__ = ["BULK", "READ", "USUAL_READ", "let_go", "tune", "widen", "write_now"]

_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
"""Linux and macOS have it."""
_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
PLAIN = frozenset({Client, Server, UNIXServer})
SMALL = 16_384
"""Longer writes are bulk, bytes: they gain more by being sent several at once than by being sent at once."""


BULK = 1_048_576
"""For a connection that carries many others there is nothing to wait for: what it gets was gathered before."""
USUAL_READ = 65_536
"""Bytes that Twisted takes in one read."""
READ = 262_144
"""Bytes of a wide read: with the usual ones a bulk transfer pays for four times as many turns and frames."""
UNSENT = 131_072
"""The kernel keeps so many bytes for a peer that does not take them. Its own limit is megabytes for each connection,
and what it has for all of them, a thousand slow readers use up: then every connection of the machine crawls."""


def tune(transport: Any, unsent: int = UNSENT, read: int = 0) -> None:
    """Small writes leave at once, a peer that vanished is noticed by the kernel, one that is slow does not fill it.

    What is no TCP below, a UNIX socket or a channel, has none of these knobs. ``unsent``: 0 for as many as the kernel
    wants. ``read``: bytes of a read, 0 for the usual number.
    """
    if read:
        widen(transport, read)
    if hasattr(transport, "setTcpNoDelay"):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        below: socket.socket | None = getattr(transport, "socket", None)
        if unsent and below is not None and below.family in _INTERNET and _NOTSENT_LOWAT is not None:
            below.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, unsent)


def widen(transport: Any, size: int) -> None:
    """Let ``transport`` take so many bytes in one read, if it is one that reads a socket.

    It may then keep as many that its peer has not taken before it pauses its producer.
    """
    if hasattr(transport, "bufferSize"):
        transport.bufferSize = size


def write_now(transport: Any, data: Any, most: int = SMALL) -> None:
    """``transport.write(data)``, but sooner unless it is longer than ``most``.

    ``data``: bytes, or a view whose slices are bytes. Errors of the socket are left for Twisted's own write to meet.
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
    transport.write(bytes(data))


def let_go(transport: Any) -> None:
    """Close our descriptor of a connection that another process goes on with: the connection itself stays as it is."""
    transport._shouldShutdown = False
    transport.loseConnection()
