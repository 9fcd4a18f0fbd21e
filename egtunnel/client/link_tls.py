"""TLS of the link: whom to believe for the relay, what to show it, and what to say where one distrusts the other."""

from __future__ import annotations

from enum import Enum
from functools import partial

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from egtunnel.client.pem_files import OwnCertificate, authorities, doubts, own_certificate
from egtunnel.client.tls_faults import Fault, FaultKind, fault_in
from egtunnel.client.upstream_tls import TlsEndpoint, Verified, Wording
from egtunnel.errors import ConfigurationError, EgtunnelError, LinkLost, Refused
from egtunnel.interfaces import LINK_PROTOCOL

__all__ = ["LinkKind", "LinkTlsEndpoint", "RelayTls", "certificate_wanted", "link_kind", "lost_as", "verdict"]

WEBSOCKET = b"http/1.1"
"""A WebSocket is made over HTTP/1.1; a relay that is not told so may choose HTTP/2."""
CERTIFICATE_REQUIRED = "certificate-required"
"""The word of a relay that refuses a link for want of a certificate (docs/reference.md, "Errors")."""
AGAIN_AFTER = 30.0
"""Seconds until a relay that refused our certificate is asked again: only a person can have changed that."""


class LinkKind(Enum):
    """What ``--link`` asks for: AUTO is bare TLS where the far side of the TLS connection chooses it."""

    AUTO = "auto"
    TLS = "tls"
    WEBSOCKET = "websocket"


def link_kind(text: str) -> str:
    """Reads the value of a ``LinkKind``."""
    kinds = [kind.value for kind in LinkKind]
    if text not in kinds:
        raise ValueError(f"it must be one of {', '.join(kinds)}")
    return text


@attrs.frozen
class RelayTls:
    """The files of ``--ca``, ``--cert`` and ``--key``, "" is none; and what the two sides agree upon by ALPN.

    The files are read anew for each connection, so that a certificate can be renewed while the client runs.
    """

    authority: str = ""
    certificate: str = ""
    key: str = ""
    link: LinkKind = attrs.field(default=LinkKind.AUTO, kw_only=True)

    def creator(self, host: str) -> Verified:
        """TLS towards a relay of that host; raises ``ConfigurationError`` for files that are no good."""
        return Verified(
            host,
            self.wording(host),
            roots=authorities(self.authority, "--ca") if self.authority else None,
            own=self._own(),
            protocols=(WEBSOCKET,) if self.link is LinkKind.WEBSOCKET else (LINK_PROTOCOL, WEBSOCKET),
        )

    def wording(self, host: str) -> Wording:
        """What is said of faults."""
        return partial(link_fault, host=host, certified=bool(self.certificate))

    def doubts(self) -> list[str]:
        """What a person should know of the files, a line each."""
        return doubts(self.certificate, self.key) if self.certificate else []

    def _own(self) -> OwnCertificate | None:
        if self.key and not self.certificate:
            raise ConfigurationError(f"--key {self.key}: name the certificate that belongs to it with --cert FILE")
        return own_certificate(self.certificate, self.key) if self.certificate else None


@implementer(IStreamClientEndpoint)
class LinkTlsEndpoint:
    """An endpoint with TLS to the relay; raises ``ConfigurationError`` for files that are no good now."""

    def __init__(self, endpoint: IStreamClientEndpoint, host: str, tls: RelayTls) -> None:
        tls.creator(host)
        self._endpoint = endpoint
        self._host = host
        self._tls = tls

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        try:
            creator = self._tls.creator(self._host)
        except ConfigurationError as error:  # they were good once: perhaps they are being replaced just now
            return fail(LinkLost(error.text))
        return TlsEndpoint(self._endpoint, creator, self._tls.wording(self._host)).connect(factory)


def link_fault(fault: Fault, host: str, certified: bool) -> EgtunnelError:
    """The error that a fault of the link's TLS becomes. ``certified``: whether we have a certificate to show."""
    what = f"TLS: {fault.kind.value}" + (f" ({fault.more})" if fault.more else "")
    if fault.kind is FaultKind.OURS:
        return Refused("certificate-refused", f"{what}; {_OURS[certified]}", retry=True, after=AGAIN_AFTER)
    advice = _ADVICE.get(fault.kind, "")
    return LinkLost(what + (f"; {advice.format(host=host)}" if advice else ""))


def certificate_wanted(certified: bool, secure: bool) -> Refused:
    """The relay takes clients with a certificate only, and saw none. ``secure``: whether we came over TLS."""
    if certified and secure:
        text = "the relay saw no certificate of ours, though we have one: does a proxy in between end the TLS?"
        return Refused("certificate-required", text, retry=True, after=AGAIN_AFTER)
    what = "--cert FILE --key FILE" if secure else "a wss:// URL and --cert FILE --key FILE"
    text = f"the relay lets clients in by certificate only: give {what}, signed by the authority of its --client-ca"
    return Refused("certificate-required", text)


def lost_as(text: str, certified: bool) -> EgtunnelError:
    """The error of a link that did not come to be; the relay's verdict on our certificate may come that late."""
    fault = fault_in(text)
    return link_fault(fault, "", certified) if fault is not None and fault.kind is FaultKind.OURS else LinkLost(text)


def verdict(error: EgtunnelError, certified: bool, secure: bool) -> EgtunnelError:
    """What an error of the greeting means: the relay may judge our certificate as late as that."""
    if isinstance(error, Refused) and error.reason == CERTIFICATE_REQUIRED:
        return certificate_wanted(certified, secure)
    return lost_as(error.text, certified) if isinstance(error, LinkLost) else error


_OURS = {
    False: "the relay wants one: give --cert FILE --key FILE, signed by the authority of its --client-ca",
    True: "--cert must be in force and signed by the authority of the relay's --client-ca",
}
_ADVICE = {
    FaultKind.AUTHORITY: "if that is the relay's own authority, name its file with --ca FILE",
    FaultKind.EXPIRED: "it has to be renewed on the relay, or the clock of this machine is wrong",
    FaultKind.EARLY: "is the clock of this machine right?",
    FaultKind.NAME: "--relay must name the relay as its certificate does, not as {host}",
    FaultKind.NO_NAME: "is {host} the name of the relay?",
    FaultKind.PLAIN: "is the port right, or does this relay speak ws://?",
}
