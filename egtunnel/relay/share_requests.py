"""Shares that a client asks for: of its own tunnels alone, a few at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.scope import Scope
from egtunnel.errors import ConfigurationError, Refused, StoreError
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.sharing import Sharing
from egtunnel.relay.tunnels import Tunnel
from egtunnel.session.messages import Message, RefusedMessage, Share, Shared
from egtunnel.sharing.making import NewShare, Wish, read_wish

__all__ = ["ShareRequests"]

AT_ONCE = 8
"""Shares that one client waits for."""


class ShareRequests:
    """Makes shares for one session.

    :param sharing: None: this relay has no shares.
    :param holder: whose token it is, by id; empty: the relay's own.
    :param send: takes the answers.
    :param refused: is told of each refusal.
    """

    log = Logger()

    def __init__(
        self,
        sharing: Sharing | None,
        addresses: Addresses,
        holder: str,
        scope: Scope | None,
        *,
        send: Callable[[Message], None],
        refused: Callable[[Refused], None],
    ) -> None:
        self._sharing = sharing
        self._addresses = addresses
        self._holder = holder
        self._scope = scope
        self._send = send
        self._refused = refused
        self._waiting = 0

    def ask(self, share: Share, tunnels: Mapping[int, Tunnel]) -> None:
        """Make one of these tunnels, by the client's own numbers, and answer."""
        try:
            wish = self._wish(share, tunnels)
            sharing = self._ready()
        except Refused as error:
            self._refuse(share, error)
            return
        self._waiting += 1
        made = sharing.create(wish, self._holder)
        made.addBoth(self._over).addCallback(self._made, share, sharing).addErrback(self._failed, share)

    def _ready(self) -> Sharing:
        if self._sharing is None or self._sharing.book is None:
            raise Refused("no-store", "this relay has no store, so nothing can be shared by link")
        if self._waiting >= AT_ONCE:
            raise Refused("too-many-shares", f"{AT_ONCE} shares are being made already", retry=True, after=1.0)
        return self._sharing

    def _wish(self, share: Share, tunnels: Mapping[int, Tunnel]) -> Wish:
        if self._scope is not None and not self._scope.private:
            raise Refused("scope-private", "this token may share nothing by link (rule 'private' of its scope)")
        known = [tunnels.get(number) for number in share.tunnels]
        hosts = [self._host(tunnel) for tunnel in known if tunnel is not None and tunnel.kind == "http"]
        if not hosts or len(hosts) != len(share.tunnels):
            raise Refused("bad-share", "a share is of HTTP tunnels that this client has")
        try:
            return read_wish({**share.terms, "tunnels": hosts})
        except ConfigurationError as error:
            raise Refused("bad-share", error.text) from None

    def _host(self, tunnel: Tunnel) -> str:
        return f"{tunnel.name}.{self._addresses.domain}" if tunnel.place.kind == "name" else tunnel.name

    def _over(self, result: Any) -> Any:
        self._waiting -= 1
        return result

    def _made(self, made: NewShare, share: Share, sharing: Sharing) -> None:
        record = made.record
        self._send(Shared(share.share, record.id, sharing.link(made.token), record.expires or 0.0))

    def _failed(self, reason: Failure, share: Share) -> None:
        error = reason.value
        if isinstance(error, Refused):
            self._refuse(share, error)
        elif isinstance(error, StoreError):
            text = "the relay cannot keep a share at the moment: its store is away or full"
            self._refuse(share, Refused("store-away", text, retry=True, after=5.0))
        else:
            self.log.failure("a share could not be made", failure=reason)
            self._refuse(share, Refused("share-failed", "the relay could not make this share", retry=True))

    def _refuse(self, share: Share, error: Refused) -> None:
        self._refused(error)
        self._send(RefusedMessage(error.reason, error.text, error.retry, error.after, share=share.share))
