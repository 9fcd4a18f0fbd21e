"""Certificates in files, and clients that shake hands in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from egtunnel.ingress.peer import Peer
from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.limits import TLSLimits
from egtunnel.ingress.tls.terminator import Terminator
from tests.client.certificates import Authority
from tests.ingress.http.world import Pipe


def write_pair(authority: Authority, certificate: Path, key: Path, *hosts: str, days: float = 1) -> None:
    """A certificate for these hosts, moved into place as a careful program does; ``key`` may be the same file."""
    pem, private = authority.pair(*hosts, days=days)
    for file, content in {certificate: pem, key: private}.items():
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_bytes(pem + private if certificate == key else content)
        fresh.chmod(0o600)
        fresh.rename(file)


class Within(Protocol):
    """What TLS carries: an echo that remembers."""

    def __init__(self, peer: Peer, protocol: bytes) -> None:
        self.peer = peer
        self.protocol = protocol
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if data.startswith(b"echo "):
            assert self.transport is not None
            self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Gate:
    """A terminator with certificates, and who came through it."""

    def __init__(self, certificates: Certificates, clock: Clock, **limits: Any) -> None:
        self.clock = clock
        self.terminator = Terminator(certificates, clock, TLSLimits(**limits))
        self.within: list[Within] = []

    def build(self, peer: Peer, protocol: bytes) -> Within:
        """The protocol within."""
        self.within.append(Within(peer, protocol))
        return self.within[-1]

    def arrive(self) -> Pipe | None:
        """A TCP connection that is about to speak TLS; None: it is turned away."""
        protocol: Any = self.terminator.begin(Peer("192.0.2.7", 4711), self.build)
        if protocol is None:
            return None
        pipe = Pipe(protocol)
        protocol.makeConnection(pipe)
        return pipe


class Visitor:
    """A TLS client in memory at one end of a pipe."""

    def __init__(
        self,
        pipe: Pipe,
        name: str = "",
        protocols: tuple[bytes, ...] = (),
        context: SSL.Context | None = None,
        session: Any = None,
    ) -> None:
        context = context or SSL.Context(SSL.TLS_CLIENT_METHOD)
        if protocols:
            context.set_alpn_protos(list(protocols))
        self.pipe = pipe
        self.tls: Any = SSL.Connection(context, None)
        if name:
            self.tls.set_tlsext_host_name(name.encode())
        if session is not None:
            self.tls.set_session(session)
        self.tls.set_connect_state()
        self.piece = 0
        """How many bytes leave at once; 0: all."""

    def shake_hands(self) -> Visitor:
        """Raises ``OpenSSL.SSL.Error`` with the alert that came instead."""
        for _ in range(20):
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self._cross()
            else:
                self._cross()
                return self
        raise AssertionError("the handshake does not end")

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.tls.send(data)
        self._cross()

    def hear(self) -> bytes:
        """The bytes that came."""
        self._cross()
        heard = b""
        while True:
            try:
                heard += self.tls.recv(65_536)
            except SSL.WantReadError:
                return heard

    def hear_end(self) -> None:
        """Let the close_notify cross, and answer what comes."""
        self._cross()

    def _cross(self) -> None:
        try:
            while not self.pipe.lost:
                data = self.tls.bio_read(65_536)
                size = self.piece or len(data)
                for start in range(0, len(data), size):
                    self.pipe.send(data[start : start + size])
        except SSL.WantReadError:
            pass
        data = self.pipe.take()
        if data:
            self.tls.bio_write(data)


def alert_of(error: SSL.Error) -> str:
    """What the other side said instead of shaking hands."""
    return " ".join(str(row) for row in error.args)
