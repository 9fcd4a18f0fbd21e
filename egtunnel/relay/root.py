"""What the roots of a relay have in common, be it one process or several: how it begins, and in whose place."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import MultiService

from egtunnel.errors import ConfigurationError, EgtunnelError
from egtunnel.relay.handover import Handover
from egtunnel.relay.inherited import Inherited
from egtunnel.relay.introduction import introduce
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.state import State, read_token
from egtunnel.relay.takeover import Takeover
from egtunnel.relay.tokens import Tokens

__all__ = ["Root"]


class Root(MultiService):
    """A relay that begins in two steps, as twistd has it; what is wrong is told once, and nothing happens after that.

    Whoever derives from it makes ``_state``, ``_listeners`` and ``_handover``, and says what the steps are.
    """

    _state: State
    _listeners: Listeners
    _handover: Handover

    def __init__(
        self,
        settings: RelaySettings,
        *,
        say: Callable[[str], None],
        on_fatal: Callable[[EgtunnelError], None],
        on_left: Callable[[], None],
        inherited: Inherited,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._say = say
        self._on_fatal = on_fatal
        self._on_left = on_left
        self._inherited = inherited
        self._takeover = Takeover(settings.state) if settings.takeover else None
        self._failed = False

    def privilegedStartService(self) -> None:
        """Listen, as long as we may use a port below 1024."""
        super().privilegedStartService()
        self._attempt(self._listen)

    def startService(self) -> None:
        """Read what is kept, open for clients, and say so."""
        super().startService()
        self._attempt(self._open)

    def _listen(self) -> None:
        """The first step; the second takes it, too, where there was no first. Raises ConfigurationError."""
        raise NotImplementedError

    def _open(self) -> None:
        """The second step. Raises ConfigurationError."""
        raise NotImplementedError

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            step()
        except ConfigurationError as error:
            self._fail(error)

    def _fail(self, error: EgtunnelError) -> None:
        if not self._failed:
            self._failed = True
            self._on_fatal(error)

    def _take_over(self) -> None:
        """Have the sockets of the relay that runs; it stops accepting, and what comes meanwhile waits in them."""
        if self._takeover is None or self._listeners.open:
            return
        theirs = self._takeover.begin()
        if theirs is None:
            self._say(f"no relay runs with the state folder {self.settings.state}: nothing is taken over")
        else:
            self._inherited.ports.update(theirs.ports)
            self._inherited.tunnels.update(theirs.tunnels)
            self._inherited.udp.update(theirs.udp)

    def _begun(self) -> None:
        """Clients and visitors are served: another relay may follow us, and people may know."""
        self._handover.listen()
        if self._takeover is not None:
            self._takeover.ready()
        for line in introduce(self.settings, self._listeners.where()):
            self._say(line)

    def _read_tokens(self) -> Tokens:
        file = self.settings.token_file
        return Tokens([read_token(file) if file else self._state.token()])
