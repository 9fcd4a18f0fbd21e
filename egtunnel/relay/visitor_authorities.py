"""Whose certificates visitors of a host have to show: as the rules of its tunnel say."""

from __future__ import annotations

import json
from functools import lru_cache

from egtunnel.interfaces import ITunnels
from egtunnel.relay.tunnels import Tunnel

__all__ = ["authority_of"]

RULE = "visitor-ca"


def authority_of(tunnels: ITunnels, domain: str, name: str) -> str:
    """The authority as PEM; empty: visitors of this host (lower case) are not asked for a certificate."""
    below = name.removesuffix(f".{domain}")
    tunnel = tunnels.by_name(below) if below != name else tunnels.by_host(name)
    access = tunnel.manner.access if isinstance(tunnel, Tunnel) else ""
    return _authority(access) if access else ""


@lru_cache(maxsize=256)
def _authority(access: str) -> str:
    return str(json.loads(access).get(RULE, ""))
