"""Links to what this client serves: asked for by programs at any time, or once, when all has its public names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail

from egtunnel.errors import EgtunnelError, LinkLost, Refused
from egtunnel.session.messages import RefusedMessage, Share, Shared
from egtunnel.session.session import Session

__all__ = ["Linking", "ShareRequests"]


class ShareRequests:
    """Shares that were asked for in this session, by our numbers for them."""

    def __init__(self) -> None:
        self._waiting: dict[int, Deferred[Shared]] = {}
        self._number = 0

    def ask(self, session: Session | None, tunnels: list[int], terms: dict[str, Any]) -> Deferred[Shared]:
        """A link to these tunnels, by our numbers; fails with Refused, or LinkLost without a session or at its end.

        A share that fails with LinkLost may have been made all the same.
        """
        if session is None:
            return fail(LinkLost("there is no relay at the moment"))
        self._number += 1
        answered: Deferred[Shared] = Deferred()
        self._waiting[self._number] = answered
        session.send(Share(self._number, tunnels, terms))
        return answered

    def shared(self, message: Shared) -> None:
        """The relay has made one."""
        answered = self._waiting.pop(message.share, None)
        if answered is not None:
            answered.callback(message)

    def refused(self, message: RefusedMessage) -> None:
        """The relay's no."""
        answered = self._waiting.pop(message.share or 0, None)
        if answered is not None:
            answered.errback(Refused(message.code, message.text, retry=message.retry, after=message.after))

    def lost(self) -> None:
        """The session is over."""
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered.errback(LinkLost("the relay went away before it answered"))


@attrs.define(eq=False)
class Linking:
    """One link to all tunnels, wanted from the beginning; a share outlives sessions, so that it is asked for once.

    ``terms``: as ``Share.terms``. ``on_link`` is told what the relay answered.
    """

    terms: dict[str, Any] = attrs.field(repr=False)
    on_link: Callable[[Shared], None]
    done: bool = False

    def begin(
        self, ask: Callable[[dict[str, Any]], Deferred[Shared]], give_up: Callable[[EgtunnelError], None]
    ) -> None:
        """All tunnels have their names; ``give_up`` ends the session if the relay refuses."""
        if not self.done:
            ask(self.terms).addCallbacks(self._shared, lambda reason: self._failed(reason, give_up))

    def _shared(self, message: Shared) -> None:
        if not self.done:
            self.done = True
            self.on_link(message)

    def _failed(self, reason: Any, give_up: Callable[[EgtunnelError], None]) -> None:
        error = reason.value
        if isinstance(error, Refused):
            give_up(Refused(error.reason, f"the share: {error.text}", retry=error.retry, after=error.after))
        else:
            reason.trap(LinkLost)  # the next session asks again
