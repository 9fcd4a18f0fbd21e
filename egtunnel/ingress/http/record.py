"""What the access log says of one request, gathered while it is served."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from egtunnel.ingress.http.access_log import AccessLog, Entry
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Fields
from egtunnel.splice import Half

__all__ = ["Record"]


class Record:
    """Follows a response; ``over`` writes the line, once, whatever it is called for.

    A connection that has left HTTP is followed to its end, which is never taken for a cut.
    """

    __slots__ = (
        "_began",
        "_clock",
        "_far",
        "_host",
        "_log",
        "_over",
        "_protocol",
        "_scheme",
        "_switched",
        "error",
        "head",
        "sent",
        "status",
        "tunnel",
    )

    def __init__(
        self, log: AccessLog, clock: IReactorTime, head: RequestHead | None, host: str, scheme: str, protocol: str
    ) -> None:
        self._log = log
        self._clock = clock
        self._began = clock.seconds()
        self._host = host
        self._scheme = scheme
        self._protocol = protocol
        self._over = self._switched = False
        self._far: Half | None = None
        self.head = head
        self.tunnel = self.error = ""
        self.status = self.sent = 0

    def head_sent(self, status: int, fields: Fields) -> None:
        """The final head has been written."""
        self.status = status
        if status >= 400:
            for name, value in fields:
                if name == b"X-Egtunnel-Error":
                    self.error = value.decode("latin-1")

    def switched(self, status: int) -> None:
        """The connection, or the stream, leaves HTTP with this status."""
        self.status = status
        self._switched = True

    def follow(self, far: Half) -> None:
        """What arrives there is sent to the visitor from now on."""
        self._far = far

    def over(self, complete: bool) -> None:
        """The response is complete, or will never be."""
        if self._over:
            return
        self._over = True
        sent = self.sent if self._far is None else self._far.received  # a stream counts the same bytes itself
        seconds = self._clock.seconds() - self._began
        self._log.request(
            Entry(
                host=self._host,
                head=self.head,
                protocol=self._protocol,
                scheme=self._scheme,
                tunnel=self.tunnel,
                status=self.status,
                sent=sent,
                seconds=seconds,
                complete=complete or self._switched,
                error=self.error,
            )
        )
