"""Who serves a tunnel: sessions of clients, each under the number that the client has given it."""

from __future__ import annotations

from collections.abc import Iterator

from egtunnel.session.session import Session

__all__ = ["Server", "Servers"]


class Server:
    """A session that serves a tunnel, under the client's ``number``; ``client`` is its id, for the log."""

    __slots__ = ("client", "number", "session")

    def __init__(self, session: Session, number: int, client: str) -> None:
        self.session = session
        self.number = number
        self.client = client

    @property
    def online(self) -> bool:
        """Whether a channel could be opened now: its session has a link."""
        return self.session.online


class Servers:
    """The servers of one tunnel; as a rule there is one, and none while its client is away."""

    __slots__ = ("_servers",)

    def __init__(self) -> None:
        self._servers: list[Server] = []

    def __iter__(self) -> Iterator[Server]:
        return iter(list(self._servers))

    def __len__(self) -> int:
        return len(self._servers)

    def add(self, server: Server) -> None:
        """It serves from now on."""
        self._servers.append(server)

    def find(self, session: Session, number: int) -> Server | None:
        """The server that this session is under this number."""
        return next((each for each in self._servers if each.session is session and each.number == number), None)

    def remove(self, server: Server) -> None:
        """It gets no more visitors; those it has stay."""
        self._servers.remove(server)

    def clear(self) -> None:
        """Nobody serves any more."""
        for server in list(self._servers):
            self.remove(server)

    def choose(self) -> Server | None:
        """Who is to serve the next visitor; None: nobody is there."""
        return next((each for each in self._servers if each.online), None)
