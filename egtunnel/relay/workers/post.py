"""How a process learns that it is to be a worker: a variable of the environment, and a descriptor."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping

import attrs

__all__ = ["DESCRIPTOR", "VARIABLE", "Post", "environment", "post_of"]

VARIABLE = "EGTUNNEL_WORKER"
"""``number/of``."""
DESCRIPTOR = 3
"""Of the socket to the supervisor."""


@attrs.frozen
class Post:
    """A worker's number, of how many, and its way to the supervisor."""

    number: int
    of: int
    channel: socket.socket


def post_of(environ: MutableMapping[str, str] = os.environ) -> Post | None:
    """What this process was started for; None: not to be a worker. No child of ours is told the same."""
    number, _, of = environ.pop(VARIABLE, "").partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        return None
    os.set_inheritable(DESCRIPTOR, False)
    return Post(int(number), int(of), socket.socket(fileno=DESCRIPTOR))


def environment(number: int, of: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a worker's process."""
    return {**environ, VARIABLE: f"{number}/{of}"}
