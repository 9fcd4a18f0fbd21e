"""From HTTP to whatever was asked for: both connections of an exchange become one stream of bytes each way."""

from __future__ import annotations

from egtunnel.errors import ChannelClosed
from egtunnel.guard import Leash
from egtunnel.ingress.http.head import Fields, RequestHead, ResponseHead
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.upstream import Upstream
from egtunnel.splice import abort, join

__all__ = ["may_switch", "switch"]


def may_switch(upstream: Upstream | None, asked: RequestHead, head: ResponseHead) -> bool:
    """Whether the upstream switches to what the visitor asked for, and nothing is under way before."""
    if upstream is None or not upstream.reusable or not head.upgrade:
        return False
    return set(head.upgrade) <= set(asked.upgrade.split(b", "))


def switch(
    upstream: Upstream, head: ResponseHead, edited: Fields, responder: IResponder, leash: Leash | None = None
) -> None:
    """Answer the visitor with 101 and join both ends; ``leash`` holds them from then on."""
    fields = [*edited, (b"Upgrade", b", ".join(head.upgrade)), (b"Connection", b"Upgrade")]
    near = responder.switch(head.status, head.reason, fields)
    far, rest = upstream.become_half()
    if responder.record is not None:
        responder.record.follow(far)
    if near.lost:
        abort(far.transport, ChannelClosed())
        return
    if leash is not None:
        near.leash = leash
        leash.hold(near)
    if rest:
        far.dataReceived(rest)
    join(near, far)
    near.transport.resumeProducing()  # type: ignore[union-attr]
    far.transport.resumeProducing()  # type: ignore[union-attr]
