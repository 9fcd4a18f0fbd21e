"""Listening sockets that somebody else has opened for us: systemd, or the relay whose place we take."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import attrs

__all__ = ["FIRST_DESCRIPTOR", "Inherited", "sockets_of_systemd", "takes_datagrams"]

FIRST_DESCRIPTOR = 3
"""The first of the descriptors that systemd passes (sd_listen_fds(3))."""


@attrs.define
class Inherited:
    """Sockets that listen already, by port: the relay's own, those of TCP tunnels and of UDP ones.

    Each is taken once.
    """

    ports: dict[int, socket.socket] = attrs.field(factory=dict)
    tunnels: dict[int, socket.socket] = attrs.field(factory=dict)
    udp: dict[int, socket.socket] = attrs.field(factory=dict)

    def close(self) -> None:
        """Close those that nobody has taken."""
        for sockets in (self.ports, self.tunnels, self.udp):
            while sockets:
                sockets.popitem()[1].close()


def first_environment(file: Path = Path("/proc/self/environ")) -> dict[str, str]:
    """The variables that the process was started with, whatever has become of them (proc(5)).

    Twisted takes those of systemd away as soon as its endpoints are imported.
    """
    try:
        lines = file.read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(line).partition("=") for line in lines)
    return {name: value for name, _, value in pairs}


def sockets_of_systemd(environ: Mapping[str, str] | None = None) -> dict[int, socket.socket]:
    """The TCP sockets that the service manager has passed to this process, by port (sd_listen_fds(3)).

    The variables that say so are taken away, so that no child believes them. What is no listening TCP socket is left.
    """
    environ = first_environment() if environ is None else environ
    pid, count = environ.get("LISTEN_PID", ""), environ.get("LISTEN_FDS", "")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
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


def takes_datagrams(candidate: socket.socket) -> bool:
    """Whether it is a UDP socket that has a port."""
    internet = candidate.family in (socket.AF_INET, socket.AF_INET6)
    return internet and candidate.type == socket.SOCK_DGRAM and candidate.getsockname()[1] > 0
