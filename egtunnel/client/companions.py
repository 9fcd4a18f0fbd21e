"""The further links of a client: more sessions beside its own, each with a link that comes back by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.client.continuity import Continuity
from egtunnel.client.uplink import Uplink
from egtunnel.errors import EgtunnelError, LinkLost
from egtunnel.session.messages import Hello
from egtunnel.session.session import Session

__all__ = ["Companions"]

MakeUplink = Callable[[int, Callable[[Hello], Hello]], Uplink]
"""Makes the uplink of link ``number``, whose hello the second argument completes."""


class Companions:
    """Links two, three and so on, for as long as the session of the first lasts.

    :param numbers: of the links.
    :param say: takes one line for a person.
    """

    log = Logger()

    def __init__(self, numbers: Iterable[int], make: MakeUplink, say: Callable[[str], None]) -> None:
        self.uplinks: list[Uplink] = []
        self.leaving: list[Continuity] = []
        self._numbers = tuple(numbers)
        self._make = make
        self._say = say
        self._runs: list[Deferred[None]] = []

    def begin(self, session: Session) -> None:
        """A session is there: have more links for it."""
        self.end()
        if self._numbers and not session.secret:
            self._say("the relay keeps no sessions without a link, so that there can only be one link")
            return
        join = {"session": session.id, "secret": session.secret}
        for number in self._numbers:
            uplink = self._make(number, lambda hello: _joining(hello, join))
            self.uplinks.append(uplink)
            run = Deferred.fromCoroutine(self._run(number, uplink))
            self._runs.append(run.addErrback(self._ended))

    def end(self) -> None:
        """The session is over, and so are they; their channels may go on if the relay lets them."""
        runs, self._runs = self._runs, []
        uplinks, self.uplinks = self.uplinks, []
        for run in runs:
            run.cancel()
        for uplink in uplinks:
            uplink.continuity.let_go(LinkLost("the session is over"))
            self.leaving = [*(left for left in self.leaving if left.leaving), uplink.continuity]

    def close(self, error: EgtunnelError) -> None:
        """End all their sessions, now."""
        for continuity in (*self.leaving, *(uplink.continuity for uplink in self.uplinks)):
            continuity.close(error)

    def doubt(self) -> None:
        """Something happened that may have cut the links."""
        for uplink in self.uplinks:
            uplink.continuity.doubt()

    async def _run(self, number: int, uplink: Uplink) -> None:
        error: EgtunnelError = await uplink.run()
        self._say(f"link {number}: {error.text}; going on without it")

    def _ended(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self.log.failure("a link failed", reason)


def _joining(hello: Hello, join: dict[str, str]) -> Hello:
    return Hello(token=hello.token, client_id=hello.client_id, agent=hello.agent, join=join)
