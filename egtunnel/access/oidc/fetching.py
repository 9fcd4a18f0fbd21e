"""JSON documents of providers: over TLS from the internet, bounded in size and time, and from nowhere within."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs
from twisted.internet import error as network_errors
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, FileBodyProducer, ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from egtunnel.access.oidc.addresses import reachable
from egtunnel.access.oidc.errors import FetchError
from egtunnel.access.oidc.limits import LoginLimits

__all__ = ["Fetched", "Fetching", "IFetching", "check_url"]

LONGEST = 2_048
IFetching = Callable[..., Deferred["Fetched"]]
"""``fetch(url, form=None, authorization=b"")``."""


@attrs.frozen
class Fetched:
    """An answer: its status, and what its body says as JSON (None: it is none)."""

    status: int
    value: Any = attrs.field(repr=False)


def check_url(url: Any) -> str:
    """A URL that could be fetched, or a browser be sent to. Raises ValueError."""
    if not isinstance(url, str) or len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not a URL")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("not a URL")
    if parts.port == 0 or set(url) & set('\\"<>^`{|}'):
        raise ValueError("not a URL")
    return url


class Fetching:
    """Fetches for all tunnels of a relay.

    :param allowed: says of an address whether the relay's owner lets clients have it asked, also without TLS.
    """

    def __init__(self, reactor: Any, allowed: Callable[[str], bool], limits: LoginLimits) -> None:
        self._reactor = reactor
        self._limits = limits
        self._agent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, allowed))

    def __call__(self, url: str, form: dict[str, str] | None = None, authorization: bytes = b"") -> Deferred[Fetched]:
        """GET, or POST of a form. Fails with FetchError, which repeats nothing of form or answer."""
        headers = Headers({b"accept": [b"application/json"], b"user-agent": [b"egtunnel"]})
        if authorization:
            headers.addRawHeader(b"authorization", authorization)
        body = None
        if form is not None:
            headers.addRawHeader(b"content-type", b"application/x-www-form-urlencoded")
            body = FileBodyProducer(BytesIO(urlencode(form).encode("ascii")))
        try:
            place = check_url(url).encode("ascii")
            asked: Deferred[Any] = self._agent.request(b"GET" if form is None else b"POST", place, headers, body)
        except Exception as error:  # noqa: BLE001  (a URL that check_url does not know to be wrong)
            return fail(FetchError(f"cannot fetch {str(url)[:200]!a}: {type(error).__name__}"))
        asked.addCallback(self._read).addTimeout(self._limits.fetch_wait, self._reactor)
        return asked.addErrback(_failed, urlsplit(url).netloc)

    def _read(self, response: Any) -> Deferred[Fetched]:
        body = _Body(response.code, self._limits.fetch)
        response.deliverBody(body)
        return body.whole


def _failed(reason: Failure, place: str) -> Failure:
    if reason.check(CancelledError):
        return reason
    inner = reason.value
    while isinstance(inner, ResponseFailed | ResponseNeverReceived) and inner.reasons:
        inner = inner.reasons[0].value
    text = inner.text if isinstance(inner, FetchError) else f"{type(inner).__name__}"
    return Failure(FetchError(f"{place[:200]}: {text}"))


class _Body(Protocol):
    """Collects an answer, up to a limit."""

    def __init__(self, status: int, most: int) -> None:
        self.whole: Deferred[Fetched] = Deferred(self._cancel)
        self._status = status
        self._left = most
        self._pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """More of it."""
        self._left -= len(data)
        if self._left < 0:
            self._over(FetchError("the answer is too large"))
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All of it, or the connection broke."""
        if self.whole.called:
            return
        if not reason.check(ResponseDone, network_errors.ConnectionDone, PotentialDataLoss):
            self._over(FetchError("the answer broke off"))
            return
        try:
            value = json.loads(b"".join(self._pieces))
        except (ValueError, RecursionError):
            value = None
        self.whole.callback(Fetched(self._status, value))

    def _over(self, error: FetchError) -> None:
        if not self.whole.called:
            self.whole.errback(error)
        self._cancel(self.whole)

    def _cancel(self, _: object) -> None:
        self._pieces.clear()
        transport: Any = self.transport
        if transport is not None:
            getattr(transport, "abortConnection", transport.loseConnection)()


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Connections to addresses that may be reached, with TLS unless the owner allows the address itself."""

    def __init__(self, reactor: Any, allowed: Callable[[str], bool]) -> None:
        self._reactor = reactor
        self._allowed = allowed

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint of an ``https`` or ``http`` URI."""
        secure = uri.scheme == b"https"
        host = uri.host.decode("ascii")
        plain = HostnameEndpoint(_Choosing(self._reactor, self._allowed, public=secure), host, uri.port)
        return wrapClientTLS(optionsForClientTLS(host), plain) if secure else plain


@implementer(IReactorPluggableNameResolver)
class _Choosing:
    """The reactor, resolving names to addresses that may be reached; what was looked at is what is connected to."""

    def __init__(self, reactor: Any, allowed: Callable[[str], bool], *, public: bool) -> None:
        self._reactor = reactor
        self.nameResolver = _Resolver(reactor.nameResolver, lambda host: reachable(host, allowed, public=public))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Not for us to do."""
        raise NotImplementedError


@implementer(IHostnameResolver)
class _Resolver:
    def __init__(self, resolver: Any, good: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._good = good

    def resolveHostName(self, resolutionReceiver: Any, *arguments: Any, **more: Any) -> Any:
        """As the reactor's own, without the addresses that may not be reached."""
        return self._resolver.resolveHostName(_Receiver(resolutionReceiver, self._good), *arguments, **more)


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, receiver: Any, good: Callable[[str], bool]) -> None:
        self.resolutionBegan = receiver.resolutionBegan
        self.resolutionComplete = receiver.resolutionComplete
        self._receiver = receiver
        self._good = good

    def addressResolved(self, address: Any) -> None:
        """Passed on if it is a good one."""
        if self._good(address.host):
            self._receiver.addressResolved(address)
