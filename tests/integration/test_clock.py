"""The clock of the machine jumps; tunnels and timers do not notice (libfaketime steps it under the real daemons)."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.rawhttp import Connection, get
from tests.integration.upstreams import Nginx

DAY = 86_400


def library() -> str:
    """libfaketime, or the test is skipped."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed (apt install faketime)")
    return str(found[0])


class FakeClock:
    """The time of day of some processes, seconds away from the true one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.env = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }
        self.step_to(0)

    def step_to(self, seconds: int) -> None:
        """From now on the processes' clocks are this far from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


class Wire:
    """Passes bytes between a client and a relay, and counts what goes each way: a heartbeat is seen without a log."""

    def __init__(self, relay_port: int) -> None:
        self.counts = {"up": 0, "down": 0}
        self._relay_port = relay_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._relay_port))
                self._open += [near, far]
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        ways = {near: (far, "up"), far: (near, "down")}
        with contextlib.suppress(OSError, ValueError), near, far:
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    other, way = ways[end]
                    other.sendall(data)
                    self.counts[way] += 1

    def options(self, nginx: Nginx) -> list[str]:
        """The command line of a client that goes through here."""
        return ["--relay", f"ws://127.0.0.1:{self.port}", "--local", str(nginx.port), "--name", "clock"]

    def idle_traffic(self) -> None:
        """Wait until something goes each way by itself."""
        before = dict(self.counts)
        with until("a heartbeat both ways", 45) as deadline:
            while time.monotonic() < deadline:
                if all(self.counts[way] > before[way] for way in before):
                    return
                time.sleep(0.1)


@pytest.fixture
def wired(
    tmp_path: Path, start: Callable[[Daemon], Daemon], nginx: Nginx
) -> Iterator[tuple[FakeClock, Wire, Relay, Client]]:
    """A relay and a client on a clock of the test's, joined by a wire of the test's, with the tunnel ``clock``."""
    clock = FakeClock(tmp_path)
    relay = Relay(tmp_path, env=clock.env)
    start(relay)
    with Wire(relay.ready().port) as wire:
        client = Client(relay, *wire.options(nginx), env=clock.env)
        start(client)
        client.url()
        yield clock, wire, relay, client


def ends_by_itself(visitor: Connection) -> None:
    """The relay's time-out for an unfinished head fires: the connection ends, with an error if with anything."""
    answer = visitor.answer()
    assert answer.status in (0, 400, 408), answer


def test_a_clock_that_jumps_changes_nothing(wired: tuple[FakeClock, Wire, Relay, Client]) -> None:
    """Back 20 s, back an hour, forward a day: the tunnel stays, requests are served, heartbeats and time-outs go on."""
    clock, wire, relay, client = wired
    assert "libfaketime" in Path(f"/proc/{relay.pid}/maps").read_text()
    assert "libfaketime" in Path(f"/proc/{client.pid}/maps").read_text()
    host = relay.host("clock")

    def served() -> None:
        assert get(relay.port, host, "/hello").body == b"hello from nginx\n"

    served()
    half = f"GET /hello HTTP/1.1\r\nHost: {host}\r\n".encode()
    for offset in (-20, -3600, DAY):
        with Connection(relay.port) as early, Connection(relay.port) as late:
            early.send(half)
            served()
            clock.step_to(offset)
            served()
            early.send(b"\r\n")
            assert early.answer().status == 200, "a head begun before the step may be ended after it"
            if offset == -20:
                continue  # the hour that follows would hold a timer up for longer than any of these waits
            late.send(half)
            if offset == -3600:
                wire.idle_traffic()
            ends_by_itself(late)
            served()
    for daemon in (relay, client):
        daemon.assert_calm()
    assert not [line for line in client.lines if "lost" in line or "trying again" in line], client.output
    assert len([line for line in relay.lines if "admitted client" in line]) == 1, relay.output


def test_a_client_started_on_another_day_has_its_name_again(
    wired: tuple[FakeClock, Wire, Relay, Client], nginx: Nginx
) -> None:
    """The clock a day ahead, then a day behind: a client that is started again takes its own name over at once."""
    clock, wire, relay, client = wired
    for offset in (DAY, -DAY):
        clock.step_to(offset)
        client.kill()
        client = Client(relay, *wire.options(nginx), env=clock.env)
        try:
            assert client.url() == f"http://clock.localhost:{relay.port}"
            assert get(relay.port, relay.host("clock"), "/hello").status == 200
            client.assert_calm()
        finally:
            client.end()
    relay.assert_calm()
