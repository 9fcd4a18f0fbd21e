"""What the relay fetches for a rule from an address that a client named: bounded, and from where it may look only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from egtunnel.access.destinations import Networks, Resolving, allowed
from egtunnel.access.limits import AccessLimits
from egtunnel.errors import EgtunnelError
from egtunnel.guard import AccessError

__all__ = ["FetchError", "FetchRefused", "Fetcher", "check_url"]

LONGEST_URL = 1_024
OK = 200
NO_ANSWER = "cannot be fetched"


class FetchError(EgtunnelError):
    """The document cannot be had; where it should be may be within our own network, so that no more is said."""

    word = "fetch-failed"


class FetchRefused(FetchError):
    """Whoever has the document says that we are wrong (4xx)."""


def check_url(rule: str, url: Any) -> str:
    """An address of a claim. Raises AccessError for what can be none: ``https`` only, or ``http`` to a literal address.

    Whether it may be fetched from there is seen when it is connected to.
    """
    if not isinstance(url, str) or len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise AccessError(f"{rule}: an address is at most {LONGEST_URL} characters of ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AccessError(f"{rule}: {url[:80]!a} is no address") from None
    if not parts.hostname or parts.username or parts.fragment or port == 0:
        raise AccessError(f"{rule}: {url[:80]!a} is no address such as https://login.example.com/keys")
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return url
    raise AccessError(f"{rule}: {url[:80]!a} has to begin with https://")


class Fetcher:
    """Fetches JSON objects from public addresses, and from the ``networks`` that the relay's owner named besides."""

    def __init__(self, reactor: Any, limits: AccessLimits, networks: Networks = ()) -> None:
        self._reactor = reactor
        self._limits = limits
        endpoints = _Endpoints(reactor, networks, limits.fetch_wait)
        pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = Agent.usingEndpointFactory(reactor, endpoints, pool)

    def get(self, url: str) -> Deferred[dict[str, Any]]:
        """The object at an address; fails with FetchError."""
        return self.ask(b"GET", url)

    def ask(
        self, method: bytes, url: str, fields: Sequence[tuple[bytes, bytes]] = (), body: bytes | None = None
    ) -> Deferred[dict[str, Any]]:
        """The object that answers a request; fails with FetchError, also if the answer is no success."""
        headers = Headers({b"Accept": [b"application/json"], b"User-Agent": [b"egrelay"]})
        for name, value in fields:
            headers.addRawHeader(name, value)
        try:
            asked = self._agent.request(method, url.encode("ascii"), headers, None if body is None else _Body(body))
        except Exception:  # noqa: BLE001 - whatever Agent thinks of the address
            return fail(FetchError(NO_ANSWER))
        read: Deferred[bytes] = asked.addCallback(self._answered)
        read.addTimeout(self._limits.fetch_wait, self._reactor)
        return read.addCallbacks(_object, _failed)

    def _answered(self, response: Any) -> Deferred[bytes]:
        good = response.code == OK
        collector = _Collector(self._limits.fetch if good else 0)
        response.deliverBody(collector)
        if good:
            return collector.whole
        collector.whole.addErrback(lambda reason: None)
        raise (FetchRefused if 400 <= response.code < 500 else FetchError)(f"was answered with {response.code}")


class _Collector(Protocol):
    """Collects a body up to a size."""

    def __init__(self, most: int) -> None:
        self.whole: Deferred[bytes] = Deferred(self._abort)
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """A piece of it."""
        self._size += len(data)
        self._pieces.append(data)
        if self._size > self._most:
            self._pieces.clear()
            self._abort(None)

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """The end of it."""
        if self.whole.called:
            return
        if self._size > self._most:
            self.whole.errback(FetchError("is too large"))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(FetchError("was cut"))

    def _abort(self, cancelled: object) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


@implementer(IBodyProducer)
class _Body:
    """The bytes of a request."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """All at once: they are few."""
        consumer.write(self._body)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """There is nothing more."""

    def resumeProducing(self) -> None:
        """There is nothing more."""

    def stopProducing(self) -> None:
        """There is nothing more."""


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Ways to an address, checked below TLS: nothing is connected to where it must not."""

    def __init__(self, reactor: Any, networks: Networks, wait: float) -> None:
        self._reactor = reactor
        self._networks = networks
        self._wait = wait
        self._policy: Any = None

    def endpointForURI(self, uri: URI) -> Any:
        """The way to a URI."""
        resolving: Any = Resolving(self._reactor, self._networks)
        checked: Any = _Checked(HostnameEndpoint(resolving, uri.host, uri.port, timeout=self._wait), self._networks)
        if uri.scheme == b"http":
            return checked
        if self._policy is None:
            self._policy = BrowserLikePolicyForHTTPS()
        return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), checked)


@implementer(IStreamClientEndpoint)
class _Checked:
    def __init__(self, endpoint: HostnameEndpoint, networks: Networks) -> None:
        self._endpoint = endpoint
        self._networks = networks

    def connect(self, factory: Any) -> Deferred[Any]:
        return self._endpoint.connect(_Gate(factory, self._networks))


@implementer(IProtocolFactory)
class _Gate:
    """A factory that builds nothing for an address that is not to be talked to: the connection is closed."""

    noisy = False

    def __init__(self, factory: Any, networks: Networks) -> None:
        self._factory = factory
        self._networks = networks

    def buildProtocol(self, address: Any) -> Any:
        """By where the name led."""
        return self._factory.buildProtocol(address) if allowed(str(address.host), self._networks) else None

    def doStart(self) -> None:
        """Begin."""
        self._factory.doStart()

    def doStop(self) -> None:
        """End."""
        self._factory.doStop()


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FetchError("is no JSON object")
    return value


def _failed(reason: Failure) -> Any:
    return reason if reason.check(FetchError) else Failure(FetchError(NO_ANSWER))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
