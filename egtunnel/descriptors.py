"""File descriptors: a daemon takes as many as it may, since each visitor's connection costs one or two."""

from __future__ import annotations

import resource

__all__ = ["raise_descriptor_limit"]


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open files to the hard one, as nginx and haproxy do; returns it.

    The usual soft limit, 1,024, is there for programs that use ``select``; the reactor uses epoll.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return soft  # a hard limit beyond what the kernel grants; the soft one still holds
    return hard
