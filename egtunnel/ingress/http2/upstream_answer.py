"""One response of an HTTP/2 upstream, from its first head to its end: what has come of it, and whether it adds up."""

from __future__ import annotations

from egtunnel.errors import UpstreamBroke
from egtunnel.ingress.http.head import ResponseHead
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http2.upstream_fields import read_head, read_trailers
from egtunnel.ingress.http2.upstream_limits import H2UpstreamLimits

__all__ = ["Answer"]


class Answer:
    """Counts what the library does not: bytes against the length that was promised, heads, credit.

    ``begun``: the final head has come. Everything that must not be raises UpstreamBroke.
    """

    __slots__ = (
        "_domain",
        "_got",
        "_head",
        "_informational",
        "_limits",
        "_to_head",
        "_trailers",
        "_uncredited",
        "_wide",
    )

    def __init__(self, to_head: bool, domain: str, limits: HTTPLimits) -> None:
        self._to_head = to_head
        self._domain = domain
        self._limits = limits
        self._head: ResponseHead | None = None
        self._trailers: Fields = []
        self._got = self._informational = self._uncredited = 0
        self._wide = False

    @property
    def begun(self) -> bool:
        """Whether the final head has come."""
        return self._head is not None

    def head(self, fields: Fields, ended: bool) -> ResponseHead:
        """A head, informational or final."""
        head = read_head(fields, ended, self._to_head, self._domain, self._limits)
        if head.status >= 200:
            self._head = head
        else:
            self._informational += 1
            if self._informational > self._limits.informational:
                raise UpstreamBroke("there are too many informational responses")
        return head

    def data(self, data: bytes, counted: int) -> None:
        """A piece of the body, which took ``counted`` bytes of the window."""
        self._uncredited += counted
        self._got += len(data)
        head = self._head
        if head is None:
            raise UpstreamBroke("the response has a body and no head")
        if data and (head.bodiless or (head.length is not None and self._got > head.length)):
            raise UpstreamBroke("the body of the response is longer than it should be")

    def trailing(self, fields: Fields) -> None:
        """The trailers."""
        self._trailers = read_trailers(fields, self._limits)

    def end(self) -> Fields:
        """It is complete: its trailers."""
        head = self._head
        if head is None or (head.length is not None and not head.bodiless and self._got != head.length):
            raise UpstreamBroke("the body of the response is shorter than it should be")
        return self._trailers

    def credit(self, limits: H2UpstreamLimits, sent: bool) -> int:
        """How much more to allow; ``sent``: the request has left, so that the window may be wide."""
        widen = limits.bulk_window - limits.window if sent and not self._wide else 0
        if self._uncredited < (limits.bulk_window if self._wide else limits.window) // 2:
            return 0
        credit, self._uncredited = self._uncredited + widen, 0
        self._wide = self._wide or widen > 0
        return credit
