"""One client's claims: its control messages, answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs
from twisted.logger import Logger

from egtunnel.access.scope import Scope
from egtunnel.errors import EgtunnelError, Refused
from egtunnel.relay.addresses import VISIT, Addresses
from egtunnel.relay.holdings import Title
from egtunnel.relay.limiting import TOKEN_RULE
from egtunnel.relay.manners import manner_of
from egtunnel.relay.names import candidates, canonical, check_host, check_name
from egtunnel.relay.reservations import Owner, Place
from egtunnel.relay.tunnels import Manner, Tunnel, TunnelTable
from egtunnel.relay.visits import check_visit
from egtunnel.session.messages import Claim, Claimed, Message, Notice, RefusedMessage, Release, Share
from egtunnel.session.session import Session

__all__ = ["ClaimLimits", "Claims"]

KEY_LENGTH = 128
PORTS = {"tcp": "port", "udp": "udp"}
"""Kinds of tunnels that have a port of their own, and of its place."""


@attrs.frozen
class ClaimLimits:
    """``tunnels``: of one session. ``ports``: public TCP ports, ``udp_ports``: UDP ones. ``after``: seconds until what
    the machine could not give is worth another try. ``forbidden``: patterns of names and hosts that nobody gets.
    """

    tunnels: int = 100
    ports: range = range(20_000, 20_100)
    udp_ports: range = range(20_000, 20_100)
    after: float = 30.0
    forbidden: tuple[str, ...] = ()


class Claims:
    """Reads the control messages of one session, and holds the tunnels it has claimed by the client's own numbers.

    ``scope``: what the client's token may do; None: everything. ``title``: which places its owner may have.
    ``granted`` and ``refused``: are told of each claim that is. ``visits``: the numbers of what the client visits.
    ``share``: makes a link to some of the tunnels, by the client's own numbers.
    """

    log = Logger()

    def __init__(
        self,
        session: Session,
        owner: Owner,
        table: TunnelTable,
        addresses: Addresses,
        limits: ClaimLimits | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.tunnels: dict[int, Tunnel] = {}
        self.visits: set[int] = set()
        self.granted: Callable[[Claimed], None] = lambda claimed: None
        self._session = session
        self._owner = owner
        self._table = table
        self._addresses = addresses
        self._limits = limits or ClaimLimits()
        self._scope = scope
        self.title = Title()
        self.refused: Callable[[Refused], None] = lambda error: None
        self.share: Callable[[Share, Mapping[int, Tunnel]], None] | None = None
        if scope is not None:
            table.scoped.setdefault(owner.token, []).append(self)

    def message(self, message: Message) -> None:
        """A control message of the client's; one that means nothing here is answered, not fatal."""
        react = self._REACT.get(type(message))
        if react is not None:
            react(self, message)
        else:
            self._session.send(Notice(f"the relay does not expect a message {message.type[:100]!r}"))

    def back(self) -> None:
        """The session has a link again: who waited for it comes in."""
        self._table.back(
            [tunnel for number, tunnel in self.tunnels.items() if tunnel.servers.find(self._session, number)]
        )

    def unheard(self, error: EgtunnelError) -> None:
        """The session has lost its link and waits for another."""
        self.log.info(
            "session {session} of client {client} has lost its link: {word}, {text}",
            session=self._session.id,
            client=self._owner.client,
            word=error.word,
            text=error.text,
        )
        self._table.unheard(self._session, list(self.tunnels.values()))

    def closed(self) -> None:
        """The session is over; its tunnels wait for the client's return."""
        tunnels, self.tunnels = self.tunnels, {}
        self._table.away(self._session, list(tunnels.values()))
        others = [claims for claims in self._table.scoped.pop(self._owner.token, ()) if claims is not self]
        if others:
            self._table.scoped[self._owner.token] = others

    def _claim(self, claim: Claim) -> None:
        try:
            claim = self._named(claim)
            if claim.kind == "visit":
                self._visit(claim)
                return
            tunnel = self._change(claim)
            if tunnel is None:
                self._give_back(claim.tunnel)
                tunnel = self._bind(claim)
        except Refused as error:
            self._give_back(claim.tunnel)
            self.log.info(
                "refused a claim of client {client}: {reason}, {text}",
                client=self._owner.client,
                reason=error.reason,
                text=error.text,
            )
            self.refused(error)
            self._session.send(RefusedMessage(error.reason, error.text, error.retry, error.after, claim.tunnel))
        else:
            self.tunnels[claim.tunnel] = tunnel
            self._granted(Claimed(claim.tunnel, self._url(tunnel), tunnel.name, bool(tunnel.manner.access)))

    def _visit(self, claim: Claim) -> None:
        """The client has somebody who wants to reach another client's private tunnel."""
        self._give_back(claim.tunnel)
        self._check_number(claim)
        name = check_visit(claim, self._table, self.title.holder, self._scope)
        self.visits.add(claim.tunnel)
        self._granted(Claimed(claim.tunnel, VISIT + name, name))

    def _granted(self, claimed: Claimed) -> None:
        self.granted(claimed)
        self._session.send(claimed)

    def _release(self, release: Release) -> None:
        self._give_back(release.tunnel)

    def _share(self, share: Share) -> None:
        if self.share is not None:
            self.share(share, self.tunnels)

    def _notice(self, notice: Notice) -> None:
        self.log.debug("client {client} says: {text}", client=self._owner.client, text=notice.text)

    def _give_back(self, number: int) -> None:
        self.visits.discard(number)
        tunnel = self.tunnels.pop(number, None)
        server = None if tunnel is None else tunnel.servers.find(self._session, number)
        if tunnel is not None and server is not None:
            self._table.release(tunnel, server)

    def _change(self, claim: Claim) -> Tunnel | None:
        """The tunnel of this number with the settings of this claim, if it stands where the claim wants it."""
        tunnel = self.tunnels.get(claim.tunnel)
        if tunnel is None or tunnel.servers.find(self._session, claim.tunnel) is None or not self._stays(tunnel, claim):
            return None
        manner = self._manner(claim)
        alone = len(tunnel.servers) == 1 and manner.share == tunnel.manner.share
        return self._table.change(tunnel, manner) if alone or manner == tunnel.manner else None

    def _stays(self, tunnel: Tunnel, claim: Claim) -> bool:
        if claim.kind != tunnel.kind or (claim.name and claim.host):
            return False
        if claim.kind in PORTS and claim.port:
            return tunnel.place == Place(PORTS[claim.kind], str(claim.port))
        if claim.kind == "tls":
            return tunnel.place == self._tls_place(claim)[0]
        if claim.kind == "http" and claim.host:
            return tunnel.place == Place("host", canonical(claim.host))
        if claim.kind == "http" and claim.name:
            return tunnel.place == Place("name", canonical(claim.name))
        chosen = self._table.reservations.made_for(self._owner, tunnel.place.kind, claim.key[:KEY_LENGTH])
        return tunnel.place.value in chosen

    def _bind(self, claim: Claim) -> Tunnel:
        self._check_number(claim)
        self._check_scope(claim)
        self._check_allowed(claim)
        if claim.kind == "http":
            return self._bind_http(claim)
        if claim.kind in PORTS:
            return self._bind_port(claim, claim.kind.upper(), PORTS[claim.kind])
        if claim.kind == "tls":
            place, _ = self._tls_place(claim)
            return self._wanted(place, claim, "name-taken", f"the TLS name {place.value} is taken")
        raise Refused("bad-kind", f"this relay has no tunnels of kind {claim.kind[:80]!a}")

    def _check_number(self, claim: Claim) -> None:
        if claim.tunnel < 1:
            raise Refused("bad-number", "a tunnel's number is 1 or more")
        if len(self.tunnels) + len(self.visits) >= self._limits.tunnels:
            raise Refused("too-many-tunnels", f"one client may have {self._limits.tunnels} tunnels")

    def _check_scope(self, claim: Claim) -> None:
        """Whether the token may have this. Raises Refused, which names the rule."""
        if self._scope is not None:
            self._scope.check_claim(
                claim.kind,
                name=canonical(claim.name),
                host=canonical(claim.host),
                port=claim.port,
                held=sum(len(claims.tunnels) for claims in self._table.scoped[self._owner.token]),
                private="private" in claim.access,
                sharing=claim.share,
            )

    def _check_allowed(self, claim: Claim) -> None:
        port = str(claim.port) if claim.kind in PORTS and claim.port else ""
        wanted = {"name": canonical(claim.name), "host": canonical(claim.host), PORTS.get(claim.kind, "port"): port}
        places = [Place(kind, value) for kind, value in wanted.items() if value]
        if claim.kind == "tls":
            places = [self._tls_place(claim)[1]]
        for place in places:
            if self._forbidden(place):
                raise Refused("forbidden-name", f"nobody gets the {place.kind} {place.value[:80]!a} here")
            self.title.check(place)

    def _forbidden(self, place: Place) -> bool:
        return place.kind not in PORTS.values() and any(
            fnmatchcase(place.value, pattern) for pattern in self._limits.forbidden
        )

    def _allowed(self, place: Place) -> bool:
        """Whether the place is one that the relay gives by itself, and gives to this token."""
        if self._forbidden(place) or self.title.anothers(place):
            return False
        scoped = {} if self._scope is None else {"port": self._scope.tcp_ports, "udp": self._scope.udp_ports}
        ranges = scoped.get(place.kind)
        return ranges is None or any(int(place.value) in ports for ports in ranges)

    def _bind_http(self, claim: Claim) -> Tunnel:
        if claim.share and not (claim.name or claim.host):
            raise Refused("bad-name", "ask for the name or host that is to be shared")
        if claim.name and claim.host:
            raise Refused("bad-name", "ask for a name or for a host, not for both")
        if claim.host:
            host = check_host(claim.host, self._addresses.domain)
            return self._wanted(Place("host", host), claim, "host-taken", f"the host {host} is taken")
        if claim.name:
            name = check_name(claim.name)
            return self._wanted(Place("name", name), claim, "name-taken", f"the name {name} is taken")
        key = claim.key[:KEY_LENGTH]
        place = next(place for place in self._choices("name", key, candidates(self._owner.client, key)))
        return self._take(place, claim, key)

    def _named(self, claim: Claim) -> Claim:
        """A TLS tunnel's host below our domain is a name, for whoever judges it."""
        domain, host = f".{self._addresses.domain}", canonical(claim.host)
        if claim.kind != "tls" or not host.endswith(domain):
            return claim
        if claim.name:
            raise Refused("bad-name", "ask for the name or for the host of a TLS tunnel")
        return attrs.evolve(claim, name=host.removesuffix(domain), host="")

    def _tls_place(self, claim: Claim) -> tuple[Place, Place]:
        """Where a TLS tunnel is to stand, and where one for HTTP would stand under the same host name."""
        if bool(claim.name) == bool(claim.host):
            raise Refused("bad-name", "ask for the name or for the host of a TLS tunnel")
        if claim.name:
            name = check_name(claim.name)
            return Place("tls", self._addresses.name_host(name)), Place("name", name)
        host = check_host(claim.host, self._addresses.domain)
        return Place("tls", host), Place("host", host)

    def _ports(self, place_kind: str) -> range:
        return self._limits.ports if place_kind == "port" else self._limits.udp_ports

    def _bind_port(self, claim: Claim, kind: str, place_kind: str) -> Tunnel:
        ports = self._ports(place_kind)
        if not ports:
            raise Refused("bad-kind", f"this relay has no {kind} ports to give")
        if claim.share and not claim.port:
            raise Refused("bad-name", f"ask for the {kind} port that is to be shared")
        if claim.port:
            if claim.port not in ports:
                raise Refused("port-out-of-range", f"this relay gives {kind} ports {ports[0]} to {ports[-1]} only")
            taken = f"the {kind} port {claim.port} is taken"
            return self._wanted(Place(place_kind, str(claim.port)), claim, "port-taken", taken)
        key = claim.key[:KEY_LENGTH]
        for place in self._choices(place_kind, key, map(str, ports)):
            try:
                return self._take(place, claim, key)
            except Refused as error:
                if error.reason != "port-unavailable":
                    raise
        raise Refused("no-free-port", f"no {kind} port of the relay is free", retry=True, after=self._limits.after)

    def _wanted(self, place: Place, claim: Claim, reason: str, text: str) -> Tunnel:
        tunnel = self._table.at(place)
        if tunnel is not None and tunnel.servers and claim.share and tunnel.manner.share:
            if self._table.reservations.owner_of(place) != self._owner.together:
                raise Refused(reason, text)
            self._check_share(tunnel, self._manner(claim))
        elif not self._free(place, claim.share):
            raise Refused(reason, text)
        return self._take(place, claim, "")

    def _check_share(self, tunnel: Tunnel, manner: Manner) -> None:
        """Whether this client may serve the tunnel beside others. Raises Refused."""
        if tunnel.manner != manner:
            raise Refused("share-mismatch", f"who shares {tunnel.name} does so with other options of the tunnel")
        if len(tunnel.servers) >= tunnel.servers.limits.servers:
            raise Refused(
                "too-many-servers",
                f"{tunnel.name} is shared by as many clients as a name may have",
                retry=True,
                after=self._limits.after,
            )

    def _choices(self, kind: str, key: str, values: Iterable[str]) -> Iterator[Place]:
        """Free places for a client that named none: first what it had for this target before."""
        reservations = self._table.reservations
        for value in reservations.made_for(self._owner, kind, key):
            place = Place(kind, value)
            if (
                self._free(place, False)
                and self._allowed(place)
                and (kind not in PORTS.values() or int(value) in self._ports(kind))
            ):
                yield place
        for value in values:
            place = Place(kind, value)
            if reservations.owner_of(place) is None and self._allowed(place) and self._undisputed(place):
                yield place

    def _free(self, place: Place, share: bool) -> bool:
        """Whether nobody else owns the place, and no tunnel is served there now."""
        tunnel = self._table.at(place)
        if (tunnel is not None and tunnel.servers) or not self._undisputed(place):
            return False
        return self._table.reservations.free_for(place, self._owner, share=share)

    def _undisputed(self, place: Place) -> bool:
        """Whether nobody else has the same host name for another kind of tunnel."""
        domain = f".{self._addresses.domain}"
        other = {
            "name": Place("tls", place.value + domain),
            "host": Place("tls", place.value),
            "tls": Place("name", place.value.removesuffix(domain))
            if place.value.endswith(domain)
            else Place("host", place.value),
        }.get(place.kind)
        owner = None if other is None else self._table.reservations.owner_of(other)
        return owner in (None, self._owner, self._owner.together)

    def _take(self, place: Place, claim: Claim, key: str) -> Tunnel:
        return self._table.claim(place, self._owner, self._session, claim.tunnel, key=key, manner=self._manner(claim))

    def _manner(self, claim: Claim) -> Manner:
        return attrs.evolve(manner_of(claim), access=self._table.guards.check(claim.kind, self._access(claim)))

    def _access(self, claim: Claim) -> dict[str, Any]:
        """The rules that are asked for; whose links open a private tunnel, and what a token may take, we say."""
        if TOKEN_RULE in claim.access:
            raise Refused("bad-access", f"{TOKEN_RULE}: it is not yours to say")
        access = dict(claim.access)
        if self._scope is not None:
            access.update(self._scope.access)
        if self._scope is not None and self._scope.limits:
            access[TOKEN_RULE] = {"token": self._owner.token, **self._scope.limits}
        if "private" not in access:
            return access
        if access["private"] is not True:
            raise Refused("bad-access", "private: it must be true")
        return {**access, "private": {"owner": self.title.holder}}

    def _url(self, tunnel: Tunnel) -> str:
        urls: dict[str, Callable[[str], str]] = {
            "name": self._addresses.name_url,
            "host": self._addresses.host_url,
            "port": self._addresses.tcp_url,
            "tls": self._addresses.tls_url,
            "udp": self._addresses.udp_url,
        }
        return urls[tunnel.place.kind](tunnel.name)

    _REACT: dict[type[Any], Callable[[Claims, Any], None]] = {  # noqa: RUF012
        Claim: _claim,
        Release: _release,
        Share: _share,
        Notice: _notice,
    }
