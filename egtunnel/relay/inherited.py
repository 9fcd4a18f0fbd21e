"""Listening sockets that somebody else has opened for us: systemd, or the relay whose place we take."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

import attrs

__all__ = ["FIRST_DESCRIPTOR", "Inherited", "sockets_of_systemd"]

FIRST_DESCRIPTOR = 3
"""The first of the descriptors that systemd passes (sd_listen_fds(3))."""


@attrs.define
class Inherited:
    """Sockets that listen already, by port: the relay's own, and those of TCP tunnels. Each is taken once."""

    ports: dict[int, socket.socket] = attrs.field(factory=dict)
    tunnels: dict[int, socket.socket] = attrs.field(factory=dict)

    def close(self) -> None:
        """Close those that nobody has taken."""
        for sockets in (self.ports, self.tunnels):
            while sockets:
                sockets.popitem()[1].close()


def sockets_of_systemd(environ: MutableMapping[str, str] = os.environ) -> dict[int, socket.socket]:
    """The TCP sockets that the service manager has passed to this process, by port (sd_listen_fds(3)).

    The variables that say so are taken away, so that no child believes them. What is no listening TCP socket is left.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[int, socket.socket] = {}
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        with suppress(OSError):
            os.set_inheritable(descriptor, False)
            passed = socket.socket(fileno=os.dup(descriptor))
            if listens(passed):
                found[passed.getsockname()[1]] = passed
            else:
                passed.close()
    return found


def listens(candidate: socket.socket) -> bool:
    """Whether it is a listening TCP socket."""
    return (
        candidate.family in (socket.AF_INET, socket.AF_INET6)
        and candidate.type == socket.SOCK_STREAM
        and bool(candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )
