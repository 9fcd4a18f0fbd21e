"""Everything that is measured, in the order of the table."""

from __future__ import annotations

from bench.contenders.base import Contender
from bench.contenders.direct import Direct
from bench.contenders.egtunnel import EGTUNNELS, EGTUNNELS_HTTPS, EGTUNNELS_TLS, EGTUNNELS_WSS
from bench.contenders.nginx import NginxProxy
from bench.contenders.openssh import OpenSsh
from bench.contenders.peers import PEERS

__all__ = ["BAR", "CONTENDERS", "ONLY_WHEN_ASKED"]

BAR = OpenSsh.name
"""The contender against which every ratio is taken."""

CONTENDERS: tuple[Contender, ...] = (
    Direct(),
    NginxProxy(),
    *EGTUNNELS,
    *EGTUNNELS_TLS,
    *EGTUNNELS_WSS,
    *EGTUNNELS_HTTPS,
    OpenSsh(),
    *PEERS,
)

ONLY_WHEN_ASKED = frozenset(contender.name for contender in (*EGTUNNELS_TLS, *EGTUNNELS_WSS, *EGTUNNELS_HTTPS))
"""Those that take part with ``--tls`` or by name alone."""
