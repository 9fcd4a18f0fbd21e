"""What a client shares: a target and the public name it asks for."""

from __future__ import annotations

import json
from typing import Any

import attrs

from egtunnel.client.targets import Target
from egtunnel.client.termination import KeyFiles, Termination, TerminationLimits
from egtunnel.client.upstream import UpstreamLimits
from egtunnel.client.upstream_tls import TlsTrust
from egtunnel.client.visiting import Listen
from egtunnel.interfaces import Dialer
from egtunnel.policy import HeaderPolicy
from egtunnel.session.messages import Claim

__all__ = ["Offer"]


@attrs.frozen
class Offer:
    """One tunnel to be.

    ``kind``: ``http``, ``tcp``, ``tls``, ``udp``, or ``visit``: another's private tunnel is opened here, at ``listen``.
    ``name``: the wanted name below the relay's domain, ``host``: a wanted host name of one's own, both empty for a name
    of the relay's choice; ``port``: the wanted public port, 0 for any. ``host_header`` rewrites the Host of requests,
    ``policy`` other headers and paths. ``trust`` is for ``https://`` targets. ``share``: other clients may serve the
    place, too; ``sticky`` (``address`` or ``cookie``) keeps a visitor at one of them. ``access``: rules for visitors,
    as JSON text; empty: none. ``announce``: the PROXY protocol that tells the service who its visitor is, ``v1`` or
    ``v2``; empty: none. ``terminate``: TLS of the visitors ends here, with these files; None: wherever it does.
    """

    target: Target
    kind: str = "http"
    name: str = ""
    host: str = ""
    port: int = 0
    host_header: str = ""
    policy: HeaderPolicy = attrs.field(factory=HeaderPolicy)
    trust: TlsTrust = attrs.field(factory=TlsTrust)
    share: bool = False
    sticky: str = ""
    access: str = attrs.field(default="", repr=False)
    announce: str = ""
    terminate: KeyFiles | None = None
    listen: Listen | None = None

    def claim(self, number: int) -> Claim:
        """The message that asks for it, under our own ``number``."""
        request_headers, response_headers, path_prefix = self.policy.to_wire()
        return Claim(
            tunnel=number,
            kind=self.kind,
            name=self.name,
            host=self.host,
            port=self.port,
            key=self.target.key,
            host_header=self.host_header,
            protocol=self.target.protocol if self.kind == "http" else "",
            request_headers=request_headers,
            response_headers=response_headers,
            path_prefix=path_prefix,
            share=self.share,
            sticky=self.sticky,
            access=json.loads(self.access) if self.access else {},
            dedicated=self.kind == "http" and bool(self.announce),
        )

    def line(self, url: str, name: str) -> str:
        """What a person is told once the relay has granted it, under this name."""
        if self.kind == "visit":
            return f"{self.target.text} -> {url}"
        private = self.access and "private" in json.loads(self.access)
        return f"{url} -> {self.target.text}" + (f" (private: egclient --visit {name} reaches it)" if private else "")

    def dialer(self, reactor: Any, limits: UpstreamLimits) -> Dialer:
        """How to reach its service; raises ``ConfigurationError`` where that cannot work."""
        return self.target.dialer(reactor, self.trust, limits, self.announce)

    def termination(self, clock: Any, limits: TerminationLimits) -> Termination | None:
        """What ends the TLS of its visitors here; None: nothing. Raises ``ConfigurationError`` for bad files."""
        protocols = (b"h2",) if self.target.protocol == "h2c" else (b"http/1.1",)
        return None if self.terminate is None else Termination(self.terminate, clock, protocols, limits)

    @property
    def identity(self) -> str:
        """A text that stays the same for what a relay would keep: the wanted place, else the target it is made for."""
        wanted = self.host or self.name or (str(self.port) if self.port else self.target.key)
        return f"{self.kind} {wanted}"

    @property
    def wish(self) -> str:
        """What is asked for, for a person."""
        if self.kind == "visit":
            return f"the private tunnel {self.name}"
        if self.kind == "tls":
            wanted = f"the TLS name {self.host or self.name}"
        elif self.kind in ("tcp", "udp"):
            kind = self.kind.upper()
            wanted = f"{kind} port {self.port}" if self.port else f"a {kind} port"
        else:
            wanted = self.host or self.name or "a name"
        return f"{wanted} for {self.target.text}"
