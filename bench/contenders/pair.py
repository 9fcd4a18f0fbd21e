"""A contender made of one server and one client program: all peers but ``ssh`` have this shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import field, frozen

from bench.contenders.base import Ground, Running
from bench.program import find_program, running, wait_for_port
from bench.site import Site
from bench.version import first_line

__all__ = ["Launch", "Pair", "Setting"]


@frozen
class Setting:
    """What a peer's command lines are made from.

    :ivar control: the port on which its client finds its server
    :ivar public: the port for visitors
    :ivar secret: what client and server share, where the peer has such a thing
    """

    ground: Ground
    control: int
    public: int
    secret: str

    @property
    def upstream(self) -> str:
        return f"127.0.0.1:{self.ground.upstream_port}"

    def write(self, name: str, text: str) -> str:
        """Write a configuration file, readable by us alone, and return its path."""
        path = self.ground.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)


@frozen
class Launch:
    """How to start both ends; the first word of each command is looked up on the PATH.

    :ivar environment: added for both, so that no secret stands in a command line
    """

    server: list[str]
    client: list[str]
    site: Site
    environment: dict[str, str] = field(factory=dict)


@frozen
class Pair:
    """A peer, told by data and one function that makes its command lines.

    :ivar control: its control port where that cannot be chosen, else ``None``
    :ivar version_pattern: which line of the answer to ``version_command`` tells; by default the first
    """

    name: str
    encrypts: bool
    programs: tuple[str, ...]
    version_command: tuple[str, ...]
    launch: Callable[[Setting], Launch]
    control: int | None = None
    version_pattern: str = ""

    def version(self) -> str:
        return first_line(*self.version_command, pattern=self.version_pattern)

    @contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        control = self.control or ground.ports.take()
        setting = Setting(ground, control, ground.ports.take(), "a secret of this run only")
        launch = self.launch(setting)
        with running(f"{self.name}-server", _found(launch.server), ground.folder, launch.environment) as server:
            wait_for_port(control, server)
            with running(f"{self.name}-client", _found(launch.client), ground.folder, launch.environment) as client:
                yield Running(launch.site, (server,), (client,))


def _found(command: list[str]) -> list[str]:
    return [find_program(command[0]), *command[1:]]
