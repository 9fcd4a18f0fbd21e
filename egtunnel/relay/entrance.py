"""How visitors come in: the front door, TLS, HTTP and its log, made of the settings and changed with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.internet.interfaces import IProtocol, IProtocolFactory

from egtunnel.ingress.front.door import FrontDoor
from egtunnel.ingress.http.access_log import AccessLog, open_access_log
from egtunnel.ingress.http.error_pages import ErrorPages
from egtunnel.ingress.http.ingress import HTTPIngress, SiteSettings
from egtunnel.ingress.peer import Peer
from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.terminator import Terminator
from egtunnel.interfaces import ITunnel, ITunnels
from egtunnel.relay.settings import LogSettings, RelaySettings, TLSFiles
from egtunnel.relay.visitor_authorities import authority_of
from egtunnel.sharing.links import Links

__all__ = ["Entrance", "Prepared"]


@attrs.frozen
class Prepared:
    """What other settings need and what could fail; None where the same files are served and written on."""

    certificates: Certificates | None
    access_log: AccessLog | None


class Entrance:
    """The one entrance of all visitors that speak HTTP or TLS, on whichever port.

    :param links: gets the connections of clients that speak WebSocket.
    :param bare: makes the protocol of a client's bare link, from its address and whether it may come in as far as
        certificates go.
    :param shares: serves links; None: there are none.
    :param api: serves the API; None: nobody does.
    :ivar front: give it to every listening port.
    :raises ConfigurationError: the access log cannot be written.
    """

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        tunnels: ITunnels,
        links: IProtocolFactory,
        bare: Callable[[str, bool], IProtocol],
        *,
        say: Callable[[str], None],
        wall: Callable[[], float],
        shares: Links | None = None,
        api: ITunnel | None = None,
    ) -> None:
        self.settings = settings
        self._shares = shares
        self._api = api
        self._reactor = reactor
        self._say = say
        self._wall = wall
        self._bare = bare
        self._tunnels = tunnels
        self.access_log = self._opened(settings.access_log)
        self.http = self._http(tunnels, links)
        self.certificates = self._certificates_of(settings.tls) if settings.tls else None
        limits = settings.limits.tls
        self.terminator = Terminator(self.certificates, reactor, limits, tunnels.by_tls)
        self.front = self._front_door()

    def load(self) -> None:
        """Read the certificates, unless we have. Raises ConfigurationError."""
        if self.certificates is not None and not self.certificates.loaded:
            self.certificates.load()

    def start(self) -> None:
        """Look after the certificates from now on."""
        if self.certificates is not None:
            self.certificates.start()

    def stop(self) -> None:
        """End what is idle or has not shown what it is, close the log."""
        if self.certificates is not None:
            self.certificates.stop()
        self.front.close()
        self.http.close()
        if self.access_log is not None:
            self.access_log.close()

    # -- other settings while we run

    def prepare(self, settings: RelaySettings) -> Prepared:
        """Do all that may fail of a change. Raises ConfigurationError, and nothing has changed."""
        earlier, certificates = self.settings, None
        if settings.tls != earlier.tls:
            certificates = self._certificates_of(settings.tls)
            certificates.load()
        elif self.certificates is not None:
            self.certificates.check()
        same = settings.access_log == earlier.access_log
        return Prepared(certificates, None if same else self._opened(settings.access_log))

    def change(self, settings: RelaySettings, prepared: Prepared) -> None:
        """For the connections and requests that begin from now on."""
        self.settings = settings
        self._serve(prepared.certificates)
        self._write_to(prepared.access_log)
        self.http.change(settings.limits.http, self._site())
        self.front.change(settings.limits.front, settings.trusted)
        self.terminator.limits = settings.limits.tls

    def _serve(self, certificates: Certificates | None) -> None:
        if self.certificates is None:
            return
        if certificates is None:
            self.certificates.anew()
            return
        self.certificates.stop()
        self.certificates = self.terminator.certificates = certificates
        certificates.start()

    def _write_to(self, access_log: AccessLog | None) -> None:
        if access_log is None and self.settings.access_log.file is not None and self.access_log is not None:
            self.access_log.reopen()
            return
        if self.access_log is not None:
            self.access_log.close()
        self.access_log = access_log

    # -- what it is made of

    def _http(self, tunnels: ITunnels, links: IProtocolFactory) -> HTTPIngress:
        settings, addresses = self.settings, self.settings.addresses
        return HTTPIngress(
            tunnels,
            domain=addresses.domain,
            scheme=addresses.scheme,
            port=addresses.port,
            link_path=addresses.link_path,
            link_factory=links,
            clock=self._reactor,
            limits=settings.limits.http,
            settings=self._site(),
        )

    def _site(self) -> SiteSettings:
        settings = self.settings
        return SiteSettings(
            redirect=bool(settings.tls) and settings.redirect,
            client_line=settings.addresses.public_line(),
            access_log=self.access_log,
            error_pages=ErrorPages(settings.error_pages) if settings.error_pages else None,
            require_certificate=settings.tls.client_ca is not None,
            shares=None if self._shares is None else self._shares.way,
            api=self._api,
        )

    def _opened(self, log: LogSettings) -> AccessLog | None:
        return open_access_log(log.file, log.format, self._reactor, self._wall, self._say) if log.file else None

    def _front_door(self) -> FrontDoor:
        """Where there are no certificates, a relay that is HTTPS for the world stands behind a proxy that ends TLS."""
        settings = self.settings
        return FrontDoor(
            self.http,
            self._reactor,
            terminator=self.terminator,
            links=self._bare_link,
            trusted=settings.trusted,
            scheme="http" if settings.tls else settings.addresses.scheme,
            limits=settings.limits.front,
        )

    def _bare_link(self, peer: Peer) -> IProtocol:
        wanting = self.settings.tls.client_ca is not None and not peer.certified
        return self._bare(f"tcp{6 if ':' in peer.host else 4}:{peer.host}:{peer.port}", not wanting)

    def _certificates_of(self, tls: TLSFiles) -> Certificates:
        files = (tls.certificate, tls.key) if tls.certificate and tls.key else None
        return Certificates(
            self._reactor,
            self.settings.addresses.domain,
            files=files,
            folder=tls.folder,
            authority=tls.client_ca,
            visitors=partial(authority_of, self._tunnels, self.settings.addresses.domain),
            say=self._say,
            limits=self.settings.limits.tls,
        )
