"""The seam of visitors' rules: what a rule is shown of a request, and what it may answer.

An ingress asks the guard of a tunnel before anything is taken of whoever serves it; rules know of no ingress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from egtunnel.errors import ConfigurationError, Denied, EgtunnelError
from egtunnel.interfaces import ITunnel, Visitor

__all__ = [
    "OWN_PATH",
    "AccessError",
    "Answer",
    "Asked",
    "BodyTooLarge",
    "Denial",
    "Held",
    "IGuard",
    "IWay",
    "Leash",
    "RulesChanged",
    "Verdict",
]

OWN_PATH = b"/.egtunnel/"
"""Below it, on a tunnel's own host, are the pages of its rules (the way back of a login): rules answer them."""

Fields = list[tuple[bytes, bytes]]


class AccessError(ConfigurationError):
    """A rule that cannot be: unknown, malformed, or one that this relay does not allow."""

    word = "bad-access"


class RulesChanged(Denied):
    """The rules of the tunnel have become others while the visitor waited."""


class BodyTooLarge(EgtunnelError):
    """The request's body is larger than a rule may read."""

    word = "body-too-large"


@attrs.frozen
class Denial:
    """A refusal, shown as the relay shows all of them. ``word`` is for programs, ``text`` for people."""

    status: int
    word: str
    text: str
    fields: tuple[tuple[bytes, bytes], ...] = ()


@attrs.frozen
class Answer:
    """A whole response of a rule's own; ``word`` is what the log calls it."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    word: str = "access-page"


class Held(Protocol):
    """What came in, and goes on."""

    def cut_off(self, error: EgtunnelError) -> None:
        """End at once, visibly broken."""


class Leash:
    """Everything that came in by something that may end, such as a link that was shared."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: set[Held] = set()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, held: Held) -> None:
        """It goes on; until it is let go."""
        self._held.add(held)

    def let_go(self, held: Held) -> None:
        """It is over."""
        self._held.discard(held)

    def cut(self, error: EgtunnelError) -> None:
        """End all of it now."""
        held, self._held = self._held, set()
        for each in held:
            each.cut_off(error)


class Asked:
    """A request as rules see it.

    ``target`` is what is asked for, without the ``prefix`` by which the tunnel was found (empty on its own host);
    ``host`` the Host as it was written, ``scheme`` what the visitor speaks, ``fields`` the headers that came,
    ``upgrade`` what the visitor wants to switch to. ``share`` is the link, by its id, by which the request comes and
    which allows it; empty: none. ``withheld`` are the headers (lower case) that do not go on; None: all do. ``leash``
    may hold the exchange, from when it is let in until its end.
    """

    __slots__ = (
        "_read_body",
        "fields",
        "host",
        "leash",
        "method",
        "prefix",
        "scheme",
        "share",
        "target",
        "upgrade",
        "withheld",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        host: bytes = b"",
        fields: Fields | None = None,
        scheme: str = "http",
        prefix: bytes = b"",
        upgrade: bytes = b"",
        share: str = "",
        read_body: Callable[[Asked, int], Deferred[bytes]] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.fields = fields if fields is not None else []
        self.scheme = scheme
        self.prefix = prefix
        self.upgrade = upgrade
        self.share = share
        self.leash: Leash | None = None
        self.withheld: set[bytes] | None = None
        self._read_body = read_body

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header (lower case), one for each time it came."""
        size = len(name)
        return [value.strip(b" \t") for known, value in self.fields if len(known) == size and known.lower() == name]

    def withhold(self, name: bytes) -> None:
        """Do not pass this header (lower case) on."""
        if self.withheld is None:
            self.withheld = set()
        self.withheld.add(name)

    def read_body(self, most: int) -> Deferred[bytes]:
        """The whole body, which goes on afterwards; fails with BodyTooLarge beyond ``most`` bytes. Once at a time."""
        if self._read_body is None:
            raise RuntimeError("this request's body cannot be read")
        return self._read_body(self, most)


Verdict = Denial | Answer | None
"""None: the request goes on."""


class IGuard(Interface):
    """The rules of one tunnel."""

    def judge(asked: Asked, visitor: Visitor) -> Verdict | Deferred[Any]:
        """What becomes of a request; a Deferred of that is cancelled when the visitor goes.

        An error of ``egtunnel.errors`` refuses, too; any other one is a defect, and refuses.
        """

    def admits(visitor: Visitor) -> bool:
        """Whether a connection of a tunnel that is no HTTP may come in. Asked at once when it is there."""


class IWay(IGuard):
    """A way to a tunnel that the relay's own host has to find out about: judged once, and then it leads there."""

    tunnel: ITunnel | None = Attribute("Where it leads; None: it has not let the request go on.")
    target: bytes = Attribute("What is asked for there.")
    prefix: bytes = Attribute("What was taken off the path.")
    share: str = Attribute("The link that was used, by its id.")
