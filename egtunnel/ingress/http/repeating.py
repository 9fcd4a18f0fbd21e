"""Whether a request may be sent once more. Pure."""

from __future__ import annotations

from egtunnel.errors import UpstreamSlow
from egtunnel.ingress.http.head import RequestHead

__all__ = ["may_repeat"]


def may_repeat(head: RequestHead, error: BaseException, doubtful: bool) -> bool:
    """Whether a request that failed does no harm twice (RFC 9110 section 9.2.2), and another try may help.

    ``doubtful``: a kept connection may have been dying, or, where there is another server, the one that was asked.
    """
    return doubtful and head.idempotent and not head.has_body and not isinstance(error, UpstreamSlow)
