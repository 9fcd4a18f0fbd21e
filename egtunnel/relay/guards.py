"""From what a claim says of access to the guard of its tunnel: each rule by its name, made by a maker of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.errors import Refused
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor
from egtunnel.relay.limiting import RULE, TOKEN_RULE, Limiter, Limiting, read_terms, read_token_terms

__all__ = ["Guards", "Maker", "Post", "Sentry"]

LONGEST = 32_768
"""Characters of all rules of one tunnel as JSON."""


@attrs.frozen
class Post:
    """Where a guard is to stand. ``kind`` is ``http`` or ``tcp``, ``name`` the tunnel's public name."""

    kind: str
    name: str


Maker = Callable[[Any, Post], IGuard]
"""Makes a rule of its JSON value. Raises AccessError; nothing may be begun yet, for many are made to be looked at."""


class Guards:
    """The rules that this relay knows, by their names in ``Claim.access``, in the order in which they are asked.

    :param first: is asked before all of them at every tunnel for HTTP; None: nobody is.
    """

    def __init__(
        self,
        makers: Mapping[str, Maker] | None = None,
        limiting: Limiting | None = None,
        first: IGuard | None = None,
    ) -> None:
        self._first = first
        self._makers = makers or {}
        self._limiting = limiting

    def check(self, kind: str, access: dict[str, Any]) -> str:
        """What a claim asks for as a text that equal rules have in common; empty: no rules. Raises Refused."""
        if not access:
            return ""
        try:
            text = json.dumps(access, sort_keys=True, separators=(",", ":"))
            self.make(text, Post(kind, ""))
        except RecursionError:
            raise Refused("bad-access", "the rules of a tunnel are nested too deeply") from None
        except AccessError as error:
            raise Refused("bad-access", error.text) from None
        return text

    def make(self, access: str, post: Post, limiter: Limiter | None = None) -> IGuard | None:
        """The guard of these rules, and before them of the limiter's; None: there are none. Raises AccessError."""
        if len(access) > LONGEST:
            raise AccessError(f"the rules of a tunnel are {LONGEST} characters at most")
        wanted = json.loads(access) if access else {}
        if RULE in wanted and self._limiting is not None:
            read_terms(wanted.pop(RULE))
        if TOKEN_RULE in wanted and self._limiting is not None:
            read_token_terms(wanted.pop(TOKEN_RULE))
        for name in wanted:
            if name not in self._makers:
                raise AccessError(f"this relay has no access rule {name[:80]!a}")
        rules = [make(wanted[name], post) for name, make in self._makers.items() if name in wanted]
        if self._first is not None and post.kind == "http":
            rules.insert(0, self._first)
        if limiter is not None and limiter.judges:
            rules.insert(0, limiter)
        return _All(rules) if len(rules) > 1 else next(iter(rules), None)

    def limits(self, access: str) -> Any:
        """The values of the rules about limits, the tunnel's and its token's; None: there is none."""
        wanted = json.loads(access) if access else {}
        return wanted.get(RULE), wanted.get(TOKEN_RULE)

    def limiter(self, values: Any = (None, None)) -> Limiter | None:
        """What keeps these limits, and the relay's own; None: there are none. Raises AccessError."""
        return None if self._limiting is None else self._limiting.limiter(*values)


class Sentry:
    """The guard of one place; the tunnels that stand there one after the other share it, so that none has an old one.

    :ivar guard: None: everybody may come in.
    :ivar limiter: None: there are no limits.
    """

    __slots__ = ("_access", "_guards", "_limits", "_post", "guard", "limiter")

    log = Logger()

    def __init__(self, guards: Guards, post: Post) -> None:
        self._guards = guards
        self._post = post
        self._access = ""
        self._limits: Any = (None, None)
        self.limiter = guards.limiter()
        self.guard = guards.make("", post, self.limiter)

    def follow(self, access: str) -> None:
        """Have these rules from now on; those that are the same keep what they know."""
        if access == self._access:
            return
        self._access = access
        try:
            limits = self._guards.limits(access)
            if limits != self._limits:
                self.limiter, self._limits = self._guards.limiter(limits), limits
            self.guard = self._guards.make(access, self._post, self.limiter)
        except AccessError as error:
            self.log.error("{name} is closed: {text}", name=self._post.name, text=error.text)
            self.guard = _Closed()

    def lets_on(self, visitor: Visitor, earlier: IGuard | None) -> bool:
        """Whether one that ``earlier`` let in may still come; of a request only rules that did not change know."""
        guard = self.guard
        return guard is earlier or (visitor.kind != "http" and (guard is None or guard.admits(visitor)))


@implementer(IGuard)
class _Closed:
    """Lets nobody in: what the rules are cannot be told."""

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """No."""
        return Denial(403, "denied", "You are not allowed to use this tunnel.")

    def admits(self, visitor: Visitor) -> bool:
        """No."""
        return False


@implementer(IGuard)
class _All:
    """Several rules, all of which have to agree; the first that does not is the answer."""

    def __init__(self, rules: list[IGuard]) -> None:
        self.rules = rules

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Any]:
        """Ask one after the other."""
        for following, rule in enumerate(self.rules, 1):
            verdict: Any = rule.judge(asked, visitor)
            if verdict is not None:
                if isinstance(verdict, Deferred):
                    return verdict.addCallback(self._go_on, following, asked, visitor)
                return verdict  # type: ignore[no-any-return]
        return None

    def admits(self, visitor: Visitor) -> bool:
        """Whether all of them do."""
        return all(rule.admits(visitor) for rule in self.rules)

    def _go_on(self, verdict: Verdict, following: int, asked: Asked, visitor: Visitor) -> Any:
        if verdict is not None or following == len(self.rules):
            return verdict
        return _All(self.rules[following:]).judge(asked, visitor)
