"""What a client asks a relay for."""

from __future__ import annotations

from egtunnel.client.offers import Offer
from egtunnel.client.targets import parse_target
from egtunnel.policy import Edit, HeaderPolicy
from egtunnel.session.messages import Claim, decode, encode


def test_a_plain_offer_is_a_short_claim() -> None:
    """Everything else has its default."""
    target = parse_target("8080")
    assert Offer(target).claim(3) == Claim(tunnel=3, kind="http", key=target.key)


def test_an_offer_with_everything() -> None:
    """Protocol and policy travel with the claim, and arrive as they were."""
    policy = HeaderPolicy(
        (Edit("set", b"X-Key", "ü".encode()), Edit("remove", b"Cookie")),
        (Edit("add", b"X-Frame-Options", b"DENY"),),
        b"/app",
    )
    target = parse_target("h2c://localhost:50051")
    claim = Offer(target, name="rpc", host_header="localhost", policy=policy).claim(1)
    assert (claim.protocol, claim.name, claim.host_header) == ("h2c", "rpc", "localhost")
    arrived = decode(encode(claim))
    assert isinstance(arrived, Claim)
    assert HeaderPolicy.from_wire(arrived.request_headers, arrived.response_headers, arrived.path_prefix) == policy


def test_a_tcp_tunnel_carries_any_protocol() -> None:
    """The relay does not read what goes through it."""
    claim = Offer(parse_target("h2c://localhost:50051"), kind="tcp", port=5000).claim(1)
    assert (claim.kind, claim.port, claim.protocol) == ("tcp", 5000, "")
