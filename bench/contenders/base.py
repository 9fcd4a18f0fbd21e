"""What every contender gives: a name, and a way to run it in front of the upstream."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from bench.ports import Ports
from bench.program import Program
from bench.site import Site

__all__ = ["Contender", "Ground", "Running"]


@frozen
class Ground:
    """What a contender may build on.

    :ivar upstream_port: nginx, on the loopback address
    :ivar folder: its own, empty, removed at the end
    """

    upstream_port: int
    folder: Path
    ports: Ports


@frozen
class Running:
    """A contender that serves.

    :ivar relay: the programs of the public side, for the account of processor and memory; children count with them
    :ivar client: the programs of the private side
    """

    site: Site
    relay: tuple[Program, ...] = field(default=())
    client: tuple[Program, ...] = field(default=())

    @property
    def relay_pids(self) -> list[int]:
        return [program.pid for program in self.relay]

    @property
    def client_pids(self) -> list[int]:
        return [program.pid for program in self.client]

    def check(self) -> None:
        """:raises DidNotStart: one of its programs has ended"""
        for program in (*self.relay, *self.client):
            program.check()


class Contender(Protocol):
    """One way to reach the upstream."""

    @property
    def name(self) -> str:
        """The name for ``--only`` and the JSON; never changes."""

    @property
    def encrypts(self) -> bool:
        """Whether the bytes between relay and client are encrypted, as it is run here."""

    @property
    def programs(self) -> tuple[str, ...]:
        """What must be on the PATH."""

    def version(self) -> str:
        """One line."""

    def run(self, ground: Ground) -> AbstractContextManager[Running]:
        """Start it; it serves once the block is entered, and is gone when the block is left.

        :raises DidNotStart: it does not serve
        """
