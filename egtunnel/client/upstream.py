"""Reach the local service: endpoints that try, give up in time and say why in errors of egtunnel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

import attrs
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error as twisted_errors
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.tls_faults import openssl_words
from egtunnel.eager import tune
from egtunnel.eager_dial import at_once
from egtunnel.errors import EgtunnelError, UpstreamRefused, UpstreamSlow

__all__ = ["InTurn", "Upstream", "UpstreamLimits", "host_endpoint", "reach", "why"]

LOOPBACK = ("127.0.0.1", "::1")


@attrs.frozen
class UpstreamLimits:
    """``dial``: seconds until a local service must have taken the connection, TLS handshake included."""

    dial: float = 10.0


def host_endpoint(reactor: Any, host: str, port: int, source: str = "") -> IStreamClientEndpoint:
    """An endpoint for an address or a name; an address needs no resolver, which costs a thread for each connection."""
    bound: Any = (source, 0) if source else None
    try:
        address = ip_address(host)
    except ValueError:
        return HostnameEndpoint(reactor, host, port, bindAddress=bound)
    kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
    no_timer: Any = None  # ``Upstream`` keeps the time
    endpoint = kind(reactor, host, port, timeout=no_timer, bindAddress=bound)
    return endpoint if bound else at_once(reactor, host, port, endpoint)


def reach(reactor: Any, host: str, port: int, source: str = "") -> IStreamClientEndpoint:
    """An endpoint for a host; "localhost" and names below it are this machine, whatever a resolver says."""
    if host == "localhost" or host.endswith(".localhost"):
        return InTurn([host_endpoint(reactor, address, port, source) for address in LOOPBACK])
    return host_endpoint(reactor, host, port, source)


@implementer(IStreamClientEndpoint)
class InTurn:
    """Tries endpoints one after the other: a server on "localhost" may listen on one of its two addresses only."""

    def __init__(self, endpoints: Sequence[IStreamClientEndpoint]) -> None:
        self._endpoints = endpoints

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._connect(factory, 0)

    def _connect(self, factory: IProtocolFactory, turn: int) -> Deferred[IProtocol]:
        dialing: Deferred[IProtocol] = self._endpoints[turn].connect(factory)
        if turn + 1 == len(self._endpoints):
            return dialing

        def failed(reason: Failure) -> Deferred[IProtocol]:
            reason.trap(twisted_errors.ConnectError)
            return self._connect(factory, turn + 1)

        return dialing.addErrback(failed)


@implementer(IStreamClientEndpoint)
class Upstream:
    """An endpoint that keeps the time of a dial and fails with ``UpstreamRefused`` or ``UpstreamSlow``.

    Cancelling the dial fails it with ``CancelledError``, whatever the endpoint beneath makes of that.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, clock: Any, limits: UpstreamLimits) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._limits = limits

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        ended: list[Exception] = []

        def end(error: Exception) -> None:
            ended.append(error)
            dialing.cancel()
            if not dialed.called:
                dialed.errback(error)  # an endpoint that cannot stop; its connection is dropped when it comes

        def connected(protocol: Any) -> None:
            stop_timer()
            if dialed.called:
                protocol.transport.abortConnection()
                return
            dialed.callback(tuned(protocol))

        def failed(reason: Failure) -> None:
            stop_timer()
            if not dialed.called:
                dialed.errback(Failure(ended[0] if ended else why(reason)))

        def stop_timer() -> None:
            if timer.active():
                timer.cancel()

        dialing = self._endpoint.connect(factory)
        if dialing.called and not isinstance(dialing.result, (Failure, Deferred)):
            return dialing.addCallback(tuned)
        dialed: Deferred[IProtocol] = Deferred(lambda _: end(CancelledError()))
        seconds = self._limits.dial
        timer = self._clock.callLater(seconds, end, UpstreamSlow(f"no connection within {seconds:g} seconds"))
        dialing.addCallbacks(connected, failed)
        return dialed


def tuned(protocol: Any) -> Any:
    """The protocol, once its transport is."""
    tune(protocol.transport)
    return protocol


def why(reason: Failure) -> EgtunnelError:
    """The error of egtunnel for a dial that failed; its text names no local address, since visitors see it."""
    value = reason.value
    if isinstance(value, EgtunnelError):
        return value
    if isinstance(value, twisted_errors.TimeoutError):
        return UpstreamSlow("the connection timed out")
    return UpstreamRefused(_words(value))


def _words(value: BaseException | None) -> str:
    if isinstance(value, twisted_errors.ConnectionRefusedError):
        return "connection refused"
    if isinstance(value, twisted_errors.DNSLookupError):
        return "the host name was not found"
    if isinstance(value, VerificationError):  # of Twisted's own TLS endpoints
        return "TLS: the certificate is for another name"
    if isinstance(value, SSL.Error):
        return f"TLS: {openssl_words(value)}"
    if isinstance(value, (twisted_errors.ConnectionDone, twisted_errors.ConnectionLost)):
        return "connection closed during the TLS handshake"
    if isinstance(value, twisted_errors.ConnectError) and isinstance(value.osError, int):
        return os.strerror(value.osError).lower()
    return str(value) or type(value).__name__
