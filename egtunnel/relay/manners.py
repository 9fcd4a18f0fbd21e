"""How a tunnel is to treat what goes through it, as its claim says: each member judged."""

from __future__ import annotations

from egtunnel.errors import Refused
from egtunnel.policy import HeaderPolicy, PolicyError
from egtunnel.relay.names import canonical
from egtunnel.relay.tunnels import Manner
from egtunnel.session.messages import Claim

__all__ = ["manner_of"]

PROTOCOLS = {"": "http/1.1", "h2c": "h2c"}
"""What a claim may say the service speaks, and what its tunnel says then."""

STICKY = {"http": ("", "address", "cookie"), "tcp": ("", "address"), "tls": ("", "address"), "udp": ("", "address")}
"""What may keep visitors at one of several servers, by kind of tunnel."""


def manner_of(claim: Claim) -> Manner:
    """How the tunnel is to treat what goes through it; raises Refused ``bad-host``, -``protocol`` or -``policy``."""
    if claim.sticky not in STICKY[claim.kind] or (claim.sticky and not claim.share):
        raise Refused("bad-policy", f"visitors cannot be kept at one server by {claim.sticky[:80]!a} here")
    return Manner(
        canonical_header(claim.host_header),
        spoken(claim.protocol),
        policy_of(claim),
        claim.share,
        claim.sticky,
        dedicated=claim.dedicated and claim.kind == "http",
    )


def canonical_header(header: str) -> str:
    """A Host header for the upstream; raises Refused ``bad-host`` for what could end the line or the header."""
    if len(header) > 255 or not header.isascii() or not header.isprintable() or set(header) & set(" ,/\\@\"'<>"):
        raise Refused("bad-host", "that cannot be a Host header")
    return canonical(header)


def spoken(protocol: str) -> str:
    """What the service speaks, as tunnels say it; raises Refused ``bad-protocol``."""
    if protocol not in PROTOCOLS:
        raise Refused("bad-protocol", f"this relay speaks HTTP/1.1 and h2c with services, not {protocol[:80]!a}")
    return PROTOCOLS[protocol]


def policy_of(claim: Claim) -> HeaderPolicy | None:
    """What the claim changes in headers and paths, None: nothing; raises Refused ``bad-policy``."""
    if not (claim.request_headers or claim.response_headers or claim.path_prefix):
        return None
    try:
        return HeaderPolicy.from_wire(claim.request_headers, claim.response_headers, claim.path_prefix)
    except PolicyError as error:
        raise Refused("bad-policy", error.text) from None
