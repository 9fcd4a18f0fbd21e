"""A link to what this client serves, asked for once when all of it has its public names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from egtunnel.errors import Refused
from egtunnel.session.messages import RefusedMessage, Share, Shared

__all__ = ["Linking"]

NUMBER = 1
"""Of the one request that is made."""


@attrs.define(eq=False)
class Linking:
    """``terms``: as ``Share.terms``. ``on_link`` is told what the relay answered, once; on later sessions nothing is
    asked for, because a share outlives them.
    """

    terms: dict[str, Any] = attrs.field(repr=False)
    on_link: Callable[[Shared], None]
    done: bool = False

    def request(self, tunnels: list[int]) -> Share | None:
        """What to ask for, of these tunnels; None: nothing."""
        return None if self.done or not tunnels else Share(NUMBER, tunnels, self.terms)

    def shared(self, message: Shared) -> None:
        """Here it is."""
        if not self.done:
            self.done = True
            self.on_link(message)

    def refused(self, message: RefusedMessage) -> Refused:
        """The relay's no, as the reason for which the client gives up, or tries again."""
        return Refused(message.code, f"the share: {message.text}", retry=message.retry, after=message.after)
