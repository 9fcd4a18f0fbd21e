"""What one of several workers may use of what the whole relay may. Pure."""

from __future__ import annotations

import attrs

from egtunnel.relay.settings import RelaySettings

__all__ = ["share_of"]


def share_of(settings: RelaySettings, workers: int) -> RelaySettings:
    """The settings of one of so many workers: clients, visitors, handshakes and memory are divided, rounded up.

    What holds for one client, one address or one port holds in each worker as it is.
    """

    def part(whole: int) -> int:
        return -(-whole // workers)

    limits = settings.limits
    return attrs.evolve(
        settings,
        limits=attrs.evolve(
            limits,
            admission=attrs.evolve(limits.admission, clients=part(limits.admission.clients)),
            front=attrs.evolve(
                limits.front, connections=part(limits.front.connections), leaving=part(limits.front.leaving)
            ),
            tcp=attrs.evolve(limits.tcp, in_all=part(limits.tcp.in_all)),
            tls=attrs.evolve(limits.tls, handshakes=part(limits.tls.handshakes), rate=part(limits.tls.rate)),
            waiting=attrs.evolve(limits.waiting, visitors=part(limits.waiting.visitors)),
            memory=part(limits.memory),
        ),
    )
