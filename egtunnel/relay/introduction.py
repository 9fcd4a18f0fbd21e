"""What a relay says of itself once it is open."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from egtunnel.configuration import default_state
from egtunnel.relay.addresses import is_local, is_loopback
from egtunnel.relay.settings import RelaySettings

__all__ = ["introduce"]


def introduce(settings: RelaySettings, where: str) -> Iterator[str]:
    """Lines for a person: ``where`` the relay listens, what is not safe, and how a client gets there."""
    addresses = settings.addresses
    yield f"egrelay listens on {where}; public names are {addresses.name_url('<name>')}"
    if addresses.scheme == "http" and not is_loopback(settings.interface):
        yield (
            "Traffic is NOT encrypted: give --tls-cert and --tls-key, or --tls-dir; "
            f"behind a TLS proxy give --public-url https://{addresses.domain}"
        )
    if settings.tls and is_local(addresses.domain):
        addresses = attrs.evolve(addresses, scheme="http")  # within this machine TLS would only ask for its --ca
    token_file = settings.token_file or settings.state / "token"
    yield f"Connect a client: {addresses.client_line(token_file, default_state() / 'token')}"
