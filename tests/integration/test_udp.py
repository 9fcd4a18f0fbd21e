"""UDP tunnels with real daemons: DNS by dnsmasq and dig, the longest datagrams, many visitors."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, until
from tests.integration.programs import program, run

PORTS = "22700-22749"
BOTH_WAYS = pytest.mark.parametrize("harbour", [(), ("--workers", "2")], ids=["one", "workers"], indirect=True)
"""With one process, and with workers."""


class Echo:
    """A UDP service that gives back what comes, with who sent it in front; ``senders``: from which addresses."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.port: int = self.socket.getsockname()[1]
        self.received: list[bytes] = []
        self.senders: set[int] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, sender = self.socket.recvfrom(65_535)
                self.received.append(data)
                self.senders.add(sender[1])
                self.socket.sendto(data, sender)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """One for each test."""
    service = Echo()
    yield service
    service.socket.close()


@pytest.fixture
def harbour(request: pytest.FixtureRequest, tmp_path: Path, start: Callable[[Daemon], Daemon]) -> Relay:
    """A relay with UDP ports, and with options of the test's."""
    more = getattr(request, "param", ())
    relay = Relay(tmp_path, "--udp-ports", PORTS, "--udp-idle", "2", *more)
    start(relay)
    return relay.ready()


def tunnel(start: Any, relay: Relay, port: int, *options: str) -> tuple[Client, int]:
    """A client with a UDP tunnel to a port of this machine, and the public port."""
    client = start(Client(relay, "--local", f"127.0.0.1:{port}", "--udp", "0", *options))
    return client, int(client.wait_for(r"^udp://localhost:(\d+) -> ").group(1))


def visitor() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    udp.settimeout(20)
    return udp


@BOTH_WAYS
def test_dns_by_dig(tmp_path: Path, harbour: Relay, start: Any) -> None:
    """A real name server, asked by a real resolver, many times and for a long answer."""
    port, texts = free_port(), "".join(f"txt-record=long.test,{'x' * 200}{number}\n" for number in range(6))
    (tmp_path / "dnsmasq.conf").write_text(
        f"no-resolv\nno-hosts\nport={port}\nlisten-address=127.0.0.1\nbind-interfaces\nuser=root\npid-file=\n"
        f"address=/app.test/192.0.2.33\nedns-packet-max=4096\n{texts}"
    )
    start(Daemon([program("dnsmasq"), "--no-daemon", "--conf-file=" + str(tmp_path / "dnsmasq.conf")], tmp_path))
    client, public = tunnel(start, harbour, port)
    dig = [program("dig"), "@127.0.0.1", "-p", str(public), "+tries=3", "+time=3"]
    for _ in range(20):
        assert run([*dig, "+short", "app.test", "A"]).stdout == b"192.0.2.33\n"
    long = run([*dig, "+bufsize=4096", "+notcp", "+ignore", "long.test", "TXT"]).stdout.decode()
    assert long.count("x" * 200) == 6
    client.assert_calm()
    harbour.assert_calm()


def test_datagrams_of_every_size(harbour: Relay, start: Any, echo: Echo) -> None:
    """Up to the longest there is, each in one piece."""
    _, public = tunnel(start, harbour, echo.port)
    with visitor() as udp:
        for size in (0, 1, 512, 1472, 9000, 65_507):
            udp.sendto(bytes(size), ("127.0.0.1", public))
            assert udp.recv(70_000) == bytes(size)


@BOTH_WAYS
def test_many_visitors_are_kept_apart_and_forgotten(harbour: Relay, start: Any, echo: Echo) -> None:
    """A hundred at one port; the service sees each as another one. Idle ones cost nothing any more."""
    client, public = tunnel(start, harbour, echo.port)
    before = client.descriptors()
    visitors = [visitor() for _ in range(100)]
    try:
        for turn in range(3):
            for number, udp in enumerate(visitors):
                udp.sendto(b"%d of %d" % (turn, number), ("127.0.0.1", public))
            for number, udp in enumerate(visitors):
                assert udp.recv(100) == b"%d of %d" % (turn, number)
        assert len(echo.senders) == 100
        with until("idle visitors to be forgotten") as deadline:
            while client.descriptors() > before and time.monotonic() < deadline:
                time.sleep(0.1)
        visitors[0].sendto(b"again", ("127.0.0.1", public))
        assert visitors[0].recv(100) == b"again"
    finally:
        for udp in visitors:
            udp.close()


