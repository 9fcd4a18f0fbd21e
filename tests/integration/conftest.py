"""What integration tests share: a folder, daemons that are ended with the test, an nginx as upstream."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay
from tests.integration.papers import Papers
from tests.integration.secrecy import LEAKS
from tests.integration.upstreams import Nginx


@pytest.fixture(autouse=True)
def secrecy() -> Iterator[None]:
    """Nothing that a daemon of this test, or of one before, has written holds a secret."""
    yield
    found, LEAKS[:] = list(LEAKS), []
    assert not found, "secrets in logs:\n" + "\n".join(found)


@pytest.fixture(autouse=True, scope="session")
def secrecy_of_the_last() -> Iterator[None]:
    """The same for those that ended after the last test."""
    yield
    assert not LEAKS, "secrets in logs:\n" + "\n".join(LEAKS)


@pytest.fixture
def start() -> Iterator[Callable[[Daemon], Daemon]]:
    """``start(daemon)``: the daemon is ended with the test, whatever happens."""
    daemons: list[Daemon] = []

    def keep(daemon: Daemon) -> Daemon:
        daemons.append(daemon)
        return daemon

    yield keep
    for daemon in reversed(daemons):
        daemon.end()


@pytest.fixture
def relay(tmp_path: Path, start: Callable[[Daemon], Daemon]) -> Relay:
    """A relay on loopback with a short hold and a few TCP ports."""
    running = Relay(tmp_path, "--tcp-ports", "23000-23099", "--hold", "5")
    start(running)
    return running.ready()


@pytest.fixture
def connect(relay: Relay, start: Callable[[Daemon], Daemon]) -> Callable[..., Client]:
    """``connect("--local", "8080", ...)``: a client of ``relay`` that is ended with the test."""

    def run(*options: str) -> Client:
        client = Client(relay, *options)
        start(client)
        return client

    return run


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    """An authority, and a relay's certificate for ``relay.example`` and the names below it."""
    return Papers(tmp_path)


@pytest.fixture
def start_secure(tmp_path: Path, papers: Papers, start: Callable[[Daemon], Daemon]) -> Callable[..., SecureRelay]:
    """``start_secure(*options, port=...)``: a relay on loopback that ends TLS itself, ended with the test."""

    def run(*options: str, port: int = 0) -> SecureRelay:
        more = [*papers.relay_options, "--tcp-ports", "23800-23899", *options]
        relay = SecureRelay(tmp_path, papers.domain, papers.ca, *more, port=port)
        start(relay)
        relay.ready()
        return relay

    return run


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One nginx for the whole run, with files, uploads and a small answer."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    yield server
    server.end()
