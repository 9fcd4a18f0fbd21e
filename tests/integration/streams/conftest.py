"""One relay for all tests of this folder, and tunnels to services made on the spot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.streams.talk import Serve, Share
from tests.integration.upstreams import Nginx, Upstream


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all these tests; its log is calm at the end."""
    running = Relay(tmp_path_factory.mktemp("streams"))
    try:
        yield running.ready()
        running.assert_calm()
    finally:
        running.end()


@pytest.fixture(scope="module")
def site(relay: Relay, nginx: Nginx) -> Iterator[str]:
    """The Host of a tunnel to nginx."""
    client = Client(relay, "--local", str(nginx.port), "--name", "site")
    try:
        client.url()
        yield relay.host("site")
        client.assert_calm()
    finally:
        client.end()


@pytest.fixture
def share(relay: Relay, connect: Callable[..., Client]) -> Iterator[Share]:
    """``share(serve)``: the Host of a tunnel to a service that does this with each connection."""
    with contextlib.ExitStack() as stack:

        def make(serve: Serve) -> str:
            service = stack.enter_context(Upstream(serve))
            client = connect("--local", str(service.port))
            stack.callback(client.assert_calm)
            return client.url().removeprefix("http://")

        yield make
