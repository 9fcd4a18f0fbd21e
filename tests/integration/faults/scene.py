"""What faults happen to: a relay, a client with tunnels to services of every kind, and the link between them.

Visitors find everything on loopback (``Doors``), whether the relay is there or in a network of its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Self

import attrs

from tests.integration.daemons import Client, Daemon, Relay, free_port, listening, until
from tests.integration.faults.breaker import Breaker
from tests.integration.faults.network import FaultyNetwork
from tests.integration.faults.services import Pages, Raw, websocket
from tests.integration.namespaces import FAR
from tests.integration.papers import Papers
from tests.integration.programs import program, run
from tests.integration.rawlink import token_of
from tests.integration.transfers import WebService
from tests.integration.upstreams import Upstream

__all__ = ["Doors", "Scene"]

ROOT_ONLY = "/run/sshd"


@attrs.frozen
class Doors:
    """Where visitors go: ports of loopback. ``key``: the file that opens the SSH account."""

    http: int
    raw: int
    ssh: int
    key: Path
    relay: int

    def host(self, name: str) -> str:
        """The Host header of an HTTP tunnel: ``web``, ``ws``, ``rpc``."""
        return f"{name}.localhost:{self.relay}"


class Services:
    """Everything that is served, on loopback."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        from tests.integration.grpc_service import Service

        self._raw = Raw()
        self.web = stack.enter_context(WebService(Pages)).port
        self.raw = stack.enter_context(Upstream(self._raw)).port
        self.ws = stack.enter_context(Upstream(websocket)).port
        self.rpc = stack.enter_context(Service()).port
        self.ssh = self._sshd(folder, stack)

    def _sshd(self, folder: Path, stack: contextlib.ExitStack) -> int:
        if os.geteuid() == 0:
            Path(ROOT_ONLY).mkdir(exist_ok=True)  # sshd drops its rights into this folder
        for name in ("host", "user"):
            run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)])
        port = free_port()
        config = folder / "sshd_config"
        config.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        sshd = Daemon([program("sshd"), "-D", "-e", "-f", str(config)], folder)
        stack.callback(sshd.end)
        listening(port)
        return port

    def heard_short(self) -> list[str]:
        """Orderly ends in the middle that a service was told of since this was asked the last time."""
        heard, self._raw.short = self._raw.short, []
        return heard

    @property
    def ports(self) -> list[int]:
        """All of them."""
        return [self.web, self.raw, self.ws, self.rpc, self.ssh]


class Scene:
    """A relay and its client; to be used with ``with``.

    Without ``network`` the link goes through ``breaker``, all on loopback; where there are ``papers`` it is bare TLS.
    With it, client and relay are two machines of that network, and the link is an ordinary connection between them.
    """

    def __init__(
        self,
        folder: Path,
        network: FaultyNetwork | None = None,
        relay_options: tuple[str, ...] = (),
        client_options: tuple[str, ...] = (),
        papers: Papers | None = None,
    ) -> None:
        self.folder = folder
        self.network = network
        self.breaker: Breaker | None = None
        self._scheme = "ws" if papers is None else "wss"
        if papers is not None:
            tls = ("--tls-cert", str(papers.cert), "--tls-key", str(papers.key), "--plain-http", "serve")
            relay_options = (*relay_options, *tls)
            client_options = (*client_options, "--ca", str(papers.ca), "--link", "tls")
        self._relay_options = relay_options
        self._client_options = client_options
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._stack.close)
            self.services = Services(self.folder, self._stack)
            self._build()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _build(self) -> None:
        self._config()
        self._stack.callback(self._end_daemons)
        self.relay = self._start_relay(0)
        if self.network is None:
            self.breaker = self._stack.enter_context(Breaker(("127.0.0.1", self.relay.port)))
        else:
            for port in self.services.ports:
                self._lead(("127.0.0.1", port), port=port, listen_in=self.network.near)
        self.client = self._start_client()
        tcp = [int(self.client.wait_for(rf"^tcp://\S+:(\d+) -> \S*\b{port}$").group(1)) for port in self._tcp_services]
        http, raw, ssh = map(self._door, (self.relay.port, *tcp))
        self.doors = Doors(http, raw, ssh, self.folder / "user", self.relay.port)

    def _end_daemons(self) -> None:
        """Those there are by then; not those of the beginning."""
        for daemon in (getattr(self, "client", None), getattr(self, "relay", None)):
            if daemon is not None:
                daemon.end()

    @property
    def _tcp_services(self) -> list[int]:
        return [self.services.raw, self.services.ssh]

    def _config(self) -> None:
        services = self.services
        tables = [
            f'local = "{services.web}"\nname = "web"',
            f'local = "{services.ws}"\nname = "ws"',
            f'local = "h2c://127.0.0.1:{services.rpc}"\nname = "rpc"',
            *(f'local = "{port}"\ntcp = 0' for port in self._tcp_services),
        ]
        (self.folder / "tunnels.toml").write_text("".join(f"[[tunnel]]\n{table}\n" for table in tables))

    def _lead(self, target: tuple[str, int], port: int = 0, listen_in: str = "", connect_in: str = "") -> int:
        way = Breaker(target, port=port, listen_in=listen_in, connect_in=connect_in)
        return self._stack.enter_context(way).port

    def _door(self, port: int) -> int:
        """A port of loopback that leads to a port of the relay."""
        return port if self.network is None else self._lead((FAR, port), connect_in=self.network.far)

    def _start_relay(self, port: int) -> Relay:
        options = ["--tcp-ports", "24600-24619", *self._relay_options]
        if self.network is None:
            return Relay(self.folder, *options, port=port).ready()
        prefix = self.network.prefix(self.network.far)
        relay = Relay(self.folder, "--interface", FAR, *options, port=port, prefix=prefix)
        with until("the relay to listen") as deadline:
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), self.network.connect(self.network.far, FAR, relay.port):
                    return relay
                time.sleep(0.05)
        raise AssertionError("unreachable")

    def _start_client(self) -> Client:
        options = ["--config", str(self.folder / "tunnels.toml"), *self._client_options]
        token = self.folder / "token"
        token.write_text(token_of(self.relay))
        token.chmod(0o600)
        options += ["--token-file", str(token)]
        if self.breaker is not None:
            return Client(self.relay, "--relay", f"{self._scheme}://127.0.0.1:{self.breaker.port}", *options)
        assert self.network is not None
        far = ["--relay", f"ws://{FAR}:{self.relay.port}", "--insecure"]
        return Client(self.relay, *far, *options, prefix=self.network.prefix(self.network.near))

    # -- what happens to processes

    def kill_relay(self) -> None:
        """``kill -9`` and the same command again."""
        self.relay.kill()
        self.relay = self._start_relay(self.relay.port)

    def kill_client(self) -> None:
        """``kill -9`` and the same command again."""
        self.client.kill()
        self.client = self._start_client()
