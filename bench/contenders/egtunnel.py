"""egtunnel itself, from this checkout, as ``twistd -n egrelay`` and ``twistd -n egclient``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from attrs import frozen

from bench.contenders.base import Ground, Running
from bench.errors import DidNotStart, MissingProgram
from bench.program import Program, find_program, running, wait_for_file, wait_for_port
from bench.site import Site
from bench.version import first_line

__all__ = [
    "CHECKOUT",
    "EGTUNNELS",
    "EGTUNNELS_HTTPS",
    "EGTUNNELS_TLS",
    "EGTUNNELS_WSS",
    "Egtunnel",
    "Places",
    "daemon",
    "twistd",
]

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "bench"


@frozen
class Places:
    """The ports and folders of one relay and one client.

    :ivar tcp_port: the relay's whole range for TCP tunnels, so that the port is known beforehand
    """

    port: int
    tcp_port: int
    upstream_port: int
    folder: Path

    @property
    def relay_state(self) -> Path:
        return self.folder / "relay"

    @property
    def token(self) -> Path:
        """The file that the relay makes at its first start."""
        return self.relay_state / "token"

    @property
    def client_state(self) -> Path:
        return self.folder / "client"

    @property
    def certificate(self) -> Path:
        """A certificate that signed itself, with its key in ``key``."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    def make_certificate(self) -> None:
        """
        :raises DidNotStart: openssl could not
        """
        names = f"subjectAltName=DNS:localhost,DNS:*.localhost,DNS:{NAME}.localhost"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        files = ["-keyout", str(self.key), "-out", str(self.certificate), "-subj", "/CN=localhost", "-addext", names]
        command = [find_program("openssl"), "req", "-x509", *kind, *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise DidNotStart(f"openssl: {done.stderr.strip()[-200:]}")


@frozen
class Egtunnel:
    """A relay and a client of their own, with defaults but for ports and folders.

    :ivar tcp: a TCP tunnel (bytes, whatever they mean) or an HTTP tunnel (the relay reads and routes every request)
    :ivar encrypts: the link goes over TLS, its certificate verified; without it is ws://, as the defaults give on one
        machine. Visitors come without TLS all the same, as they do to ``ssh -R``.
    :ivar https: visitors come by https:// besides
    :ivar link: the value of the client's ``--link``; without it there is a bare link over TLS
    :ivar against: the contender that does the same without TLS
    :ivar more: options that both daemons get besides
    :ivar relay_more: options that the relay gets besides
    :ivar checkout: whose relay and client they are
    """

    name: str
    tcp: bool
    encrypts: bool = False
    against: str = ""
    link: str = ""
    https: bool = False
    more: tuple[str, ...] = ()
    relay_more: tuple[str, ...] = ()
    checkout: Path = CHECKOUT

    @property
    def programs(self) -> tuple[str, ...]:
        return ("openssl",) if self.encrypts else ()

    def version(self) -> str:
        commit = first_line("git", "-C", str(self.checkout), "describe", "--always", "--dirty")
        return f"{commit}, compiled" if any((self.checkout / "egtunnel" / "mux").glob("*.so")) else commit

    def relay_options(self, places: Places) -> list[str]:
        """The options of egrelay."""
        tcp_ports = f"{places.tcp_port}-{places.tcp_port}"
        # All visitors of a benchmark come from one address.
        limits = ["--max-per-address", "20000", "--max-per-port", "20000", "--max-handshake-rate", "20000"]
        files = ["--tls-cert", str(places.certificate), "--tls-key", str(places.key)]
        tls = [*files, "--plain-http", "redirect" if self.https else "serve"] if self.encrypts else []
        log = [] if self.tcp else ["--access-log", str(places.folder / "access.log")]
        ports = ["--port", str(places.port), "--tcp-ports", tcp_ports]
        return [*ports, "--state", str(places.relay_state), *limits, *log, *tls, *self.relay_more]

    def client_options(self, places: Places) -> list[str]:
        """The options of egclient; the token comes from the file that the relay made."""
        scheme = "wss" if self.encrypts else "ws"
        options = ["--relay", f"{scheme}://localhost:{places.port}/connect", "--state", str(places.client_state)]
        options += ["--ca", str(places.certificate)] if self.encrypts else []
        options += ["--token-file", str(places.token)]
        options += ["--link", self.link] if self.link else []
        options += ["--tcp", str(places.tcp_port)] if self.tcp else ["--name", NAME]
        return [*options, "--local", f"127.0.0.1:{places.upstream_port}"]

    def site(self, places: Places) -> Site:
        """Where visitors go."""
        if self.tcp:
            return Site(places.tcp_port, f"127.0.0.1:{places.tcp_port}")
        authority = places.certificate if self.https else None
        return Site(places.port, f"{NAME}.localhost:{places.port}", speaks_http=True, authority=authority)

    @contextmanager
    def run(self, ground: Ground) -> Iterator[Running]:
        places = Places(ground.ports.take(), ground.ports.take(), ground.upstream_port, ground.folder)
        if self.encrypts:
            places.make_certificate()
        with self._daemon("egrelay", self.relay_options(places), ground.folder) as relay:
            wait_for_port(places.port, relay)
            wait_for_file(places.token, relay)
            with self._daemon("egclient", self.client_options(places), ground.folder) as client:
                client.wait_for_line(r"\S+://\S+ -> \S+")
                yield Running(self.site(places), (relay,), (client,))

    def _daemon(self, name: str, options: list[str], folder: Path) -> AbstractContextManager[Program]:
        return daemon(name, [*options, *self.more], folder, self.checkout)


EGTUNNELS: tuple[Egtunnel, ...] = (
    Egtunnel("egtunnel-http", tcp=False),
    Egtunnel("egtunnel-tcp", tcp=True),
)
EGTUNNELS_TLS: tuple[Egtunnel, ...] = tuple(
    Egtunnel(f"{plain.name}-tls", plain.tcp, encrypts=True, against=plain.name) for plain in EGTUNNELS
)
"""The same with a bare link over TLS, taken part in with ``--tls`` or by name."""
EGTUNNELS_WSS: tuple[Egtunnel, ...] = tuple(
    Egtunnel(f"{plain.name}-wss", plain.tcp, encrypts=True, against=f"{plain.name}-tls", link="websocket")
    for plain in EGTUNNELS
)
"""The same with a WebSocket on TLS, taken part in by name: what a bare link is measured against."""
EGTUNNELS_HTTPS: tuple[Egtunnel, ...] = (
    Egtunnel("egtunnel-https", tcp=False, encrypts=True, against="egtunnel-http-tls", https=True),
)
"""With visitors by https://, too, taken part in by name: what their TLS costs the relay."""


def twistd() -> str:
    """The twistd of the Python that runs us, or else of the PATH.

    :raises MissingProgram: there is none
    """
    beside = Path(sys.executable).with_name("twistd")
    found = str(beside) if beside.exists() else shutil.which("twistd")
    if found is None:
        raise MissingProgram("twistd is not installed; run: make venv, then .venv/bin/python -m bench")
    return found


@contextmanager
def daemon(name: str, options: list[str], folder: Path, checkout: Path = CHECKOUT) -> Iterator[Program]:
    """One of the two daemons, while the block runs."""
    command = [twistd(), "-n", name, *options]
    with running(name, command, folder, {"PYTHONPATH": str(checkout), "PYTHONUNBUFFERED": "1"}) as program:
        yield program