def test_a_client_that_stands_still_costs_the_oldest_and_no_memory(harbour: Relay, start: Any, echo: Echo) -> None:
    """30 MB for a client that reads nothing: what is newest arrives when it goes on, and the relay stays small."""
    client, public = tunnel(start, harbour, echo.port)
    with visitor() as udp:
        udp.sendto(b"first", ("127.0.0.1", public))
        assert udp.recv(100) == b"first"
        client.process.send_signal(signal.SIGSTOP)
        before = harbour.memory()
        for number in range(30_000):
            udp.sendto(b"%06d" % number + bytes(994), ("127.0.0.1", public))
            if not number % 100:
                time.sleep(0.005)
        assert harbour.memory() - before < 40 << 20
        client.process.send_signal(signal.SIGCONT)
        with until("the newest to arrive") as deadline:
            while not any(data.startswith(b"029999") for data in echo.received[-1:]) and time.monotonic() < deadline:
                time.sleep(0.05)
        numbers = [int(data[:6]) for data in echo.received[1:]]
        assert numbers == sorted(numbers)
        assert len(numbers) < 30_000


def test_a_service_that_is_not_there_is_named(harbour: Relay, start: Any, echo: Echo) -> None:
    """On the client's screen; the visitor hears nothing, as with UDP. Once it is there, it is reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    client, public = tunnel(start, harbour, port)
    with visitor() as udp:
        for _ in range(3):
            udp.sendto(b"anybody?", ("127.0.0.1", public))
            time.sleep(0.1)
        client.wait_for("connection refused; its visitors get an error")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
            service.bind(("127.0.0.1", port))
            service.settimeout(20)
            udp.sendto(b"now?", ("127.0.0.1", public))
            assert service.recvfrom(100)[0] == b"now?"
    client.assert_calm()


def test_visitors_go_on_after_a_cut_link(harbour: Relay, start: Any, echo: Echo) -> None:
    """What was under way is not even lost."""
    client, public = tunnel(start, harbour, echo.port)
    with visitor() as udp:
        udp.sendto(b"before", ("127.0.0.1", public))
        assert udp.recv(100) == b"before"
        lines = len(client.lines)
        run([program("ss", Path("/bin")), "-K", "dport", "=", str(harbour.port)], status=None)
        client.wait_for("connected again", after=lines)
        udp.sendto(b"after", ("127.0.0.1", public))
        assert udp.recv(100) == b"after"


def test_a_port_of_ones_own_and_rules(tmp_path: Path, harbour: Relay, start: Any, echo: Echo) -> None:
    """The port that was asked for, after a restart as well; who is denied hears nothing."""
    client = start(Client(harbour, "--local", str(echo.port), "--udp", "22703", "--deny", "127.0.0.9"))
    client.wait_for("^udp://localhost:22703 -> ")
    with visitor() as denied, visitor() as allowed:
        denied.bind(("127.0.0.9", 0))
        denied.settimeout(0.5)
        denied.sendto(b"let me in", ("127.0.0.1", 22703))
        with pytest.raises(TimeoutError):
            denied.recv(100)
        allowed.sendto(b"hello", ("127.0.0.1", 22703))
        assert allowed.recv(100) == b"hello"
    taken = start(Client(harbour, "--local", "1", "--udp", "22703", "--state", str(tmp_path / "b")))
    assert taken.exit_status() == 1
    assert "the UDP port 22703 is taken" in taken.output


@BOTH_WAYS
def test_another_relay_takes_the_ports_over(harbour: Relay, start: Any, echo: Echo) -> None:
    """``--takeover``: the visitors' addresses and the public port stay."""
    client, public = tunnel(start, harbour, echo.port)
    with visitor() as udp:
        udp.sendto(b"before", ("127.0.0.1", public))
        assert udp.recv(100) == b"before"
        workers = ["--workers", "2"] if "--workers" in harbour.process.args else []  # type: ignore[operator]
        words = ["--udp-ports", PORTS, "--udp-idle", "2", "--takeover", *workers]
        lines = len(client.lines)
        fresh = start(Relay(harbour.home, *words, port=harbour.port))
        client.wait_for("connected again", after=lines)
        with until("an answer by the new relay") as deadline:
            answer = b""
            while not answer and time.monotonic() < deadline:
                udp.sendto(b"after", ("127.0.0.1", public))
                udp.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    answer = udp.recv(100)
        assert answer == b"after"
        fresh.assert_calm()
